"""``manage.py list_payment_webhooks``."""

from __future__ import annotations

import json
from typing import Any

from ...models import Event
from ...monitoring.causes import STATUSES
from ...monitoring.newest import MAX_KEYS, list_newest
from ...monitoring.problems import RETRYING
from ..filters import add_filters, add_limit, describe_nothing, find_events
from ..tables import draw_table, make_row, write_csv
from ..terminal import TerminalCommand, find_width

NAMES = (
    *("key", "received_at", "status", "attempts", "provider", "type", "order_id", "payment_id"),
    *("money", "event_id", "cause", "error"),
)


class Command(TerminalCommand):
    """List events."""

    help = (
        "List payment webhook events, the newest first. All options must match; without any, the "
        "newest events are listed. An event is retrying if an attempt at it has failed and another "
        "will follow. Errors are redacted. Exits with 0, even if no event matches, and with 2 if "
        "an option has an unknown name."
    )

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        add_filters(parser, {*Event.TRANSITIONS, RETRYING}, "default: all")
        add = parser.add_argument
        add_limit(parser, default=50)
        add("--oldest-first", action="store_true", help="list the oldest events, not the newest")
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print one JSON object")
        text = "print a file for a spreadsheet, safe from formulas"
        form.add_argument("--csv", action="store_true", help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        """List them."""
        found = list_events(options, options["limit"] + 1)
        rows = [make_row(event) for event in found[: options["limit"]]]
        nothing = "" if rows else describe_nothing(options)
        has_more = len(found) > len(rows)
        if options["json"]:
            self.stdout.write(json.dumps({"events": rows, "has_more": has_more}))
            return
        if options["csv"]:
            write_csv(self.stdout, rows, NAMES)
        else:
            lines = [nothing] if nothing else draw_table(rows, find_width(self.stdout))
            self.stdout.write("\n".join(lines))
        if has_more:
            shown = "this event" if len(rows) == 1 else f"these {len(rows)} events"
            text = f"There are more than {shown}: raise --limit, or narrow it down by the options."
            self.stderr.write(text)


def list_events(options: dict[str, Any], limit: int) -> list[Event]:
    """Return the newest events that match the options, or the oldest, up to a number of them."""
    order = "pk" if options["oldest_first"] else "-pk"
    statuses = options["status"] or (STATUSES if options["cause"] else [])
    if not statuses or RETRYING in statuses or limit > MAX_KEYS:
        return list(find_events(options).order_by(order)[:limit])
    others = find_events({**options, "status": []})
    is_oldest_first, by_cause = options["oldest_first"], bool(options["cause"])
    keys = list_newest(others, statuses, limit, by_cause, is_oldest_first)
    return list(Event.objects.filter(pk__in=keys).order_by(order))
