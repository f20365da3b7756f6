"""What is wrong, in sentences, in the reader's language."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any, Iterator, NamedTuple, Sequence

from appconf import AppConf
from django.core.checks import ERROR
from django.core.checks.registry import registry
from django.utils import timezone
from django.utils.translation import gettext, ngettext, pgettext

from .. import checks
from ..conf import settings
from ..models import Event
from ..operations.backfill import Finding
from .causes import FailureCause
from .hints import find_hints
from .overview import BOUND, DueCount, Overview, is_retrying
from .wording import describe_ago, describe_in, describe_time, show_conflicts, show_number

# How many causes are named one by one, critical ones and others.
MAX_NAMED = 5
# What a problem can be about other than a status: see :class:`Problem`.
CONFLICT, RETRYING, DUE, LATE, CAUSES = "conflict", "retrying", "due", "late", "causes"


class OverviewConf(AppConf):
    """How many seconds something may last before it is wrong, or critical."""

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


def find_state(event: Any) -> str:
    """Return the status of an event, or of some of its columns, or that it is being retried."""
    return RETRYING if is_retrying(event) else event.status


class Problem(NamedTuple):
    """Something that is wrong. A critical problem can't wait until morning: events are stuck.

    ``about`` says which events it is about: their status, ``retrying``, ``due``, ``late`` if they
    have waited long, or ``conflict``; ``causes`` if it is about causes; otherwise empty. ``cause``
    is the key of their cause.
    """

    text: str
    is_critical: bool = False
    about: str = ""
    cause: str = ""


def find_problems(overview: Overview) -> list[Problem]:
    """Return what is wrong, the critical problems first."""
    return [
        *(problem._replace(is_critical=True) for problem in find_critical_problems(overview)),
        *find_other_problems(overview),
    ]


def find_critical_problems(overview: Overview) -> Iterator[Problem]:
    """Yield the problems that need attention now."""
    yield from map(Problem, find_configuration_errors())
    yield from map(Problem, find_removed_providers())
    due = overview.backlog.due
    if due.oldest_seconds > settings.PAYMENT_WEBHOOKS_HEALTH_DUE_AGE:
        yield Problem(describe_due(due), about=DUE)
    limit = settings.PAYMENT_WEBHOOKS_HEALTH_SWEEP_AGE
    if overview.sweeper is not None and overview.sweeper > limit:
        text = gettext(
            "No sweeper is running, or all processes of the workers are busy: the last sweep was "
            "{ago}. Until the next one, no failed attempt is retried."
        )
        yield Problem(text.format(ago=describe_ago(overview.sweeper)))
    elif due.unswept_seconds > limit:
        text = gettext(
            "No sweeper is running, or it can't keep up: an event should have been enqueued again "
            "{ago}."
        )
        yield Problem(text.format(ago=describe_ago(due.unswept_seconds)))
    yield from name_each([cause for cause in find_news(overview) if is_critical(cause)])


def describe_due(due: DueCount) -> str:
    """Return how many events wait for a worker, and for how long."""
    text = ngettext(
        "{number} event is due, the oldest for {time}: no worker is processing events, or there "
        "are too few. Check that workers are running, consume the right queue, and use this "
        "database.",
        "{number} events are due, the oldest for {time}: no worker is processing events, or there "
        "are too few. Check that workers are running, consume the right queue, and use this "
        "database.",
        due.number,
    )
    return text.format(number=show_number(due), time=describe_time(due.oldest_seconds))


def find_configuration_errors() -> Iterator[str]:
    """Yield the errors that the app's own system checks report.

    A process that runs with them, as a web server does that was started without the checks, may
    refuse every webhook.
    """
    for check in registry.get_checks():
        if check.__module__ != checks.__name__:
            continue
        for message in check(app_configs=None):
            if message.level >= ERROR:
                yield " ".join(filter(None, [message.msg, message.hint, f"({message.id})"]))


def find_removed_providers() -> Iterator[str]:
    """Yield the providers with unfinished events that are no longer in the settings.

    Only a bounded number of unfinished events is read.
    """
    unfinished = Event.objects.filter(enqueue_at__isnull=False).order_by("enqueue_at")
    counts = Counter(unfinished.values_list("provider", flat=True)[:BOUND])
    for name, number in sorted(counts.items()):
        if name not in settings.PAYMENT_WEBHOOKS_PROVIDERS:
            yield ngettext(
                "{number} unfinished event can't be processed: its provider {provider} is no "
                "longer in PAYMENT_WEBHOOKS_PROVIDERS. Add it again until the event is finished, "
                "or handle the event by hand and resolve it.",
                "{number} unfinished events can't be processed: their provider {provider} is no "
                "longer in PAYMENT_WEBHOOKS_PROVIDERS. Add it again until the events are finished, "
                "or handle the events by hand and resolve them.",
                number,
            ).format(number=number, provider=name)


def find_other_problems(overview: Overview) -> Iterator[Problem]:
    """Yield the problems that need attention in working hours."""
    # A missing client is reported above.
    if not overview.broker and has_broker_client():
        text = gettext("The broker can't be reached. What is due is enqueued once it is back.")
        yield Problem(text)
    if overview.conflicts:
        yield Problem(describe_conflicts(overview.conflicts), about=CONFLICT)
    others = [cause for cause in find_news(overview) if not is_critical(cause)]
    yield from name_each([cause for cause in others if is_wrong(cause)])
    yield from find_failed_beside(overview)
    yield from find_unfinished(overview)
    waiting = overview.backlog.waiting_past_half
    if waiting:
        text = ngettext(
            "{number} waiting event has waited for more than half of its time: what it requires "
            "has not arrived.",
            "{number} waiting events have waited for more than half of their time: what they "
            "require has not arrived.",
            waiting,
        )
        yield Problem(text.format(number=waiting), about=LATE)
    for finding in overview.missed:
        yield Problem(describe_missed(finding, len(overview.hours)))
    for hint in find_hints(overview):
        yield Problem(hint)


def has_broker_client() -> bool:
    """Return whether the broker's client can be loaded. Without it, the broker can't be asked."""
    return not checks.check_broker_client(None)


def describe_conflicts(number: int) -> str:
    """Return how many conflicts are open, and what to do."""
    text = ngettext(
        "{number} event has an open conflict: the same event or effect came again and says "
        "something else. Money may have been taken twice. Compare the two, then close the "
        "conflict, with a note.",
        "{number} events have open conflicts: the same event or effect came again and says "
        "something else. Money may have been taken twice. Compare them, then close the "
        "conflicts, with a note.",
        number,
    )
    return text.format(number=show_conflicts(number))


def describe_missed(finding: Finding, hours: int) -> str:
    """Return what a backfill has found that webhooks should have brought."""
    text = ngettext(
        "The webhook address missed {missed} of {checked} events of {provider} in the last hour. "
        "A backfill has received them. Find out why their webhooks did not arrive.",
        "The webhook address missed {missed} of {checked} events of {provider} in the last "
        "{hours} hours. A backfill has received them. Find out why their webhooks did not arrive.",
        hours,
    )
    return text.format(hours=hours, **finding._asdict())


# ---- failed and retried events


def find_news(overview: Overview) -> list[FailureCause]:
    """Return the causes that nobody has acknowledged."""
    return [cause for cause in overview.causes if not cause.is_acknowledged]


def is_critical(cause: FailureCause) -> bool:
    """Return whether a retried cause can't wait: it is certainly a bug, or it lasts."""
    limit = settings.PAYMENT_WEBHOOKS_HEALTH_RETRY_CRITICAL_AGE
    is_old = find_seconds(cause.retrying_since) > limit
    return bool(cause.retrying.number) and (cause.is_bug or is_old)


def is_wrong(cause: FailureCause) -> bool:
    """Return whether events have failed, or are not merely retried for a moment."""
    limit = settings.PAYMENT_WEBHOOKS_HEALTH_RETRY_AGE
    return bool(cause.failed.number) or find_seconds(cause.retrying_since) > limit


def name_each(causes: Sequence[FailureCause]) -> Iterator[Problem]:
    """Give a problem for each cause, up to a bound."""
    for cause in causes[:MAX_NAMED]:
        about = Event.FAILED if cause.failed.number else RETRYING
        yield Problem(describe_cause(cause), about=about, cause=cause.key)
    more = len(causes) - MAX_NAMED
    if more > 0:
        text = ngettext(
            "{number} more cause of such events: see the causes.",
            "{number} more causes of such events: see the causes.",
            more,
        )
        yield Problem(text.format(number=more), about=CAUSES)


def describe_cause(cause: FailureCause) -> str:
    """Return what a cause has stopped, since when, and for how much money."""
    if not cause.failed.number:
        sentences = [describe_retried(cause)]
    elif cause.retrying.number:
        sentences = [describe_failed(cause), describe_more(cause)]
    else:
        sentences = [describe_failed(cause)]
    money = show_sums(cause.money, cause.is_partial)
    if money:
        sentences.append(gettext("Money: {money}.").format(money=money))
    return " ".join(sentences)


def show_sums(money: dict[str, Decimal], is_partial: bool) -> str:
    """Return sums of money by their currencies. If not all was read it may be more."""
    sums = ", ".join(f"{amount} {currency}" for currency, amount in sorted(money.items()))
    is_more = sums and is_partial
    return pgettext("money", "at least {sums}").format(sums=sums) if is_more else sums


def describe_retried(cause: FailureCause) -> str:
    """Return what is being retried, why, since when, and when the next attempt is."""
    text = ngettext(
        "{number} event is being retried ({cause}), the oldest was received {ago}.",
        "{number} events are being retried ({cause}), the oldest was received {ago}.",
        cause.retrying.number,
    ).format(
        number=show_number(cause.retrying),
        cause=cause.title,
        ago=describe_ago(find_seconds(cause.retrying_since)),
    )
    return f"{text} {describe_next(cause.next_seconds)}"


def describe_more(cause: FailureCause) -> str:
    """Return what is being retried beside what has failed for the same cause."""
    text = ngettext(
        "{number} more event is being retried.",
        "{number} more events are being retried.",
        cause.retrying.number,
    ).format(number=show_number(cause.retrying))
    return f"{text} {describe_next(cause.next_seconds)}"


def describe_next(seconds: float | None) -> str:
    """Return in how many seconds the next attempt is, in a sentence."""
    if not seconds:
        return gettext("The next attempt is due now.")
    return gettext("Next attempt {delay}.").format(delay=describe_in(seconds))


def describe_failed(cause: FailureCause) -> str:
    """Return what has failed, why, since when, and what to do."""
    text = ngettext(
        "{number} event has failed ({cause}), the oldest was received {ago}. Fix the cause, then "
        "replay or resolve it.",
        "{number} events have failed ({cause}), the oldest was received {ago}. Fix the cause, then "
        "replay or resolve them.",
        cause.failed.number,
    )
    return text.format(
        number=show_number(cause.failed),
        cause=cause.title,
        ago=describe_ago(find_seconds(cause.first)),
    )


def find_failed_beside(overview: Overview) -> Iterator[Problem]:
    """Give what has failed beside the causes that are known."""
    causes = [cause for cause in overview.causes if cause.failed.number]
    failed = overview.backlog.statuses[Event.FAILED]
    number = failed.number - sum(cause.failed.number for cause in causes)
    if number <= 0 or failed.oldest_seconds is None:
        return
    # All of them: those beside the causes are no list of their own.
    text = describe_others(failed.number) if causes else describe_unknown(number)
    text = text.format(number=show_number(failed), ago=describe_ago(failed.oldest_seconds))
    yield Problem(text, about=Event.FAILED)


def describe_unknown(number: int) -> str:
    """Return what there is to say of failed events without a cause, with places for what."""
    return ngettext(
        "{number} event has failed, the oldest was received {ago}. Fix the cause, then replay or "
        "resolve it.",
        "{number} events have failed, the oldest was received {ago}. Fix the cause, then replay or "
        "resolve them.",
        number,
    )


def describe_others(number: int) -> str:
    """Return what there is to say of failed events that have more causes than were named."""
    return ngettext(
        "{number} event has failed in all, not only for the causes that are listed; the oldest was "
        "received {ago}. Fix the causes, then replay or resolve it.",
        "{number} events have failed in all, not only for the causes that are listed; the oldest "
        "was received {ago}. Fix the causes, then replay or resolve them.",
        number,
    )


def find_unfinished(overview: Overview) -> Iterator[Problem]:
    """Yield what has come to no end, and neither waits nor is known to fail."""
    statuses = overview.backlog.statuses
    ages = [statuses[status].oldest_seconds or 0.0 for status in (Event.RECEIVED, Event.APPLIED)]
    retried = overview.backlog.retrying.oldest_seconds or 0.0
    oldest = max(ages)
    # A second, as each is read at a time of its own.
    if oldest > max(settings.PAYMENT_WEBHOOKS_HEALTH_UNFINISHED_AGE, retried + 1):
        text = gettext(
            "An event that was received {ago} is still unfinished, although no attempt at it is "
            "known to have failed. Check whether workers are killed or can't keep up."
        )
        received, applied = ages
        about = Event.RECEIVED if received >= applied else Event.APPLIED
        yield Problem(text.format(ago=describe_ago(oldest)), about=about)


def describe_peace(overview: Overview) -> str:
    """Return what there is to say where there is no problem."""
    retrying = overview.backlog.retrying
    failed = overview.backlog.statuses[Event.FAILED]
    if not retrying.number and not failed.number:
        return gettext("Nothing is wrong.")
    sentences = [gettext("Nothing needs attention.")]
    if retrying.number:
        text = ngettext(
            "{number} event is being retried.",
            "{number} events are being retried.",
            retrying.number,
        )
        sentences.append(text.format(number=show_number(retrying)))
    if failed.number:
        text = ngettext(
            "{number} event has failed for a cause that is acknowledged.",
            "{number} events have failed for causes that are acknowledged.",
            failed.number,
        )
        sentences.append(text.format(number=show_number(failed)))
    return " ".join(sentences)


def find_seconds(moment: datetime | None) -> float:
    """Return how many seconds ago a moment was, 0.0 if there is none."""
    return (timezone.now() - moment).total_seconds() if moment else 0.0
