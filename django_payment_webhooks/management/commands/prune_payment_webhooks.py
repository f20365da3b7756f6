"""``manage.py prune_payment_webhooks``."""

from __future__ import annotations

import json
import logging
from collections import Counter
from datetime import timedelta
from typing import Any, Callable, NamedTuple

from django.core.management.base import CommandError
from django.db.models import QuerySet
from django.utils import timezone

from ... import history
from ...models import Event
from ...operations.batches import Progress, count_some, iterate
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
from ...providers.escaping import escape
from ...providers.subject import find_by_order
from ..filters import add_batch, check_order
from ..terminal import (
    TerminalCommand,
    add_by,
    add_no_input,
    between,
    count_events,
    read_text,
    unable,
)

logger = logging.getLogger("django_payment_webhooks")

SHOWN_RECORDS = 50
# A century.
MAX_DAYS = 36500


class Action(NamedTuple):
    """What is done with each event, the word for it, and what to think of beforehand."""

    run: Callable[[Event], bool]
    done: str
    question: str


PRUNE = Action(
    prune, "pruned", "Prune the bodies of {events}? They can't be read or replayed any more."
)
DELETE = Action(
    delete, "deleted", "Delete {events}, with their history? One that is resent is applied again."
)
ERASE = Action(erase, "erased", "Erase what {events} {say}?")
# What is done to a number of events. Who looked at a payload did so to one.
COUNTED = {action.done for action in (PRUNE, DELETE, ERASE)}


class Work(NamedTuple):
    """What is to be done to which events. ``subject`` says which, for people."""

    action: Action
    events: QuerySet
    subject: str


class Command(TerminalCommand):
    """Prune, delete or erase final events."""

    help = (
        "Remove the content of old payment webhook events. By default their bodies are removed, "
        "and their rows stay, so that duplicates are still recognized. Only processed, duplicate "
        "and ignored events are touched, and failed ones if asked; never an unfinished event. A "
        "pruned event can't be replayed. This can't be undone, so the command asks first, and "
        "records in the history who did it. It can be interrupted at any time, and run again. "
        "Exits with 0 if everything was done, and with 1 if something could not be."
    )
    after_failure = "What is done is done; run it again for the rest."

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        add = parser.add_argument
        text = "only events that were received and became final more than N days ago"
        add("--days", type=between(0, MAX_DAYS), metavar="N", help=text)
        text = "failed events, too: they can't be replayed any more"
        add("--include-failed", action="store_true", help=text)
        text = "delete whole rows: an event that is resent is stored and applied again; "
        text += f"at least {RESEND_DAYS} days old"
        add("--delete", action="store_true", help=text)
        text = "delete younger ones, although a provider may still resend them"
        add("--force", action="store_true", help=text)
        text = "erase what identifies this order from its final events, whatever their age"
        add("--erase-order", type=read_text, metavar="ID", help=text)
        add_no_input(parser)
        add_by(parser, "prunes")
        add_batch(parser)
        add("--dry-run", action="store_true", help="only say how many events it would be")
        text = "only show who pruned, deleted and erased what, and who looked at a payload"
        add("--show-audit", action="store_true", help=text)
        add("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and print what was done."""
        if options["show_audit"]:
            check_show(options)
            self.show_audit()
            return
        check(options)
        work = find_work(options)
        if options["dry_run"]:
            counts = Counter({work.action.done: work.events.count(), "left": 0})
            self.report(work, counts, Counter(), options)
            return
        self.ask(work, options)
        counts, problems = self.run(work, options)
        self.report(work, counts, problems, options)

    def ask(self, work: Work, options: dict[str, Any]) -> None:
        """Raise ``CommandError`` unless whoever runs the command is sure."""
        number, is_bounded = count_some(work.events) if options["interactive"] else (0, False)
        if number:
            more = "more than " if is_bounded else ""
            events = f"{more}{count_events(number)} {work.subject}"
            say = "says" if number == 1 else "say"
            question = work.action.question.format(events=events, say=say)
            refusal = f"Nothing was {work.action.done}."
            self.confirm(f"{question} It can't be undone.", refusal, options)

    def run(self, work: Work, options: dict[str, Any]) -> tuple[Counter, Counter]:
        """Do the same with each event. Returns how many they were, and the problems.

        Whatever ends it, what was done until then is written down.
        """
        counts = Counter({work.action.done: 0, "left": 0})
        problems: Counter[str] = Counter()
        progress = Progress(self.stderr, work.events)
        try:
            for event in iterate(work.events, options["batch"]):
                try:
                    is_done = work.action.run(event)
                except PruneError as error:
                    is_done = False
                    problems[str(error)] += 1
                counts[work.action.done if is_done else "left"] += 1
                progress.show(event.pk, counts[work.action.done])
        finally:
            progress.clear()
            write_audit(work, counts, options)
        return counts, problems

    def report(
        self, work: Work, counts: Counter, problems: Counter, options: dict[str, Any]
    ) -> None:
        """Print the result. Raises ``CommandError`` if something could not be done."""
        done = work.action.done
        if options["json"]:
            found = {**counts, "dry_run": options["dry_run"], "problems": problems}
            self.stdout.write(json.dumps(found))
        elif options["verbosity"]:
            would = "would be " if options["dry_run"] else ""
            left = f", {counts['left']} left as they are" if counts["left"] else ""
            text = f"{count_events(counts[done])} {would}{done}{left}"
            if options["erase_order"] is not None and not sum(counts.values()):
                text = f"No event is of the order {options['erase_order']!a}."
            self.stdout.write(text)
        if problems:
            lines = [f"{count_events(count)}: {text}" for text, count in problems.items()]
            raise CommandError("\n".join(lines))

    def show_audit(self) -> None:
        """Print what was written down of earlier runs."""
        if not history.is_installed():
            raise unable("Nothing is written down: the app history is not installed.")
        records = history.read_audit(SHOWN_RECORDS)
        if not records:
            self.stdout.write("Nothing is written down yet.")
        for record in records:
            at = record.at.isoformat(" ", "seconds")
            what = [count_events(record.number)] if record.verb in COUNTED else []
            line = " ".join([at, record.by, record.verb, *what, record.subject])
            reason = f": {record.reason}" if record.reason else ""
            self.stdout.write(escape(line + reason))


def check_show(options: dict[str, Any]) -> None:
    """Raise ``CommandError`` for options that whoever only wants to look can't mean."""
    others = ("days", "delete", "force", "include_failed", "erase_order", "dry_run", "json")
    if any(options[name] not in (None, False) for name in others):
        raise unable("--show-audit only shows what was done: leave out the other options.")


def check(options: dict[str, Any]) -> None:
    """Raise ``CommandError`` for options that make no sense."""
    days = options["days"]
    is_erasure = options["erase_order"] is not None
    if is_erasure == (days is not None):
        raise unable("Say what to prune: either --days N or --erase-order ID.")
    if is_erasure:
        if options["delete"] or options["force"]:
            raise unable(
                "The rows of an erased order stay, since they deduplicate: leave out --delete."
            )
        return
    if options["force"] and not options["delete"]:
        raise unable("--force is for --delete, and does nothing without it: leave it out.")
    if options["delete"] and days < RESEND_DAYS and not options["force"]:
        raise unable(
            f"A provider may resend an event for {RESEND_DAYS} days, and a deleted one would have "
            f"its effect again. Give --days {RESEND_DAYS} or more, or --force if yours does not."
        )


def find_work(options: dict[str, Any]) -> Work:
    """Return what the options ask for."""
    if options["erase_order"] is not None:
        events = find_events_to_erase(options)
        return Work(ERASE, events, f"of the order {options['erase_order']!a}")
    events = find_final(timezone.now() - timedelta(days=options["days"]), options["include_failed"])
    subject = f"that became final more than {options['days']} days ago"
    if options["delete"]:
        return Work(DELETE, events, subject)
    return Work(PRUNE, find_unpruned(events), subject)


def find_events_to_erase(options: dict[str, Any]) -> QuerySet:
    """Return the events of an order, if all of them can be erased. Raises ``CommandError``."""
    order = options["erase_order"]
    check_order(order)
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
    return events


def write_audit(work: Work, counts: Counter, options: dict[str, Any]) -> None:
    """Write down who did it, in the history and in the log.

    With the order's id: it is the host's own, and an auditor asks by it.
    """
    verb, number, by = work.action.done, counts[work.action.done], options["by"]
    if number:
        logger.info("%s %s %s by %s", count_events(number), work.subject, verb, escape(by))
        history.write_audit(verb, work.subject, by, options["reason"], number)
