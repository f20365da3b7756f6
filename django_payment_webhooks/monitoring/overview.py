"""The overview: what is due, what waits, what was received and what became of it.

It is quick however many events there are: it reads a bounded number of rows through an index, or
the events of the last hours by their time of receipt.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Case, Count, IntegerField, Min, Q, Value, When
from django.utils import timezone

from .. import history
from ..conf import settings
from ..models import Event
from ..operations import backfill
from ..publisher import process
from .causes import (
    MAX_CAUSES,
    MAX_COUNTED,
    UNFINISHED,
    CauseCount,
    FailureCause,
    count_keys,
    list_keys,
    read_named,
    read_times,
)
from .hours import Hour, count_hour, find_ages, read_received
from .newest import list_newest, sort_newest
from .probes import Probe

# The most rows of a status that are counted. Beyond, it is only known that there are more.
BOUND = MAX_COUNTED
# The most rows read where no index has the answer, as each may be on another page.
MAX_READ = 2000
# The most events whose money the overview reads.
MAX_PARSED = 100


class StatusCount(NamedTuple):
    """How many events have a status.

    ``is_bounded`` is whether there are more, which were not counted; ``oldest_seconds`` how long
    ago the oldest was received, None if there is none.
    """

    number: int
    is_bounded: bool
    oldest_seconds: float | None


class DueCount(NamedTuple):
    """How many events a worker may take now.

    ``oldest_seconds`` is how long the oldest has been due, ``unswept_seconds`` for how long the
    sweeper has left an event alone that it should have enqueued; both are 0.0 if there is none.
    """

    number: int
    is_bounded: bool
    oldest_seconds: float
    unswept_seconds: float


class RetryingCount(NamedTuple):
    """How many unfinished events have a failed attempt behind them, which is to be repeated.

    ``oldest_seconds`` is how long ago the oldest was received, ``next_seconds`` in how many seconds
    the next attempt is due, 0.0 if it is now; both are None if there is none. If there are many,
    they are those of some of the events.
    """

    number: int
    is_bounded: bool
    oldest_seconds: float | None
    next_seconds: float | None


class Backlog(NamedTuple):
    """The unfinished events.

    ``statuses`` has a :class:`StatusCount` for each status; ``waiting_past_half`` is how many
    events have waited longer than half the time they have. Those that are ``retrying`` are counted
    with their status, too.
    """

    statuses: dict[str, StatusCount]
    due: DueCount
    waiting_past_half: int
    retrying: RetryingCount


class Overview(NamedTuple):
    """The state of all events.

    ``causes`` has a ``FailureCause`` for each cause of failed and of retried events that is known,
    up to a number of them; ``cause_number`` is how many there are.
    ``hours`` has an :class:`Hour` for each of the last hours, the present one last. ``providers``
    has for every provider of the settings how many seconds ago its last event came, None if none
    came within these hours. ``rejected`` says how many webhooks were rejected, each with its
    ``provider``, ``status``, ``reason`` and ``number``; ``sweeper`` how many seconds ago the last
    sweep was. Without the app ``history`` they are empty and None. ``broker`` is whether the broker
    can be reached. ``missed`` says what backfills found that ended within these hours, each with
    its ``provider``, ``missed`` and ``checked``; without the app ``backfill`` it is empty.
    ``conflicts`` is how many events have an open conflict, counted up to a bound; 0 without
    ``history``.
    """

    backlog: Backlog
    causes: list[FailureCause]
    cause_number: CauseCount
    hours: list[Hour]
    providers: dict[str, float | None]
    rejected: list[history.RejectionCount]
    sweeper: float | None
    broker: bool
    missed: list[backfill.Finding]
    conflicts: int

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for JSON. ``start`` needs Django's ``DjangoJSONEncoder``.

        The contents of ``backlog`` are on the top level, and a ``number`` is called ``count``.
        """
        statuses = {name: count_to_dict(found) for name, found in self.backlog.statuses.items()}
        return {
            "statuses": statuses,
            "due": count_to_dict(self.backlog.due),
            "waiting_past_half": self.backlog.waiting_past_half,
            "retrying": count_to_dict(self.backlog.retrying),
            "causes": [cause.to_dict() for cause in self.causes],
            "cause_number": count_to_dict(self.cause_number),
            "hours": [hour._asdict() for hour in self.hours],
            "providers": self.providers,
            "rejected": [count_to_dict(rejection) for rejection in self.rejected],
            "sweeper": self.sweeper,
            "broker": self.broker,
            "missed": [finding._asdict() for finding in self.missed],
            "conflicts": self.conflicts,
        }


def count_to_dict(
    found: StatusCount | DueCount | RetryingCount | CauseCount | history.RejectionCount,
) -> dict[str, Any]:
    """Return a count as plain JSON; the record has no field ``count``, as tuples are counted so."""
    values = dict(found._asdict())
    values["count"] = values.pop("number")
    return values


def read_overview(hours: int = 24, causes: int = MAX_CAUSES) -> Overview:
    """Return the backlog, what was received in the last hours, and whether the machinery works.

    ``causes`` is the most causes to read.
    """
    now = timezone.now()
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    starts = [this_hour - timedelta(hours=ago) for ago in reversed(range(hours))]
    received = read_received(starts)
    keys = list_keys()
    swept_at = history.read_last_sweep()
    return Overview(
        backlog=read_backlog(),
        causes=read_named(keys[:causes], MAX_PARSED),
        cause_number=count_keys(keys),
        hours=[count_hour(start, found) for start, found in zip(starts, received)],
        providers=find_ages(received, now),
        rejected=history.read_rejections(starts[0]),
        sweeper=(now - swept_at).total_seconds() if swept_at else None,
        broker=is_broker_reachable(),
        missed=backfill.read_findings(starts[0]),
        conflicts=history.count_open_conflicts(),
    )


# ---- the backlog


def read_backlog() -> Backlog:
    """Return the backlog."""
    return Backlog(read_statuses(), read_due(), read_waiting_past_half(), read_retrying())


def read_statuses() -> dict[str, StatusCount]:
    """Return the number of events with each status, and the age of the oldest."""
    now, events = timezone.now(), Event.objects.all()
    oldest = {
        status: key
        for status in Event.TRANSITIONS
        for key in list_newest(events, [status], 1, oldest=True)
    }
    times = read_times(list(oldest.values()))
    found = {}
    for status in Event.TRANSITIONS:
        number = sort_newest(events, status).values("pk")[: BOUND + 1].count()
        received_at = times.get(oldest.get(status, 0))
        age = (now - received_at).total_seconds() if received_at else None
        found[status] = StatusCount(min(number, BOUND), number > BOUND, age)
    return found


def read_due() -> DueCount:
    """Return how many events are due, and for how long, among those that the sweeper takes next."""
    now = time.time()
    unfinished = Event.objects.filter(enqueue_at__isnull=False).order_by("enqueue_at")
    some = unfinished.values("due_at", "enqueue_at")[: MAX_READ + 1]
    found = some.aggregate(
        all=Count("enqueue_at"),
        due=count_if(due_at__lte=now),
        oldest=Min("due_at"),
        unswept=Min("enqueue_at"),
    )
    return DueCount(
        number=min(found["due"], MAX_READ),
        is_bounded=found["all"] > MAX_READ,
        oldest_seconds=find_age(found["oldest"], now),
        unswept_seconds=find_age(found["unswept"], now),
    )


def match_retrying() -> Q:
    """Return the condition for events that will be retried after a failed attempt."""
    return Q(status__in=UNFINISHED, cause_key__isnull=False)


def is_retrying(event: Event) -> bool:
    """Return whether an event will be retried after a failed attempt."""
    return event.status in UNFINISHED and event.cause_key is not None


def read_retrying() -> RetryingCount:
    """Return how many events will be retried after a failed attempt, and when."""
    retrying = Event.objects.filter(match_retrying())
    number = retrying.values("pk")[: BOUND + 1].count()
    some = retrying.values("received_at", "due_at")[:MAX_READ]
    found = some.aggregate(oldest=Min("received_at"), next=Min("due_at"))
    if not number or found["oldest"] is None:
        return RetryingCount(0, False, None, None)
    return RetryingCount(
        number=min(number, BOUND),
        is_bounded=number > BOUND,
        oldest_seconds=(timezone.now() - found["oldest"]).total_seconds(),
        next_seconds=max((found["next"] or 0.0) - time.time(), 0.0),
    )


def read_waiting_past_half() -> int:
    """Return how many events have waited for more than half of their time, up to a bound."""
    half = time.time() - settings.PAYMENT_WEBHOOKS_WAIT_DEADLINE / 2
    waiting = Event.objects.filter(status=Event.WAITING).values("waiting_since")[:MAX_READ]
    past: int = waiting.aggregate(past=count_if(waiting_since__lt=half))["past"]
    return past


def match_due() -> Q:
    """Return the condition for events that a worker may take now."""
    return Q(enqueue_at__isnull=False, due_at__lte=time.time())


def match_late() -> Q:
    """Return the condition for events that have waited for more than half of their time."""
    half = time.time() - settings.PAYMENT_WEBHOOKS_WAIT_DEADLINE / 2
    return Q(status=Event.WAITING, waiting_since__lt=half)


def count_if(**conditions: Any) -> Count:
    """Return an aggregate that counts the rows for which the conditions hold."""
    return Count(Case(When(then=Value(1), **conditions), output_field=IntegerField()))


def find_age(moment: float | None, now: float) -> float:
    """Return how many seconds ago something was, or 0.0 if it never was or is in the future."""
    return max(now - moment, 0.0) if moment else 0.0


# ---- the broker


def ask_broker() -> None:
    """Connect to the broker."""
    with process.app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)


broker = Probe(ask_broker)


def is_broker_reachable(timeout: float = 2) -> bool:
    """Return whether the broker accepts a connection within ``timeout`` seconds."""
    return broker.is_answered(timeout)
