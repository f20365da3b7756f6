"""``manage.py sweep_payment_webhooks``."""

from __future__ import annotations

import time
from typing import Any, Sequence

from django.db import Error

from ...publisher import process, send_message
from ...sweeper import sweep
from ..terminal import TerminalCommand, between, count_events, unable


def process_each(keys: Sequence[int]) -> None:
    """Process events one by one: a task would hand back to the broker what is left."""
    for key in keys:
        process([key])


class Command(TerminalCommand):
    """Sweep once, or again and again."""

    help = (
        "Enqueue the payment webhook events that are due: those whose message was lost, whose "
        "worker died, or whose next attempt has come. Run it from cron if no Celery worker sweeps."
    )

    after_failure = "What is due stays due."

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        text = "sweep repeatedly, at this interval"
        interval = between(0.01, 86400, float)
        parser.add_argument("--every", type=interval, metavar="SECONDS", help=text)
        text = "process the events right here, without a broker or a worker"
        parser.add_argument("--process", action="store_true", help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep, and print how many events were found."""
        send = process_each if options["process"] else send_message
        verb = "processed" if options["process"] else "enqueued"
        interval = options["every"]
        while True:
            try:
                swept = sweep(send)
            except Error:
                raise
            except Exception as error:
                text = f"The sweep was interrupted: {error!r}. {self.after_failure}"
                raise unable(text) from error
            if options["verbosity"] and (swept or not interval):
                self.stdout.write(f"{count_events(swept)} {verb}")
            if not interval:
                return
            time.sleep(interval)
