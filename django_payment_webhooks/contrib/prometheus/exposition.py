"""Serves the metrics: the counts of all processes, and the backlog, read at each scrape."""

from __future__ import annotations

import logging
from functools import lru_cache, partial
from typing import Iterator

from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from ...monitoring.probes import Probe
from ...publisher import enter_tenant, get_tenants
from . import find_directory, find_fault, gauges

logger = logging.getLogger("django_payment_webhooks")

# Together with the broker's timeout, less than the ten seconds that Prometheus waits.
TIMEOUT = 5  # seconds


class CountersCollector:
    """Reports whether processes can count."""

    def __init__(self, is_counting: bool) -> None:
        self.is_counting = is_counting

    def collect(self) -> Iterator[Metric]:
        """Yield the gauge."""
        text = "Whether the processes count what they do: 1 or 0."
        yield gauges.make_gauge("counters_readable", text, int(self.is_counting))


class BacklogCollector:
    """Reads the gauges from the database.

    Register it where metrics are served, not in each process.
    """

    def describe(self) -> list[Metric]:
        """Return nothing, so that the database is not queried before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; if the database does not answer, only one that says so."""
        yield gauges.describe_broker()
        backlog = get_probe(get_tenants().current()).await_trial(TIMEOUT)
        yield describe_readable(int(backlog.is_answered))
        if backlog.is_answered:
            yield from backlog.answer


@lru_cache(maxsize=None)
def get_probe(tenant: str) -> Probe:
    """Return the thread-based reader of a tenant's gauges.

    A locked table must not occupy one web server thread after another.
    """
    return Probe(partial(read_gauges, tenant))


def read_gauges(tenant: str) -> list[Metric]:
    """Return the gauges from the database. Logs and raises its errors."""
    try:
        with enter_tenant(tenant):
            return gauges.read_gauges()
    except Exception as error:
        logger.warning("The backlog can't be read for Prometheus: %r", error)
        raise
    finally:
        connections.close_all()  # those of this thread


def describe_readable(value: int) -> Metric:
    """Return the gauge that says whether the others could be read."""
    text = "Whether the backlog could be read from the database: 1 or 0."
    return gauges.make_gauge("backlog_readable", text, value)


def build_registry() -> CollectorRegistry:
    """Return a registry of the counts, in multiprocess mode those of all processes.

    If they can't count, it has only a gauge that says so.
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
    """Answer a scrape. Unprotected: do not let the proxy expose its URL to the world."""
    registry = build_registry()
    registry.register(BacklogCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


# A transaction can't begin while the database is down, and Prometheus can't log in.
show_metrics.login_required = False
show_metrics._non_atomic_requests = set(connections)
