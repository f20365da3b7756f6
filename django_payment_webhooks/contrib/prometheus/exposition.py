"""Where metrics are served: what all processes counted, and the backlog, read at each scrape."""

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

# Together with what the broker is given, it is less than the ten seconds that Prometheus waits.
TIMEOUT = 5  # seconds


class CountersCollector:
    """Says whether processes count."""

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
        """Return nothing: the database is not asked before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; of the database, if it does not answer, only that it does not."""
        yield gauges.describe_broker()
        backlog = get_probe(get_tenants().current()).await_trial(TIMEOUT)
        yield describe_readable(int(backlog.is_answered))
        if backlog.is_answered:
            yield from backlog.answer


@lru_cache(maxsize=None)
def get_probe(tenant: str) -> Probe:
    """Return what reads the gauges of a tenant, by a thread.

    A table that is locked must not keep one thread of the web server after the other.
    """
    return Probe(partial(read_gauges, tenant))


def read_gauges(tenant: str) -> list[Metric]:
    """Return the gauges from the database. Raises what is wrong, and logs it."""
    try:
        with enter_tenant(tenant):
            return gauges.read_gauges()
    except Exception as error:
        logger.warning("The backlog can't be read for Prometheus: %r", error)
        raise
    finally:
        connections.close_all()  # those of this thread


def describe_readable(value: int) -> Metric:
    """Return the gauge that says whether there are the others."""
    text = "Whether the backlog could be read from the database: 1 or 0."
    return gauges.make_gauge("backlog_readable", text, value)


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
