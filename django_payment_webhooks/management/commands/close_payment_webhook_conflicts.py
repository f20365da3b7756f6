"""``manage.py close_payment_webhook_conflicts``."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from ... import history
from ...models import Event
from ...operations.batches import Tally
from ..filters import (
    add_batch,
    add_filters,
    add_limit,
    add_names,
    check_choice,
    describe_missing,
    describe_nothing,
    find_conflicting,
    find_events,
    find_named,
    is_named,
)
from ..operating import OperatingCommand, describe_tally, list_problems
from ..terminal import add_by, unable


class Command(OperatingCommand):
    """Close the conflicts of events."""

    help = (
        "Close the open conflicts of payment webhook events, once someone has compared what came "
        "first with what came later, and has corrected what was wrong. list_payment_webhooks "
        "--conflict open lists the events, show_payment_webhook shows what differs. Name the "
        "events by the provider's event ids, or select them with options, all of which must "
        "match. Their status stays. Exits with 0 if all of them were closed or none matched, and "
        "with 1 if some had no open conflict or were not found."
    )
    after_failure = "What was closed is closed; run it again for the rest."

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        add_names(parser)
        add_filters(parser, Event.TRANSITIONS, "default: all")
        add_limit(parser)
        add_batch(parser)
        add_by(parser, "closes them")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Close them, and print of how many events."""
        check_choice(options)
        if not options["reason"].strip():
            raise unable("Say what was found, and what was done: --reason TEXT.")
        choice = find_named(options, find_events(options))
        conflicting = find_conflicting(choice.events)
        events = choice.events if is_named(options) else conflicting
        close = partial(history.close_conflicts, by=options["by"], reason=options["reason"])
        self.report(self.operate(events, close, options), choice.missing, options)

    def report(self, tally: Tally, missing: list[str], options: dict[str, Any]) -> None:
        """Print the result. Raises ``CommandError`` if not every event had a conflict to close."""
        is_told = tally.total or is_named(options) or self.stopped_by
        nothing = "" if is_told else describe_nothing(options)
        text = f"Conflicts of {describe_tally(tally, 'closed', is_dry_run=False)}"
        if options["json"]:
            found = {"closed": tally.done, "left": tally.not_done, "problems": tally.problems}
            self.stdout.write(json.dumps({**found, "not_found": missing}))
        elif options["verbosity"]:
            self.stdout.write(nothing or text)
        wrong = [describe_missing(name) for name in missing]
        wrong += list_problems(tally.problems)
        if tally.left:
            wrong.append("Events that were left have no open conflict.")
        self.finish(wrong)
