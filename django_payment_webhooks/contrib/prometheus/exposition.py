"""Where metrics are served: what all processes counted, and the backlog, read at each scrape."""

from __future__ import annotations

from datetime import timedelta
from typing import Iterator

from django.db import Error, connections
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from ... import backfill
from ...monitoring.overview import Backlog, read_backlog
from . import find_directory, find_fault

# For how many hours what a backfill found is shown.
FOUND_HOURS = 24


class CountersCollector:
    """Says whether processes count."""

    def __init__(self, is_counting: bool) -> None:
        self.is_counting = is_counting

    def collect(self) -> Iterator[Metric]:
        """Give the gauge."""
        text = "Whether the processes count what they do: 1 or 0."
        name = "payment_webhooks_counters_readable"
        yield GaugeMetricFamily(name, text, value=int(self.is_counting))


class BacklogCollector:
    """Reads the gauges from the database.

    Register it where metrics are served, not in each process.
    """

    def describe(self) -> list[Metric]:
        """Return nothing: the database is not asked before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the gauges; if the database does not answer, only that it does not."""
        try:
            backlog = read_backlog()
            backfills = list(describe_backfills())
        except Error:
            yield describe_readable(0)
            return
        yield describe_readable(1)
        yield from describe_backlog(backlog)
        yield from backfills


def describe_readable(value: int) -> Metric:
    """Return the gauge that says whether there are the others."""
    text = "Whether the backlog could be read from the database: 1 or 0."
    return GaugeMetricFamily("payment_webhooks_backlog_readable", text, value=value)


def describe_backlog(backlog: Backlog) -> Iterator[Metric]:
    """Give the gauges of what there is to do."""
    text = "Events by status, counted up to a bound."
    events = GaugeMetricFamily("payment_webhooks_events", text, labels=["status"])
    for status, found in backlog.statuses.items():
        events.add_metric([status], found.number)
    yield events
    due = backlog.due
    text = "Events that a worker may take now."
    yield GaugeMetricFamily("payment_webhooks_due_events", text, value=due.number)
    text = "How long the oldest due event has been due."
    name = "payment_webhooks_due_events_age_seconds"
    yield GaugeMetricFamily(name, text, value=due.oldest_seconds)
    text = "Events that have waited for half of their time."
    name = "payment_webhooks_waiting_past_half_events"
    yield GaugeMetricFamily(name, text, value=backlog.waiting_past_half)


def describe_backfills() -> Iterator[Metric]:
    """Give the gauges of what webhooks had missed. Raises the database's errors."""
    ends = backfill.read_last_ends()
    since = timezone.now() - timedelta(hours=FOUND_HOURS)
    found = {finding.provider: finding.missed for finding in backfill.read_findings(since)}
    text = f"Events that webhooks had missed, found by backfills of the last {FOUND_HOURS} hours."
    missed = GaugeMetricFamily("payment_webhooks_missed_events", text, labels=["provider"])
    name = "payment_webhooks_last_backfill_timestamp_seconds"
    text = "When a provider's last backfill ended, in seconds since 1970."
    last = GaugeMetricFamily(name, text, labels=["provider"])
    for provider, ended_at in ends.items():
        missed.add_metric([provider], found.get(provider, 0))
        last.add_metric([provider], ended_at.timestamp())
    yield missed
    yield last


def build_registry() -> CollectorRegistry:
    """Return a registry of what was counted: in multiprocess mode by all processes.

    It is empty, but for a gauge that says so, if they can't count.
    """
    registry = CollectorRegistry()
    is_counting = not find_fault()
    registry.register(CountersCollector(is_counting))
    if is_counting and find_directory():
        MultiProcessCollector(registry, find_directory())
    elif is_counting:
        registry.register(REGISTRY)
    return registry


@never_cache
def show_metrics(request: HttpRequest) -> HttpResponse:
    """Answer a scrape. Nothing guards it: do not let the proxy pass its address to the world."""
    registry = build_registry()
    registry.register(BacklogCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


# A transaction could not begin while the database is away, and Prometheus can't log in.
show_metrics.login_required = False
show_metrics._non_atomic_requests = set(connections)
