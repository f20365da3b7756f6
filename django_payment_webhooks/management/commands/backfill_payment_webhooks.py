"""``manage.py backfill_payment_webhooks``."""

from __future__ import annotations

import json
from typing import Any, Iterator

from django.core.serializers.json import DjangoJSONEncoder

from ...operations.backfill import is_installed
from ...operations.backfill.paging import Pace
from ...operations.backfill.periods import Period
from ...operations.backfill.runs import Report, backfill, find_unfinished, rehearse
from ...operations.backfill.sources import SourceError, get_source
from ...providers.escaping import escape
from ..listing import FAILED, FOUND, NOTHING, ListCommand

# How many orders are printed.
MAX_SHOWN = 20
NOT_INSTALLED = (
    "A backfill keeps its place in a table of its own: add "
    '"django_payment_webhooks.operations.backfill.apps.BackfillConfig" to '
    "INSTALLED_APPS, and run migrate. "
    "Only --dry-run does without it."
)


class Command(ListCommand):
    """Receive the events of a provider's list that never arrived as webhooks."""

    help = (
        "Find missed payment webhooks: read the provider's own list of events for a period, with "
        "the source that PAYMENT_WEBHOOKS_SOURCES names, and receive those that never arrived as "
        "webhooks. Each has its effect once, however it arrived. Run it at any time. If it is "
        "stopped, run the same command again: it continues where it stopped. Exits with 0 if "
        "nothing was missed, with 1 if something was, and with 2 if the list could not be read "
        "to the end, or had items that could not be read."
    )
    advice = (
        "What was received stays received. Run the same command again to continue where it "
        "stopped, or add --restart to start over."
    )
    noun = "events"

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        self.add_list_arguments(parser)
        add = parser.add_argument
        text = "start over, instead of continuing where the last backfill stopped"
        add("--restart", action="store_true", help=text)
        add("--dry-run", action="store_true", help="store nothing, and say what would be stored")
        add("--json", action="store_true", help="print the result as JSON")

    def work(self, period: Period, pace: Pace, options: dict[str, Any]) -> int:
        """Do the work, print what it found, and return the exit code."""
        provider = options["provider"]
        get_source(provider)
        if options["dry_run"]:
            report = rehearse(provider, period, pace)
        elif not is_installed():
            raise SourceError(NOT_INSTALLED)
        else:
            self.say_where_it_goes_on(provider, period, options)
            report = backfill(provider, period, pace, options["restart"])
        self.line.clear()
        self.write_report(report, options)
        if report.unreadable:
            return FAILED
        return FOUND if report.missed else NOTHING

    def say_where_it_goes_on(self, provider: str, period: Period, options: dict[str, Any]) -> None:
        """Say that an unfinished backfill is continued, if there is one."""
        run = None if options["restart"] else find_unfinished(provider, period)
        if run is not None and run.pages and options["verbosity"]:
            self.stderr.write(
                f"Continuing the backfill of {provider} {Period(run.since, run.until)}, after "
                f"{run.checked} events. --restart starts over."
            )

    def write_report(self, report: Report, options: dict[str, Any]) -> None:
        """Print what was found."""
        if options["json"]:
            found = {**report._asdict(), "missed": report.missed, "dry_run": options["dry_run"]}
            self.stdout.write(json.dumps(found, cls=DjangoJSONEncoder))
            return
        # What was missed is printed in any case: cron mails it.
        if options["verbosity"] or report.missed:
            for line in describe(report, options["dry_run"]):
                self.stdout.write(line)
        for reason, count in report.problems.items():
            self.stderr.write(f"{describe_unreadable(count)}: {escape(reason)}")


def describe(report: Report, is_dry_run: bool) -> Iterator[str]:
    """Yield the lines of a report."""
    period = Period(report.since.timestamp(), report.until.timestamp())
    yield (
        f"The webhook address missed {report.missed} of {report.checked} events of "
        f"{report.provider} {period}."
    )
    if report.unreadable:
        yield f"{describe_unreadable(report.unreadable)}. Nothing of that is stored."
    if not report.missed:
        return
    yield "They would be stored:" if is_dry_run else "They are stored now:"
    for event_type, count in sorted(report.types.items()):
        yield f"  {escape(event_type)}: {count}"
    if report.orders:
        shown = ", ".join(escape(order_id) for order_id in report.orders[:MAX_SHOWN])
        more = len(report.orders) - MAX_SHOWN
        yield f"Orders: {shown}{f' and {more} more' if more > 0 else ''}"


def describe_unreadable(count: int) -> str:
    """Return in words that some items of a list make no sense."""
    return "1 item makes no sense" if count == 1 else f"{count} items make no sense"
