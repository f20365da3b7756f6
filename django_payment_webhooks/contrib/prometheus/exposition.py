"""Where metrics are served: what all processes counted, and the backlog, read at each scrape."""

from __future__ import annotations

from typing import Iterator

from django.db import Error, connections
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from . import find_directory, find_fault
from .gauges import describe_broker, read_gauges


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
        """Give the gauges; of the database, if it does not answer, only that it does not."""
        yield describe_broker()
        try:
            gauges = read_gauges()
        except Error:
            yield describe_readable(0)
            return
        yield describe_readable(1)
        yield from gauges


def describe_readable(value: int) -> Metric:
    """Return the gauge that says whether there are the others."""
    text = "Whether the backlog could be read from the database: 1 or 0."
    return GaugeMetricFamily("payment_webhooks_backlog_readable", text, value=value)


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
