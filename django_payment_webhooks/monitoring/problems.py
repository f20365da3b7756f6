"""What is wrong, in sentences."""

from __future__ import annotations

from typing import Iterator, NamedTuple

from appconf import AppConf
from django.core.checks import ERROR
from django.core.checks.registry import registry

from .. import checks
from ..conf import settings
from ..models import Event
from .overview import DueCount, Overview, StatusCount


class OverviewConf(AppConf):
    """For how many seconds an event may be due, and nothing may sweep, until that is wrong."""

    HEALTH_DUE_AGE = 300
    HEALTH_SWEEP_AGE = 120

    class Meta:
        prefix = "payment_webhooks"


class Problem(NamedTuple):
    """Something that is wrong. A critical one can't wait until morning: events do not get on."""

    text: str
    is_critical: bool


def find_problems(overview: Overview) -> list[Problem]:
    """Return what is wrong, the critical problems first."""
    return [
        *(Problem(text, True) for text in find_critical_problems(overview)),
        *(Problem(text, False) for text in find_other_problems(overview)),
    ]


def find_critical_problems(overview: Overview) -> Iterator[str]:
    """Give what somebody must look at now."""
    yield from find_configuration_errors()
    due = overview.backlog.due
    if due.oldest_seconds > settings.PAYMENT_WEBHOOKS_HEALTH_DUE_AGE:
        yield (
            f"{describe_count(due, 'event is', 'events are')} due, the oldest for "
            f"{describe_time(due.oldest_seconds)}: no worker is processing events. Check that "
            f"workers are running and consume the right queue."
        )
    limit = settings.PAYMENT_WEBHOOKS_HEALTH_SWEEP_AGE
    if overview.sweeper is not None and overview.sweeper > limit:
        yield (
            f"No sweeper is running: the last sweep was {describe_time(overview.sweeper)} ago. "
            f"Until the next one no failed attempt is retried."
        )
    elif due.unswept_seconds > limit:
        yield (
            f"No sweeper is running, or it can't keep up: an event should have been enqueued again "
            f"{describe_time(due.unswept_seconds)} ago."
        )


def find_configuration_errors() -> Iterator[str]:
    """Give what the app's own system checks report as errors.

    A process that runs with them, as a web server does that was started without the checks, may
    refuse every webhook.
    """
    for check in registry.get_checks():
        if check.__module__ != checks.__name__:
            continue
        for message in check(app_configs=None):
            if message.level >= ERROR:
                yield " ".join(filter(None, [message.msg, message.hint, f"({message.id})"]))


def find_other_problems(overview: Overview) -> Iterator[str]:
    """Give what somebody must look at in working hours."""
    if not overview.broker:
        yield "The broker can't be reached. What is due is enqueued once it is back."
    failed = overview.backlog.statuses[Event.FAILED]
    if failed.oldest_seconds is not None:
        yield (
            f"{describe_count(failed, 'event has', 'events have')} failed, the oldest was received "
            f"{describe_time(failed.oldest_seconds)} ago. Fix the cause, then replay or resolve "
            f"them."
        )
    if overview.backlog.waiting_past_half:
        yield (
            f"{overview.backlog.waiting_past_half} of the waiting events have waited for more than "
            f"half of their time: what they require has not arrived."
        )
    for finding in overview.missed:
        yield (
            f"The webhook address missed {finding.missed} of {finding.checked} events of "
            f"{finding.provider} in the last {len(overview.hours)} hours. A backfill has received "
            f"them. Find out why their webhooks did not arrive."
        )


def describe_count(found: StatusCount | DueCount, one: str, several: str) -> str:
    """Return a number of events in words."""
    words = f"{found.number} {one if found.number == 1 else several}"
    return f"More than {words}" if found.is_bounded else words


def describe_time(seconds: float) -> str:
    """Return a time in words: in the largest unit of which there are at least two."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return "1 second" if int(seconds) == 1 else f"{int(seconds)} seconds"
