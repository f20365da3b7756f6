"""``manage.py resolve_payment_webhooks``."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from django.db.models import QuerySet

from ...operations.batches import Tally, count_some
from ...operations.resolve import RESOLVABLE, resolve
from ..filters import (
    add_batch,
    add_filters,
    add_limit,
    add_names,
    check_choice,
    choose,
    describe_missing,
    describe_nothing,
    is_named,
)
from ..operating import OperatingCommand, describe_tally, list_problems
from ..terminal import add_by, add_no_input, count_events, unable

REFUSAL = "Nothing was marked."


class Command(OperatingCommand):
    """Mark events as handled by hand."""

    help = (
        "Mark payment webhook events as handled by hand: someone has shipped the order, or has "
        "refunded it in the provider's portal. Their effect will not happen again. Name them by "
        "the provider's event ids, or select them with options, all of which must match. This "
        "can't be undone, so the command asks first. Exits with 0 if all of them were marked or "
        "none matched, and with 1 if some could not be marked or were not found."
    )
    after_failure = "What was marked is marked; run it again for the rest."

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        add_names(parser)
        add_filters(parser, RESOLVABLE, "default, unless events are named: failed")
        add = parser.add_argument
        add_limit(parser)
        add_batch(parser)
        add_by(parser, "has handled them")
        add_no_input(parser)
        add("--dry-run", action="store_true", help="only say how many events it would be")
        add("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Mark them, and print how many they were."""
        check_choice(options)
        if not options["reason"].strip():
            raise unable("Say what was done by hand, and why: --reason TEXT.")
        choice = choose(options)
        if options["dry_run"]:
            tally = Tally(done=count_all(choice.events, options["limit"]))
        else:
            self.ask(choice.events, options)
            mark = partial(resolve, by=options["by"], reason=options["reason"])
            tally = self.operate(choice.events, mark, options)
        self.report(tally, choice.missing, options)

    def ask(self, events: QuerySet, options: dict[str, Any]) -> None:
        """Raise ``CommandError`` unless whoever runs the command is sure."""
        if not options["interactive"]:
            return
        number, is_bounded = count_some(find_resolvable(events))
        limit = options["limit"]
        if limit is not None and number >= limit:
            number, is_bounded = limit, False
        if number:
            more = "more than " if is_bounded else ""
            question = f"Mark {more}{count_events(number)} as handled by hand? No event will have "
            question += f"{'its' if number == 1 else 'their'} effect any more. It can't be undone."
            self.confirm(question, REFUSAL, options)

    def report(self, tally: Tally, missing: list[str], options: dict[str, Any]) -> None:
        """Print the result. Raises ``CommandError`` if not every event could be marked."""
        is_told = tally.total or is_named(options) or self.stopped_by
        nothing = "" if is_told else describe_nothing(options)
        text = describe_tally(tally, "marked as handled by hand", options["dry_run"])
        if options["json"]:
            found = {"resolved": tally.done, "left": tally.not_done, "problems": tally.problems}
            found.update(not_found=missing, dry_run=options["dry_run"])
            self.stdout.write(json.dumps(found))
        elif options["verbosity"]:
            self.stdout.write(nothing or text)
        wrong = [describe_missing(name) for name in missing]
        wrong += list_problems(tally.problems)
        if tally.left:
            wrong.append(
                "Events that are processed or duplicates have had their effect already. Others "
                "have just been changed."
            )
        self.finish(wrong)


def count_all(events: QuerySet, limit: int | None) -> int:
    """Return how many events there are, up to a limit."""
    number = find_resolvable(events).count()
    return number if limit is None else min(number, limit)


def find_resolvable(events: QuerySet) -> QuerySet:
    """Return those of some events that can be marked: others were named."""
    return events.filter(status__in=RESOLVABLE)
