"""``manage.py payment_webhooks_status``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any, Iterator, Sequence

from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error

from ... import history
from ...monitoring.causes import MAX_CAUSES, MAX_LISTED, CauseCount, FailureCause
from ...monitoring.overview import Overview, RetryingCount, read_overview
from ...monitoring.problems import (
    CONFLICT,
    Problem,
    describe_peace,
    find_problems,
    has_broker_client,
)
from ...monitoring.wording import (
    describe_ago,
    describe_in,
    describe_time,
    show_conflicts,
    show_number,
)
from ...providers.escaping import reveal
from ..terminal import TerminalCommand, between, describe_database

OK, WARNING, CRITICAL = range(3)
# Each hour is a query: a month.
MAX_HOURS = 31 * 24


class Command(TerminalCommand):
    """Show the overview."""

    help = (
        "Show which payment webhook events are due, waiting and failed, what was received in the "
        "last hours, and what is wrong. Exits with 0 if nothing is wrong, with 1 if something "
        "needs attention in working hours, and with 2 if it can't wait: events are not being "
        "processed, or the database can't be queried."
    )

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        add = parser.add_argument
        hours, text = between(1, MAX_HOURS), "look back N hours (default: 24)"
        add("--hours", type=hours, default=24, metavar="N", help=text)
        causes, text = between(1, MAX_LISTED), "show N causes of failures (default: %(default)s)"
        add("--causes", type=causes, default=MAX_CAUSES, metavar="N", help=text)
        text = "leave out what can wait until morning: exit with 0 if nothing else is wrong"
        add("--only-critical", action="store_true", help=text)
        add("--json", action="store_true", help="print all of it as JSON, the ages in seconds")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the overview, and exit with what it comes to."""
        try:
            overview = read_overview(options["hours"], options["causes"])
        except Error as error:
            text = describe_database(error)
            if options["json"]:
                self.stdout.write(json.dumps({"problems": [text], "is_critical": True}))
            self.stderr.write(f"CRITICAL: {text}")
            sys.exit(CRITICAL)
        problems = find_problems(overview)
        if options["only_critical"]:
            problems = [problem for problem in problems if problem.is_critical]
        if options["json"]:
            self.write_json(overview, problems)
        else:
            self.write_text(overview, problems, options)
        code = find_exit_code(problems)
        if code != OK:
            sys.exit(code)

    def write_json(self, overview: Overview, problems: Sequence[Problem]) -> None:
        """Write all of it for a script."""
        found = overview.to_dict()
        found["problems"] = [problem.text for problem in problems]
        found["is_critical"] = any(problem.is_critical for problem in problems)
        self.stdout.write(json.dumps(found, cls=DjangoJSONEncoder))

    def write_text(
        self, overview: Overview, problems: Sequence[Problem], options: dict[str, Any]
    ) -> None:
        """Write it for reading: nothing but the problems if no details are wanted."""
        if options["verbosity"]:
            for line in describe(overview):
                self.stdout.write(line)
        for problem in problems:
            if problem.is_critical:
                self.stdout.write(self.style.ERROR(f"CRITICAL: {reveal(problem.text)}"))
            else:
                self.stdout.write(self.style.WARNING(f"WARNING: {reveal(problem.text)}"))
            listing = describe_listing(problem)
            if listing:
                self.stdout.write(f"  {listing}")
        if options["verbosity"] and not problems:
            peace = describe_peace(overview)
            text = "Nothing is critical." if options["only_critical"] else peace
            self.stdout.write(self.style.SUCCESS(text))


def describe_listing(problem: Problem) -> str:
    """Return the command that lists the events that a problem speaks of, "" if there is none."""
    command = "manage.py list_payment_webhooks"
    if problem.about == CONFLICT:
        return f"{command} --conflict open"
    return f"{command} --cause {problem.cause} --status {problem.about}" if problem.cause else ""


def find_exit_code(problems: Sequence[Problem]) -> int:
    """Return what the problems come to."""
    if any(problem.is_critical for problem in problems):
        return CRITICAL
    return WARNING if problems else OK


def describe(overview: Overview) -> Iterator[str]:
    """Yield the lines of the overview."""
    yield from describe_backlog(overview)
    yield ""
    if overview.causes:
        yield from describe_causes(overview.causes)
        yield from describe_more(overview)
        yield ""
    yield from describe_hours(overview)
    yield from describe_machinery(overview)
    yield ""


def describe_backlog(overview: Overview) -> Iterator[str]:
    """Yield the lines about what there is."""
    yield f"{'':12}{'events':>10}   oldest"
    backlog = overview.backlog
    for name, found in [*backlog.statuses.items(), ("due", backlog.due)]:
        age = describe_time(found.oldest_seconds) if found.number else ""
        yield f"{name:12}{show_number(found):>10}   {age}".rstrip()
    yield describe_retrying(backlog.retrying)
    if history.is_installed():
        yield f"{'conflicts':12}{show_conflicts(overview.conflicts):>10}   open".rstrip()


def describe_retrying(found: RetryingCount) -> str:
    """Return the line about what is to be tried again."""
    count = show_number(found)
    if found.oldest_seconds is None:
        return f"{'retrying':12}{count:>10}"
    due = f"next attempt {describe_in(found.next_seconds)}" if found.next_seconds else "due"
    return f"{'retrying':12}{count:>10}   {describe_time(found.oldest_seconds)}, {due}"


def describe_causes(causes: Sequence[FailureCause]) -> Iterator[str]:
    """Yield a line about each cause, with the key by which its events are listed and replayed."""
    for cause in causes:
        failed = f"{show_number(cause.failed)} failed"
        retrying = f"{show_number(cause.retrying)} retrying"
        note = f" (acknowledged by {cause.record.acknowledged_by})" if cause.is_acknowledged else ""
        yield f"{cause.key}: {failed}, {retrying}: {reveal(cause.title)}{note}"


def describe_more(overview: Overview) -> Iterator[str]:
    """Yield a line about the causes that are not shown, if there are any."""
    number, is_bounded = overview.cause_number
    more = number - len(overview.causes)
    if more > 0:
        causes = "cause" if more == 1 and not is_bounded else "causes"
        shown = show_number(CauseCount(more, is_bounded))
        yield f"… and {shown} more {causes}: --causes {number} shows them."


def describe_hours(overview: Overview) -> Iterator[str]:
    """Yield the lines about what came."""
    statuses = sum((Counter(hour.statuses) for hour in overview.hours), Counter())
    found = [status for status in overview.backlog.statuses if status in statuses]
    now = ", ".join(f"{statuses[status]} {status}" for status in found)
    received = f"Received in {len(overview.hours)} hours: {sum(statuses.values())}"
    yield f"{received} (now {now})" if now else received
    for name, seconds in overview.providers.items():
        yield f"Last event of {name}: {describe_age(seconds, 'none')}"
    for rejection in overview.rejected:
        provider = rejection.provider or "an unknown provider"
        answer = f"{rejection.status} {rejection.reason}"
        yield f"Rejected of {provider}: {rejection.number} times {answer}"


def describe_machinery(overview: Overview) -> Iterator[str]:
    """Yield the lines about what moves the events."""
    yield f"Last sweep: {describe_age(overview.sweeper, 'not recorded')}"
    yield f"Broker: {describe_broker(overview)}"


def describe_broker(overview: Overview) -> str:
    """Return whether the broker can be reached, or why that is not known."""
    if overview.broker:
        return "reachable"
    return "not reachable" if has_broker_client() else "its client can't be loaded"


def describe_age(seconds: float | None, never: str) -> str:
    """Return in words how long ago something was."""
    return never if seconds is None else describe_ago(seconds)
