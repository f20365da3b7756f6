"""``manage.py prune_payment_webhooks``."""

import json
from collections import Counter
from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.utils import timezone

from ...operations.batches import Progress, walk
from ...operations.pruning import (
    RESEND_DAYS,
    PruneError,
    delete,
    erase,
    find_final,
    find_of_order,
    find_unfinished,
    find_unpruned,
    prune,
)

DONE = {prune: "pruned", delete: "deleted", erase: "erased"}


class Command(BaseCommand):
    """Prune, delete or erase final events."""

    help = (
        "Forget what old payment webhook events said. By default their bodies go, and their rows stay: they keep "
        "deduplicating. Only events that are processed, duplicate or ignored are touched, and failed ones if asked; "
        "an event that is still to be done never is. A pruned event can't be replayed. It can be interrupted at any "
        "time, and run again. Exits with 0 if everything was done, and with 1 if something could not be."
    )

    def add_arguments(self, parser):
        """Add the options."""
        add = parser.add_argument
        add(
            "--days",
            type=int,
            help="only events that were received, and became final, more than so many days ago",
        )
        add(
            "--include-failed",
            action="store_true",
            help="failed events, too: they can't be replayed any more",
        )
        text = "delete whole rows: an event that is sent again is stored and applied again; at least %d days old"
        add("--delete", action="store_true", help=text % RESEND_DAYS)
        add(
            "--force",
            action="store_true",
            help="delete younger ones, although a provider may still send them again",
        )
        add(
            "--erase-order",
            metavar="ID",
            help="erase what the final events of one order tell about it, of any age",
        )
        add("--no-input", action="store_false", dest="interactive", help="erase without asking")
        add(
            "--batch",
            type=int,
            default=500,
            metavar="N",
            help="read so many events at a time (default: 500)",
        )
        add("--dry-run", action="store_true", help="only say how many events it would be")
        add("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args, **options):
        """Do it, and print what was done."""
        order = options["erase_order"]
        if (order is None) == (options["days"] is None):
            raise CommandError("Say what is to be pruned: either --days N or --erase-order ID.")
        if options["batch"] < 1 or options["days"] is not None and options["days"] < 0:
            raise CommandError("--batch must be at least 1, and --days at least 0.")
        if order is not None and (options["delete"] or options["force"]):
            raise CommandError(
                "The rows of an erased order stay, since they deduplicate: leave out --delete."
            )
        try:
            if order is not None:
                action, events = erase, self.find_events_to_erase(order, options)
            else:
                action, events = self.find_old_events(options)
            self.work(action, events, options)
        except Error as error:
            text = "The database failed. What was done is done; run it again for the rest. %r"
            raise CommandError(text % error) from error

    def find_old_events(self, options):
        """Return what is to be done, and with which events."""
        before = timezone.now() - timedelta(days=options["days"])
        events = find_final(before, options["include_failed"])
        if not options["delete"]:
            return prune, find_unpruned(events)
        if options["days"] < RESEND_DAYS and not options["force"]:
            text = "A provider may send an event again for %d days, and a deleted one would have its effect again. "
            text += "Give --days %d or more, or --force if yours does not."
            raise CommandError(text % (RESEND_DAYS, RESEND_DAYS))
        return delete, events

    def find_events_to_erase(self, order, options):
        """Return the events of an order, once it is sure that they are to be erased."""
        events, unfinished = find_of_order(order), find_unfinished(order)
        if not options["include_failed"]:
            unfinished.update(events.filter(status="failed").values_list("pk", "status"))
        if unfinished:
            found = ", ".join("%d is %s" % item for item in sorted(unfinished.items()))
            text = "Nothing was erased: of this order's events (by primary key) %s. Let them end, or mark them as "
            text += "handled by hand; --include-failed erases failed ones as they are."
            raise CommandError(text % found)
        if options["interactive"] and not options["dry_run"] and events.exists():
            question = (
                "Erase what %d events tell about this order? It can't be undone. Type yes: "
                % events.count()
            )
            if input(question) != "yes":
                raise CommandError("Nothing was erased.")
        return events

    def work(self, action, events, options):
        """Do the same with each event, and print how many they were."""
        counts = Counter({DONE[action]: 0, "left": 0})
        problems: Counter = Counter()
        if options["dry_run"]:
            counts[DONE[action]] = events.count()
        else:
            progress = Progress(self.stderr, events)
            for event in walk(events, options["batch"]):
                try:
                    counts[DONE[action] if action(event) else "left"] += 1
                except PruneError as error:
                    counts["left"] += 1
                    problems[str(error)] += 1
                progress.show(event.pk, counts[DONE[action]])
            progress.clear()
        self.report(counts, problems, DONE[action], options)

    def report(self, counts, problems, done, options):
        """Print the result. Raises ``CommandError`` if something could not be done."""
        if options["json"]:
            self.stdout.write(
                json.dumps(dict(counts, dry_run=options["dry_run"], problems=problems))
            )
        elif options["verbosity"]:
            would = "would be " if options["dry_run"] else ""
            left = ", %d left as they are" % counts["left"] if counts["left"] else ""
            self.stdout.write("%d events %s%s%s" % (counts[done], would, done, left))
        if problems:
            raise CommandError(
                "\n".join("%d events: %s" % (n, text) for text, n in problems.items())
            )
