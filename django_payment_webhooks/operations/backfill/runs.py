"""Backfills: receives each event in a provider's list as if it had come as a webhook."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Iterator, NamedTuple

from django.db.models import Count
from django.utils import timezone

from ...conf import get_provider
from ...exceptions import Overtaken
from ...models import Event
from ...publisher import flush
from ...receiving import receive_events
from .items import Sorted, sort_items
from .models import Run
from .paging import Pace, Recent, Step
from .periods import Period, read_unix
from .signals import webhooks_missed
from .sources import Source, SourceError, get_source

logger = logging.getLogger("django_payment_webhooks")

# How many orders of missed events a report names, and how many reasons.
MAX_ORDERS = 1000
MAX_PROBLEMS = 20
# The clocks of two machines differ.
CLOCK_ERROR = timedelta(hours=1)
# How long finished runs are kept.
KEPT = timedelta(days=90)


class Report(NamedTuple):
    """What a backfill found, or what its dry run would find.

    ``checked`` is how many events the provider's list has, ``types`` how many of each type had been
    missed, ``orders`` the ids of their orders, up to a bound. ``unreadable`` is how many items of
    the list make no sense and are not stored, ``problems`` why.
    """

    provider: str
    since: datetime
    until: datetime
    checked: int
    types: dict[str, int]
    orders: list[str]
    unreadable: int
    problems: dict[str, int]

    @property
    def missed(self) -> int:
        """How many events had been missed."""
        return sum(self.types.values())

    def add(self, other: Report) -> Report:
        """Return one report of two, of which the other began later."""
        orders = list(dict.fromkeys([*self.orders, *other.orders]))
        return self._replace(
            since=min(self.since, other.since),
            until=max(self.until, other.until),
            checked=self.checked + other.checked,
            types=dict(Counter(self.types) + Counter(other.types)),
            orders=orders[:MAX_ORDERS],
            unreadable=self.unreadable + other.unreadable,
            problems=dict(Counter(self.problems) + Counter(other.problems)),
        )


class Passage:
    """Goes through a provider's list of events for a period, page by page."""

    def __init__(self, provider: str, period: Period, pace: Pace) -> None:
        self.source: Source = get_source(provider)
        self.provider = get_provider(provider)
        self.period = period
        self.pace = pace
        self.recent = Recent()
        self.problems: Counter[str] = Counter()

    def read_pages(self, cursor: str = "") -> Iterator[tuple[Sorted, str]]:
        """Yield each page's items, sorted, and the cursor of the next page."""
        since, until = map(read_unix, self.period)
        fetch = partial(self.source.fetch_events, since, until)
        for page in self.pace.read_pages(fetch, cursor):
            found = sort_items(self.provider, page.items, self.recent)
            yield found, page.next_cursor
            self.pace.checked += found.checked
            problems = self.problems + found.problems
            self.problems = Counter(dict(problems.most_common(MAX_PROBLEMS)))
            self.pace.watch(Step(self.pace.checked, self.find_share(found)))

    def find_share(self, found: Sorted) -> float | None:
        """Return how much of the period is done. Some lists begin with the newest event."""
        if not found.moments:
            return None
        first, last = found.moments
        return self.period.find_share(last.timestamp(), is_backwards=first > last)


# ---- a backfill


def backfill(
    provider: str, period: Period, pace: Pace | None = None, restart: bool = False
) -> Report:
    """Receive the events in a provider's list for a period, and report those missed.

    An unfinished run that covers the beginning of the period is continued first, unless
    ``restart``; the time since it began follows. Run it outside a transaction.

    Raises ``SourceError`` if the list can't be read. What was received stays received, and the next
    call continues from there.
    """
    pace = pace or Pace()
    run = open_run(provider, period, restart)
    report = complete(run, pace)
    if run.until < period.until:
        rest = create_run(provider, period._replace(since=run.until))
        report = report.add(complete(rest, pace))
    return report


def find_unfinished(provider: str, period: Period) -> Run | None:
    """Return the unfinished run that a backfill of a period would continue."""
    unfinished = Run.objects.filter(provider=provider, finished_at=None)
    covering = unfinished.filter(since__lte=period.since + 1, until__gt=period.since)
    run: Run | None = covering.order_by("-pk").first()
    return run


def open_run(provider: str, period: Period, restart: bool) -> Run:
    """Return the run to continue, or a new one. Deletes useless unfinished ones."""
    run = None if restart else find_unfinished(provider, period)
    if run is not None:
        return run
    Run.objects.filter(provider=provider, finished_at=None).delete()
    Run.objects.filter(finished_at__lt=timezone.now() - KEPT).delete()
    return create_run(provider, period)


def create_run(provider: str, period: Period) -> Run:
    """Return a new run."""
    run: Run = Run.objects.create(provider=provider, since=period.since, until=period.until)
    return run


def complete(run: Run, pace: Pace) -> Report:
    """Finish a run, and report what it found."""
    passage = Passage(run.provider, Period(run.since, run.until), pace)
    pace.checked += run.checked
    is_sending = True
    try:
        for found, cursor in passage.read_pages(run.cursor):
            for item in found.to_receive:
                receive_events(passage.provider, item.meta, item.body, run.mark)
            # Once the broker fails, the sweeper has the rest.
            is_sending = is_sending and flush()
            advance(run, found, cursor)
    except Overtaken:
        raise SourceError(
            f"Another process continues this backfill of {run.provider}, or began it again. "
            f"Leave it to that one."
        ) from None
    report = read_report(run, passage.problems)
    announce(report)
    return report


def advance(run: Run, found: Sorted, cursor: str) -> None:
    """Record that a page was received, and after the last one that the run is finished."""
    values: dict[str, Any] = {
        "cursor": cursor,
        "checked": run.checked + found.checked,
        "unreadable": run.unreadable + sum(found.problems.values()),
    }
    if not cursor:
        values.update(finished_at=timezone.now(), missed=find_missed(run).count())
    run.change(**values)


def find_missed(run: Run) -> Any:
    """Return the events that arrived through a run, not a webhook, as their rows say.

    Counting them on arrival would miscount after a crash between an event and the run's row.
    """
    since = run.started_at - CLOCK_ERROR
    return Event.objects.filter(received_at__gte=since, verified_by=run.mark)


def read_report(run: Run, problems: Counter[str]) -> Report:
    """Return what a run found."""
    missed = find_missed(run)
    # Not sorted by the database: it might go through the whole table in the order of its keys.
    orders = sorted(missed.exclude(order_id="").values_list("pk", "order_id")[:MAX_ORDERS])
    types = missed.values_list("type").annotate(Count("pk"))
    return Report(
        provider=run.provider,
        since=read_unix(run.since),
        until=read_unix(run.until),
        checked=run.checked,
        types=dict(types.order_by("type")),
        orders=list(dict.fromkeys(order_id for _, order_id in orders)),
        unreadable=run.unreadable,
        problems=dict(problems),
    )


def announce(report: Report) -> None:
    """Report what was missed to the log and the signal's receivers."""
    facts = {"provider": report.provider, "missed": report.missed, "checked": report.checked}
    if not report.missed:
        logger.info("backfill finished %(provider)s: 0 of %(checked)d missed", facts, extra=facts)
        return
    text = "The webhook address missed %(missed)d of %(checked)d events of %(provider)s"
    logger.warning(text, facts, extra=facts)
    webhooks_missed.send_robust(Run, provider=report.provider, report=report)


# ---- a rehearsal


def rehearse(provider: str, period: Period, pace: Pace | None = None) -> Report:
    """Return what a backfill would find. Nothing is stored, and nothing is continued.

    Raises ``SourceError`` if the list can't be read.
    """
    passage = Passage(provider, period, pace or Pace())
    types: Counter[str] = Counter()
    orders: dict[str, None] = {}
    unreadable = 0
    for found, _ in passage.read_pages():
        types.update(event.type for event in found.missing)
        if len(orders) < MAX_ORDERS:
            orders.update(dict.fromkeys(event.order_id for event in found.missing))
        unreadable += sum(found.problems.values())
    orders.pop("", None)
    return Report(
        provider=provider,
        since=read_unix(period.since),
        until=read_unix(period.until),
        checked=passage.pace.checked,
        types=dict(types),
        orders=list(orders)[:MAX_ORDERS],
        unreadable=unreadable,
        problems=dict(passage.problems),
    )
