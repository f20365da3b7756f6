"""``manage.py prune_payment_webhooks``."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any, Callable, NamedTuple

from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.db.models import QuerySet
from django.utils import timezone

from ...models import Event
from ...operations.batches import Progress, iterate
from ...operations.pruning import (
    RESEND_DAYS,
    PruneError,
    delete,
    erase,
    find_final,
    find_unfinished,
    find_unpruned,
    prune,
)
from ...providers.subject import find_by_order


class Action(NamedTuple):
    """What is done with each event, and the word for it."""

    run: Callable[[Event], bool]
    done: str


PRUNE = Action(prune, "pruned")
DELETE = Action(delete, "deleted")
ERASE = Action(erase, "erased")


class Command(BaseCommand):
    """Prune, delete or erase final events."""

    # They would hide what is to be looked at behind what they find.
    requires_system_checks = ()

    help = (
        "Forget what old payment webhook events said. By default their bodies go, and their rows "
        "stay: they keep deduplicating. Only events that are processed, duplicate or ignored are "
        "touched, and failed ones if asked; an event that is still to be done never is. A pruned "
        "event can't be replayed. It can be interrupted at any time, and run again. Exits with 0 "
        "if everything was done, and with 1 if something could not be."
    )

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        add = parser.add_argument
        text = "only events that were received, and became final, more than N days ago"
        add("--days", type=int, metavar="N", help=text)
        text = "failed events, too: they can't be replayed any more"
        add("--include-failed", action="store_true", help=text)
        text = "delete whole rows: an event that is resent is stored and applied again; "
        text += f"at least {RESEND_DAYS} days old"
        add("--delete", action="store_true", help=text)
        text = "delete younger ones, although a provider may still resend them"
        add("--force", action="store_true", help=text)
        text = "erase what the final events of one order say about it, of any age"
        add("--erase-order", metavar="ID", help=text)
        add("--no-input", action="store_false", dest="interactive", help="erase without asking")
        text = "read N events at a time (default: 500)"
        add("--batch", type=int, default=500, metavar="N", help=text)
        add("--dry-run", action="store_true", help="only say how many events it would be")
        add("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and print what was done."""
        check(options)
        try:
            if options["erase_order"] is not None:
                self.work(ERASE, find_events_to_erase(options), options)
                return
            before = timezone.now() - timedelta(days=options["days"])
            events = find_final(before, options["include_failed"])
            if options["delete"]:
                self.work(DELETE, events, options)
            else:
                self.work(PRUNE, find_unpruned(events), options)
        except Error as error:
            text = "The database failed. What is done is done; run it again for the rest."
            raise CommandError(f"{text} {error!r}") from error

    def work(self, action: Action, events: QuerySet, options: dict[str, Any]) -> None:
        """Do the same with each event, and print how many they were."""
        counts = Counter({action.done: 0, "left": 0})
        problems: Counter[str] = Counter()
        if options["dry_run"]:
            counts[action.done] = events.count()
            self.report(action, counts, problems, options)
            return
        progress = Progress(self.stderr, events)
        for event in iterate(events, options["batch"]):
            try:
                is_done = action.run(event)
            except PruneError as error:
                is_done = False
                problems[str(error)] += 1
            counts[action.done if is_done else "left"] += 1
            progress.show(event.pk, counts[action.done])
        progress.clear()
        self.report(action, counts, problems, options)

    def report(
        self, action: Action, counts: Counter, problems: Counter, options: dict[str, Any]
    ) -> None:
        """Print the result. Raises ``CommandError`` if something could not be done."""
        if options["json"]:
            found = {**counts, "dry_run": options["dry_run"], "problems": problems}
            self.stdout.write(json.dumps(found))
        elif options["verbosity"]:
            would = "would be " if options["dry_run"] else ""
            left = f", {counts['left']} left as they are" if counts["left"] else ""
            self.stdout.write(f"{counts[action.done]} events {would}{action.done}{left}")
        if problems:
            lines = [f"{count} events: {text}" for text, count in problems.items()]
            raise CommandError("\n".join(lines))


def check(options: dict[str, Any]) -> None:
    """Raise ``CommandError`` for options that make no sense."""
    days = options["days"]
    is_erasure = options["erase_order"] is not None
    if is_erasure == (days is not None):
        raise CommandError("Say what to prune: either --days N or --erase-order ID.")
    if options["batch"] < 1:
        raise CommandError("--batch must be at least 1.")
    if is_erasure:
        if options["delete"] or options["force"]:
            raise CommandError(
                "The rows of an erased order stay, since they deduplicate: leave out --delete."
            )
        return
    if days < 0:
        raise CommandError("--days must be at least 0.")
    if options["delete"] and days < RESEND_DAYS and not options["force"]:
        raise CommandError(
            f"A provider may resend an event for {RESEND_DAYS} days, and a deleted one would have "
            f"its effect again. Give --days {RESEND_DAYS} or more, or --force if yours does not."
        )


def find_events_to_erase(options: dict[str, Any]) -> QuerySet:
    """Return the events of an order, once it is sure that they are to be erased."""
    order = options["erase_order"]
    events = find_by_order(order)
    unfinished = find_unfinished(order)
    if not options["include_failed"]:
        unfinished.update(events.filter(status=Event.FAILED).values_list("pk", "status"))
    if unfinished:
        found = ", ".join(f"{key} is {status}" for key, status in sorted(unfinished.items()))
        raise CommandError(
            f"Nothing was erased: of this order's events (by primary key) {found}. Let them end, "
            f"or mark them as handled by hand; --include-failed erases failed ones as they are."
        )
    if options["interactive"] and not options["dry_run"]:
        ask(events.count())
    return events


def ask(count: int) -> None:
    """Raise ``CommandError`` unless whoever runs the command is sure."""
    question = (
        f"Erase what {count} events say about this order? It can't be undone. Type yes to go on: "
    )
    if count and input(question) != "yes":
        raise CommandError("Nothing was erased.")
