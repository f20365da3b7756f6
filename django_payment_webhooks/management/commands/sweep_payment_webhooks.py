"""``manage.py sweep_payment_webhooks``."""

import time

from django.core.management.base import BaseCommand, CommandError

from ...publisher import process, send_message
from ...sweeper import sweep


class Command(BaseCommand):
    """Sweep once, or again and again."""

    help = (
        "Enqueue the payment webhook events that are due: those whose message was lost, whose worker died, or whose "
        "next attempt has come. Run it from cron if no Celery worker sweeps."
    )

    def add_arguments(self, parser):
        """Add the options."""
        parser.add_argument(
            "--every", type=float, metavar="SECONDS", help="sweep again and again, at this interval"
        )
        parser.add_argument(
            "--process",
            action="store_true",
            help="process the events here and now, without broker and worker",
        )

    def handle(self, *args, **options):
        """Sweep, and print how many events were found."""
        while True:
            try:
                swept = sweep(process if options["process"] else send_message)
            except Exception as error:
                raise CommandError(
                    "The sweep was interrupted, what is due stays due: %r" % error
                ) from error
            if options["verbosity"] and (swept or not options["every"]):
                self.stdout.write(
                    "%d events %s" % (swept, "processed" if options["process"] else "enqueued")
                )
            if not options["every"]:
                return
            time.sleep(options["every"])
