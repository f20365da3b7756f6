"""The gauges read at each scrape: from the database, and whether the broker answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Collection, Iterator

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from ... import history
from ...conf import settings
from ...models import Event
from ...monitoring.causes import FailureCause, read_causes
from ...monitoring.overview import Backlog, is_broker_reachable, read_backlog
from ...operations import backfill

# How many hours a backfill's findings are shown.
FOUND_HOURS = 24
# The most causes that have series of their own: those with the most events.
MAX_CAUSES = 20
# The labels of a cause's gauges. None has a value from outside, so the text is not one.
CAUSE_LABELS = ("cause", "exception", "place", "providers", "types", "acknowledged")


def read_gauges() -> list[Metric]:
    """Return the gauges. Raises the database's errors."""
    return [
        *describe_backlog(read_backlog()),
        *describe_causes(read_causes(MAX_CAUSES, parsed=0)),
        *describe_conflicts(),
        *describe_sweep(),
        *describe_backfills(),
    ]


def make_gauge(name: str, text: str, value: float) -> Metric:
    """Return a gauge without labels."""
    return GaugeMetricFamily(f"payment_webhooks_{name}", text, value=value)


def describe_backlog(backlog: Backlog) -> Iterator[Metric]:
    """Yield the gauges of unfinished events."""
    text = "Events by status, counted up to a bound."
    events = GaugeMetricFamily("payment_webhooks_events", text, labels=["status"])
    for status, found in backlog.statuses.items():
        events.add_metric([status], found.number)
    yield events
    due = backlog.due
    yield make_gauge("due_events", "Events that a worker may take now.", due.number)
    text = "How long the oldest due event has been due."
    yield make_gauge("due_events_age_seconds", text, due.oldest_seconds)
    text = "For how long the sweeper has left an event alone that it should have enqueued."
    yield make_gauge("unswept_events_age_seconds", text, due.unswept_seconds)
    text = "Events that have waited for half of their time."
    yield make_gauge("waiting_past_half_events", text, backlog.waiting_past_half)
    text = "How long ago the oldest event was received that is unfinished, and does not wait."
    yield make_gauge("unfinished_events_age_seconds", text, find_unfinished_age(backlog))
    retrying = backlog.retrying
    text = "Events that are tried again after a failed attempt."
    yield make_gauge("retrying_events", text, retrying.number)
    text = "How long ago the oldest of them was received."
    yield make_gauge("retrying_events_age_seconds", text, retrying.oldest_seconds or 0)


def find_unfinished_age(backlog: Backlog) -> float:
    """Return the age of the oldest unfinished event in seconds, or 0.0 if there is none."""
    unfinished = [backlog.statuses[status] for status in (Event.RECEIVED, Event.APPLIED)]
    return max(found.oldest_seconds or 0.0 for found in unfinished)


# ---- causes


def describe_causes(causes: Collection[FailureCause]) -> Iterator[Metric]:
    """Yield the gauges of causes."""
    events = GaugeMetricFamily(
        "payment_webhooks_cause_events",
        "Failed and retried events by what they have in common, counted up to a bound.",
        labels=[*CAUSE_LABELS, "bug", "state"],
    )
    ages = GaugeMetricFamily(
        "payment_webhooks_cause_retrying_age_seconds",
        "How long ago the oldest event that is tried again was received, by cause.",
        labels=CAUSE_LABELS,
    )
    for cause in causes:
        labels = list_labels(cause)
        bug = write_flag(cause.is_bug)
        events.add_metric([*labels, bug, "failed"], cause.failed.number)
        events.add_metric([*labels, bug, "retrying"], cause.retrying.number)
        if cause.retrying_since:
            age = timezone.now() - cause.retrying_since
            ages.add_metric(labels, age.total_seconds())
    yield events
    yield ages


def list_labels(cause: FailureCause) -> list[str]:
    """Return the label values of a cause's series."""
    known_providers = settings.PAYMENT_WEBHOOKS_PROVIDERS
    return [
        cause.key,
        cause.exception,
        cause.record.place if cause.record else "",
        join_known(cause.providers, known_providers, "unknown"),
        join_known(cause.types, settings.PAYMENT_WEBHOOKS_HANDLERS, "other"),
        write_flag(cause.is_acknowledged),
    ]


def join_known(names: Collection[str], known: Collection[str], other: str) -> str:
    """Return names in one text, with one word for all that are not in the settings."""
    return ", ".join(sorted({name if name in known else other for name in names}))


def write_flag(is_so: bool) -> str:
    """Return a boolean as a label's value."""
    return "yes" if is_so else "no"


def describe_conflicts() -> Iterator[Metric]:
    """Yield the gauge of conflicts, which only the app history knows."""
    text = "Open conflicts, counted up to a bound."
    gauge = GaugeMetricFamily("payment_webhooks_open_conflicts", text, labels=["provider"])
    if history.is_installed():
        known = settings.PAYMENT_WEBHOOKS_PROVIDERS
        numbers = dict.fromkeys(known, 0)
        for provider, number in history.count_open_by_provider().items():
            name = provider if provider in known else "unknown"
            numbers[name] = numbers.get(name, 0) + number
        for provider, number in numbers.items():
            gauge.add_metric([provider], number)
    yield gauge


# ---- the machinery


def describe_sweep() -> Iterator[Metric]:
    """Yield the gauge of the last sweep, if the history knows it."""
    swept_at = history.read_last_sweep()
    text = "When the last sweep was finished, in seconds since 1970."
    name = "payment_webhooks_last_sweep_timestamp_seconds"
    gauge = GaugeMetricFamily(name, text, labels=[])
    if swept_at:
        gauge.add_metric([], swept_at.timestamp())
    yield gauge


def describe_broker() -> Metric:
    """Return the gauge that says whether the broker can be reached from here."""
    text = "Whether the broker can be reached from where metrics are served: 1 or 0."
    return make_gauge("broker_reachable", text, int(is_broker_reachable()))


def describe_backfills() -> Iterator[Metric]:
    """Yield the gauges of missed webhooks."""
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
