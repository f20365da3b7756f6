"""The overview: what is due, what waits, what came and what became of it, and what is wrong.

All of it is quick however many events there are: it reads a bounded number of rows by an index, or
the events of the last hours by the time of their receipt.
"""

from datetime import datetime, timedelta
from typing import Any, Dict, List, Optional

from appconf import AppConf
from django.apps import apps
from django.db import router
from django.db.models import Case, Count, IntegerField, Max, Min, Sum, Value, When
from django.utils import timezone

from .. import history
from ..conf import settings
from ..models import Event
from ..publisher import process
from .probes import Probe

# How many rows of a status are counted. What is more is told as "more than so many".
BOUND = 10000

Facts = Dict[str, Any]


class OverviewConf(AppConf):
    """When something is wrong, in seconds: how long an event may be due, and how long nothing may sweep."""

    HEALTH_DUE_AGE = 300
    HEALTH_SWEEP_AGE = 120

    class Meta:
        prefix = "payment_webhooks"


def read_backlog() -> Facts:
    """Return what there is to do, as a dictionary.

    ``statuses`` has for each status its ``count``, whether that ``is_bounded`` (there are more, which were not
    counted), and ``oldest_seconds``: how long ago the oldest was received, None if there is none.
    ``due`` has the same of the events that a worker may take now; its ``oldest_seconds`` is how
    long the oldest of those has been due, and
    ``unswept_seconds`` for how long the sweeper has left an event alone that it should have enqueued; both are 0.0 if
    there is none. ``waiting_past_half`` is how many events wait longer than half the time they
    have.
    """
    now = timezone.now()
    statuses = {status: read_status(status, now) for status in Event.TRANSITIONS}
    half = now - timedelta(seconds=settings.PAYMENT_WEBHOOKS_WAIT_DEADLINE / 2)
    waiting = Event.objects.filter(status=Event.WAITING).values("waiting_since")[:BOUND]
    past_half = waiting.aggregate(past=count_if(waiting_since__lt=half))["past"]
    return {"statuses": statuses, "due": read_due(now), "waiting_past_half": past_half}


def count_if(**conditions: Any) -> Count:
    """Return an aggregate that counts the rows for which the conditions hold."""
    return Count(Case(When(then=Value(1), **conditions), output_field=IntegerField()))


def read_status(status: str, now: datetime) -> Facts:
    """Return how many events have a status, and how old the oldest is."""
    events = Event.objects.filter(status=status).order_by("pk")
    count = events.values("pk")[: BOUND + 1].count()
    oldest = events.values_list("received_at", flat=True).first()
    age = (now - oldest).total_seconds() if oldest else None
    return {"count": min(count, BOUND), "is_bounded": count > BOUND, "oldest_seconds": age}


def read_due(now: datetime) -> Facts:
    """Return how many events are due, and for how long: of those that the sweeper looks at next."""
    unfinished = Event.objects.filter(enqueue_at__isnull=False).order_by("enqueue_at")
    some = unfinished.values("due_at", "enqueue_at")[: BOUND + 1]
    found = some.aggregate(
        all=Count("enqueue_at"),
        due=count_if(due_at__lte=now),
        oldest=Min("due_at"),
        unswept=Min("enqueue_at"),
    )
    return {
        "count": min(found["due"], BOUND),
        "is_bounded": found["all"] > BOUND,
        "oldest_seconds": read_age(found["oldest"], now),
        "unswept_seconds": read_age(found["unswept"], now),
    }


def read_age(moment: Optional[datetime], now: datetime) -> float:
    """Return how many seconds ago something was, 0.0 if it never was or is still to come."""
    return max((now - moment).total_seconds(), 0.0) if moment else 0.0


def read_overview(hours: int = 24) -> Facts:
    """Return the backlog, what came within the last hours, whether the machinery works, and the problems.

    Besides the backlog's: ``hours`` is a list, the oldest first and the present one last, of the ``start`` of each
    hour, how many events were ``received`` in it, and what ``statuses`` they have now. ``providers`` has for every
    provider of the settings for how many seconds it sent nothing, None if nothing came within these hours.
    ``rejected`` is a list of dictionaries with ``provider``, ``status``, ``reason`` and ``count``, ``sweeper`` how many
    seconds ago the last sweep was; without the app ``contrib.history`` they are empty and None. ``broker`` is whether
    it can be reached. ``problems`` is a list of sentences; ``is_critical`` is whether one of them can't wait.

    Only ``start`` needs Django's ``DjangoJSONEncoder``; all else is plain JSON.
    """
    now = timezone.now()
    overview = read_backlog()
    overview.update(read_hours(hours, now))
    since = overview["hours"][0]["start"]
    overview.update(
        rejected=read_rejected(since), sweeper=read_last_sweep(now), broker=is_broker_reachable()
    )
    overview.update(
        problems=find_problems(overview), is_critical=bool(find_critical_problems(overview))
    )
    return overview


def read_hours(hours: int, now: datetime) -> Facts:
    """Return what came in each of the last hours, and how long ago each provider sent its last event."""
    this_hour, read = now.replace(minute=0, second=0, microsecond=0), []
    last: Dict[str, Optional[datetime]] = dict.fromkeys(settings.PAYMENT_WEBHOOKS_PROVIDERS)
    for ago in reversed(range(hours)):
        start = this_hour - timedelta(hours=ago)
        within = Event.objects.filter(
            received_at__gte=start, received_at__lt=start + timedelta(hours=1)
        )
        statuses: Dict[str, int] = {}
        groups = within.values_list("status", "provider").annotate(Count("pk"), Max("received_at"))
        for status, provider, count, latest in groups.order_by("status", "provider"):
            statuses[status] = statuses.get(status, 0) + count
            if provider in last:
                last[provider] = max(latest, last[provider] or latest)
        read.append({"start": start, "received": sum(statuses.values()), "statuses": statuses})
    ages = {
        name: (now - moment).total_seconds() if moment else None for name, moment in last.items()
    }
    return {"hours": read, "providers": ages}


def read_rejected(since: datetime) -> List[Facts]:
    """Return how many webhooks were rejected, by provider, status and reason, the commonest first."""
    if not apps.is_installed(history.__name__):
        return []
    within = read_history("Rejection").filter(hour__gte=since)
    groups = (
        within.values("provider", "status", "reason")
        .annotate(total=Sum("count"))
        .order_by("-total")
    )
    return [dict(group, count=group.pop("total")) for group in groups]


def read_last_sweep(now: datetime) -> Optional[float]:
    """Return how many seconds ago the last sweep was, None if that is not recorded."""
    sweep = read_history("Sweep").first() if apps.is_installed(history.__name__) else None
    return (now - sweep.finished_at).total_seconds() if sweep else None


def read_history(name: str) -> Any:
    """Return all rows of a model of the history. The app is optional: only Django knows whether it is there."""
    model = apps.get_model("payment_webhooks_history", name)
    return model._default_manager.using(router.db_for_write(model))


# ---- the broker


def ask_broker() -> None:
    """Connect to the broker."""
    with process.app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)


broker = Probe(ask_broker)


def is_broker_reachable(timeout: float = 2) -> bool:
    """Return whether the broker lets us connect within so many seconds."""
    return broker.is_answered(timeout)


# ---- what is wrong


def find_problems(overview: Facts) -> List[str]:
    """Return a sentence for each thing that is wrong, what can't wait first."""
    return [*find_critical_problems(overview), *find_other_problems(overview)]


def find_critical_problems(overview: Facts) -> List[str]:
    """Return what somebody must look at now: events do not get on."""
    due, problems = overview["due"], []
    if due["oldest_seconds"] > settings.PAYMENT_WEBHOOKS_HEALTH_DUE_AGE:
        text = "%s due, the oldest for %s: no worker takes them. See whether workers run, and consume the right queue."
        problems.append(
            text % (tell_count(due, "event is", "events are"), tell_time(due["oldest_seconds"]))
        )
    if (
        overview["sweeper"] is not None
        and overview["sweeper"] > settings.PAYMENT_WEBHOOKS_HEALTH_SWEEP_AGE
    ):
        text = "Nothing sweeps: the last sweep was %s ago. Until one comes no attempt is repeated."
        problems.append(text % tell_time(overview["sweeper"]))
    elif due["unswept_seconds"] > settings.PAYMENT_WEBHOOKS_HEALTH_SWEEP_AGE:
        text = "Nothing sweeps, or not enough: an event should have been enqueued again %s ago."
        problems.append(text % tell_time(due["unswept_seconds"]))
    return problems


def find_other_problems(overview: Facts) -> List[str]:
    """Return what somebody must look at by daylight."""
    failed, problems = overview["statuses"][Event.FAILED], []
    if not overview["broker"]:
        problems.append("The broker can't be reached. What is due is enqueued once it is back.")
    if failed["count"]:
        text = "%s failed, the oldest came %s ago. Mend the cause, then replay or resolve them."
        problems.append(
            text
            % (tell_count(failed, "event has", "events have"), tell_time(failed["oldest_seconds"]))
        )
    if overview["waiting_past_half"]:
        text = "%d of the waiting events have waited for more than half of their time: what they require does not come."
        problems.append(text % overview["waiting_past_half"])
    return problems


def tell_count(facts: Facts, one: str, several: str) -> str:
    """Return a number of events in words."""
    words = "%d %s" % (facts["count"], one if facts["count"] == 1 else several)
    return "More than " + words if facts["is_bounded"] else words


def tell_time(seconds: float) -> str:
    """Return a time in words: in the largest unit of which there are at least two."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return "%d %s" % (seconds // size, unit)
    return "a second" if int(seconds) == 1 else "%d seconds" % seconds
