"""Where the metrics are served: what all processes counted, and the backlog, read from the database at each scrape."""

import os
from typing import Iterator

from django.db import Error, connections
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from ...monitoring.overview import read_backlog


class BacklogCollector:
    """Reads the gauges from the database. Register it where metrics are served, not in each process."""

    def describe(self) -> list:
        """Return nothing: the database is not asked before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return the gauges; only ``payment_webhooks_backlog_readable``, 0, if the database does not answer."""
        readable = (
            "payment_webhooks_backlog_readable",
            "Whether the backlog could be read from the database: 1 or 0.",
        )
        try:
            backlog = read_backlog()
        except Error:
            yield GaugeMetricFamily(*readable, value=0)
            return
        yield GaugeMetricFamily(*readable, value=1)
        text = "Events by status, counted up to a bound."
        events = GaugeMetricFamily("payment_webhooks_events", text, labels=["status"])
        for status, facts in backlog["statuses"].items():
            events.add_metric([status], facts["count"])
        yield events
        due = backlog["due"]
        yield GaugeMetricFamily(
            "payment_webhooks_due_events", "Events that a worker may take now.", value=due["count"]
        )
        name, text = (
            "payment_webhooks_due_events_age_seconds",
            "How long the oldest due event has been due.",
        )
        yield GaugeMetricFamily(name, text, value=due["oldest_seconds"])
        name, text = (
            "payment_webhooks_waiting_past_half_events",
            "Events that have waited for half of their time.",
        )
        yield GaugeMetricFamily(name, text, value=backlog["waiting_past_half"])


def build_registry() -> CollectorRegistry:
    """Return a registry of what was counted: by all processes in multiprocess mode, else by this one."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(registry)
    else:
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
