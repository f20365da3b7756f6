"""``manage.py prune_payment_webhooks``."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Callable, NamedTuple

from django.core.management.base import CommandError
from django.db.models import QuerySet
from django.utils import timezone

from ... import history
from ...models import Event
from ...operations.batches import Tally, count_some
from ...operations.pruning import (
    RESEND_DAYS,
    Audit,
    delete,
    erase,
    erase_all,
    find_final,
    find_unfinished,
    find_unpruned,
    list_forgotten_causes,
    prune,
    run_audited,
)
from ...operations.transactions import OperationError
from ...providers.escaping import escape
from ...providers.subject import find_by_order
from ..filters import add_batch, check_order
from ..operating import OperatingCommand, describe_tally, list_problems
from ..terminal import add_by, add_no_input, between, count_events, read_text, unable

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


class Command(OperatingCommand):
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
        text = "only show who pruned, deleted or erased what, looked at a payload, or acknowledged "
        text += "a cause"
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
            tally, causes = Tally(done=work.events.count()), len(find_causes(options))
        else:
            self.ask(work, options)
            tally = self.erase(work, options) if work.action is ERASE else self.run(work, options)
            log_done(work, tally, options)
            causes = 0 if self.stopped_by else forget_causes(options)
        self.report(work, tally, causes, options)

    def ask(self, work: Work, options: dict[str, Any]) -> None:
        """Raise ``CommandError`` unless whoever runs the command is sure."""
        if not options["interactive"]:
            return
        number, is_bounded = count_some(work.events)
        if number:
            more = "more than " if is_bounded else ""
            events = f"{more}{count_events(number)} {work.subject}"
            say = "says" if number == 1 else "say"
            question = work.action.question.format(events=events, say=say)
            refusal = f"Nothing was {work.action.done}."
            self.confirm(f"{question} It can't be undone.", refusal, options)

    def run(self, work: Work, options: dict[str, Any]) -> Tally:
        """Do the same with each event, and write down of each who did it."""
        audit = Audit(work.action.done, work.subject, options["by"], options["reason"])
        run = partial(run_audited, action=work.action.run, audit=audit)
        return self.operate(work.events, run, options)

    def erase(self, work: Work, options: dict[str, Any]) -> Tally:
        """Erase all events of an order, and write down who did it, or do neither."""
        tally = Tally()
        try:
            tally.done = erase_all(work.events, work.subject, options["by"], options["reason"])
        except OperationError as error:
            raise CommandError(f"Nothing was erased. {error}") from error
        except KeyboardInterrupt as interrupt:
            self.stopped_by = interrupt
        return tally

    def report(self, work: Work, tally: Tally, causes: int, options: dict[str, Any]) -> None:
        """Print the result. Raises ``CommandError`` if something could not be done."""
        done = work.action.done
        if options["json"]:
            found = {done: tally.done, "left": tally.not_done, "causes": causes}
            found["dry_run"] = options["dry_run"]
            self.stdout.write(json.dumps({**found, "problems": tally.problems}))
        elif options["verbosity"]:
            text = describe_tally(tally, done, options["dry_run"])
            if causes:
                would = "would be " if options["dry_run"] else ""
                word = "cause" if causes == 1 else "causes"
                text += f", {causes} {word} {would}forgotten that no event has any more"
            if work.action is ERASE and not tally.total and not self.stopped_by:
                text = f"No event is of the order {options['erase_order']!a}."
            self.stdout.write(text)
        self.finish(list_problems(tally.problems))

    def show_audit(self) -> None:
        """Print what was written down of earlier runs."""
        if not history.is_installed():
            raise unable("Nothing is recorded: the app history is not installed.")
        records = history.read_audit(SHOWN_RECORDS)
        if not records:
            self.stdout.write("Nothing is recorded yet.")
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


def find_moment(options: dict[str, Any]) -> datetime:
    """Return before which moment everything that is touched was last changed."""
    moment: datetime = timezone.now() - timedelta(days=options["days"])
    return moment


def find_causes(options: dict[str, Any]) -> list[str]:
    """Return the keys of the causes to be forgotten; of an order there are none."""
    is_erasure = options["erase_order"] is not None
    return [] if is_erasure else list_forgotten_causes(find_moment(options))


def forget_causes(options: dict[str, Any]) -> int:
    """Forget the causes that are no longer needed, and return how many."""
    return sum(history.forget_cause(key, find_moment(options)) for key in find_causes(options))


def find_work(options: dict[str, Any]) -> Work:
    """Return what the options ask for."""
    if options["erase_order"] is not None:
        events = find_events_to_erase(options)
        return Work(ERASE, events, f"of the order {options['erase_order']!a}")
    events = find_final(find_moment(options), options["include_failed"])
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


def log_done(work: Work, tally: Tally, options: dict[str, Any]) -> None:
    """Write into the log who did it.

    With the order's id: it is the host's own, and an auditor asks by it.
    """
    if tally.done:
        events, by = count_events(tally.done), escape(options["by"])
        logger.info("%s %s %s by %s", events, work.subject, work.action.done, by)
