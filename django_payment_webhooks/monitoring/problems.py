"""What is wrong, in sentences."""

from __future__ import annotations

from datetime import datetime
from typing import Callable, Iterator, NamedTuple, Sequence

from appconf import AppConf
from django.core.checks import ERROR
from django.core.checks.registry import registry
from django.utils import timezone

from .. import checks, history
from ..conf import settings
from ..models import Event
from .causes import CauseCount, FailureCause
from .hints import find_hints
from .overview import DueCount, Overview, RetryingCount, StatusCount

# How many causes are named one by one, in each of three sorts.
MAX_NAMED = 5


class OverviewConf(AppConf):
    """For how many seconds something may go on until it is wrong, or critical."""

    # An event is due; nothing sweeps.
    HEALTH_DUE_AGE = 300
    HEALTH_SWEEP_AGE = 120
    # Events of a cause are being retried: since the oldest of them was received.
    HEALTH_RETRY_AGE = 300
    HEALTH_RETRY_CRITICAL_AGE = 60 * 60
    # An event that does not wait is unfinished.
    HEALTH_UNFINISHED_AGE = 60 * 60

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
            f"workers are running, consume the right queue, and use this database."
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
    retried = [cause for cause in find_retried(overview) if is_critical(cause)]
    yield from name_each(retried, describe_retried)


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
    # If its client is missing, that is said above.
    if not overview.broker and not checks.check_broker_client(None):
        yield "The broker can't be reached. What is due is enqueued once it is back."
    conflicts = history.count_open_conflicts()
    if conflicts:
        yield (
            f"{conflicts} open conflict{'s' if conflicts > 1 else ''}: the same event or effect "
            f"came again and says something else. Money may have been taken twice. Compare them, "
            f"then close them in the admin."
        )
    limit = settings.PAYMENT_WEBHOOKS_HEALTH_RETRY_AGE
    retried = [cause for cause in find_retried(overview) if not is_critical(cause)]
    old = [cause for cause in retried if find_seconds(cause.retrying_since) > limit]
    yield from name_each(old, describe_retried)
    failed = [cause for cause in overview.causes if cause.failed.number]
    yield from name_each([cause for cause in failed if not cause.is_acknowledged], describe_failed)
    yield from find_failed_beside(overview, failed)
    yield from find_unfinished(overview)
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
    yield from find_hints(overview)


# ---- failed and retried events


def find_retried(overview: Overview) -> list[FailureCause]:
    """Return the causes of events that are to be tried again, and that nobody has acknowledged."""
    return [
        cause for cause in overview.causes if cause.retrying.number and not cause.is_acknowledged
    ]


def is_critical(cause: FailureCause) -> bool:
    """Return whether what is being retried can't wait: it is surely a bug, or it lasts."""
    limit = settings.PAYMENT_WEBHOOKS_HEALTH_RETRY_CRITICAL_AGE
    return cause.is_bug or find_seconds(cause.retrying_since) > limit


def name_each(
    causes: Sequence[FailureCause], describe: Callable[[FailureCause], str]
) -> Iterator[str]:
    """Give a sentence for each cause, up to a bound."""
    for cause in causes[:MAX_NAMED]:
        yield describe(cause)
    more = len(causes) - MAX_NAMED
    if more > 0:
        yield f"{more} more {'cause' if more == 1 else 'causes'} of such events: see the overview."


def describe_retried(cause: FailureCause) -> str:
    """Return what is being retried, why, since when, and when the next attempt is."""
    count = describe_count(cause.retrying, "event is", "events are")
    since = describe_time(find_seconds(cause.retrying_since))
    return f"{count} being retried ({cause.title}; since {since}; {describe_next(cause)})."


def describe_next(cause: FailureCause) -> str:
    """Return when the next attempt at an event of a cause is."""
    if not cause.next_seconds:
        return "the next attempt is due"
    return f"next attempt in {describe_time(cause.next_seconds)}"


def describe_failed(cause: FailureCause) -> str:
    """Return what has failed, why, since when, and what to do."""
    count = describe_count(cause.failed, "event has", "events have")
    since = describe_time(find_seconds(cause.first))
    return (
        f"{count} failed ({cause.title}), the oldest was received {since} ago. Fix the cause, then "
        f"replay or resolve them."
    )


def find_failed_beside(overview: Overview, causes: Sequence[FailureCause]) -> Iterator[str]:
    """Give what has failed beside the causes that are known."""
    failed = overview.backlog.statuses[Event.FAILED]
    number = failed.number - sum(cause.failed.number for cause in causes)
    if number <= 0 or failed.oldest_seconds is None:
        return
    beside = failed._replace(number=number)
    others = " for other causes" if causes else ""
    yield (
        f"{describe_count(beside, 'event has', 'events have')} failed{others}, the oldest was "
        f"received {describe_time(failed.oldest_seconds)} ago. Fix the cause, then replay or "
        f"resolve them."
    )


def find_unfinished(overview: Overview) -> Iterator[str]:
    """Give what has come to no end, and neither waits nor is known to fail."""
    statuses = overview.backlog.statuses
    ages = [statuses[status].oldest_seconds or 0.0 for status in (Event.RECEIVED, Event.APPLIED)]
    retried = overview.backlog.retrying.oldest_seconds or 0.0
    oldest = max(ages)
    # A second, as each is read at a time of its own.
    if oldest > max(settings.PAYMENT_WEBHOOKS_HEALTH_UNFINISHED_AGE, retried + 1):
        yield (
            f"An event that was received {describe_time(oldest)} ago has still come to no end, and "
            f"no attempt at it is known to have failed. Check whether workers are killed, or can't "
            f"keep up."
        )


def describe_peace(overview: Overview) -> str:
    """Return what there is to say where there is no problem."""
    backlog = overview.backlog
    facts = []
    if backlog.retrying.number:
        facts.append(f"{describe_count(backlog.retrying, 'event is', 'events are')} being retried")
    if backlog.statuses[Event.FAILED].number:
        failed = describe_count(backlog.statuses[Event.FAILED], "event has", "events have")
        facts.append(f"{failed} failed for causes that are acknowledged")
    if not facts:
        return "Nothing is wrong."
    return f"Nothing needs attention: {', and '.join(facts)}."


# ---- words


def find_seconds(moment: datetime | None) -> float:
    """Return how many seconds ago a moment was, 0.0 if there is none."""
    return (timezone.now() - moment).total_seconds() if moment else 0.0


def describe_count(
    found: StatusCount | DueCount | RetryingCount | CauseCount, one: str, several: str
) -> str:
    """Return a number of events in words."""
    words = f"{found.number} {one if found.number == 1 else several}"
    return f"More than {words}" if found.is_bounded else words


def describe_time(seconds: float) -> str:
    """Return a time in words: in the largest unit of which there are at least two."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return "1 second" if int(seconds) == 1 else f"{int(seconds)} seconds"
