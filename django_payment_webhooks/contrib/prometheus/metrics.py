"""The metrics: how quickly webhooks are answered, and how attempts end.

They listen to the signals once this module is loaded. No label has a value from outside: an unknown
provider, event type or reason is counted as "unknown" or "other".
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import wraps
from typing import Any, Callable, Sequence

from django.core.signals import got_request_exception
from django.dispatch import Signal
from django.http import HttpRequest
from prometheus_client import Counter, Gauge, Histogram

from ... import signals
from ...conf import get_provider, settings
from ...models import Event
from ...providers.signatures import fingerprint, number_keys
from ...publisher import events_missing
from . import find_fault

#: How an attempt can end. The signal that is sent then has the same name.
OUTCOMES = ("processed", "duplicate", "ignored", "waiting", "retried", "failed")
REASONS = {
    "address",
    "content_encoding",
    "database",
    "future",
    "malformed_signature",
    "method",
    "mismatch",
    "no_certificate",
    "no_secret",
    "no_signature",
    "stale",
    "too_large",
    "truncated",
    "unknown_provider",
    "unparsed",
}
# The answers that alerts are about, in addition to 200.
ANSWERS = [
    *(("200", ""), ("400", "truncated"), ("413", "too_large"), ("415", "content_encoding")),
    *(("401", reason) for reason in ("future", "mismatch", "no_signature", "stale", "address")),
    ("401", "malformed_signature"),
    *(("503", "database"), ("503", "no_secret")),
]

answer_seconds = Histogram(
    "payment_webhooks_answer_seconds",
    "How long it took to answer a webhook, in seconds.",
    ["provider", "status", "reason"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 5),
)
answer_errors = Counter(
    "payment_webhooks_answer_errors_total",
    "Webhooks that were answered with 500, as something raised an error.",
    ["provider"],
)
last_webhook = Gauge(
    "payment_webhooks_last_webhook_timestamp_seconds",
    "When a provider's last webhook was accepted, in seconds since 1970.",
    ["provider"],
    multiprocess_mode="max",
)
attempts = Counter(
    "payment_webhooks_event_attempts_total",
    "Attempts at events, by their end.",
    ["provider", "type", "outcome"],
)
conflicts = Counter(
    "payment_webhooks_event_conflicts_total",
    "Events that contradict another one.",
    ["provider", "type"],
)
enqueue_failures = Counter(
    "payment_webhooks_enqueue_failures_total", "Messages that the broker did not take."
)
not_found = Counter(
    "payment_webhooks_events_not_found_total",
    "Events that a message named and that are not in the worker's database.",
)
verified = Counter(
    "payment_webhooks_verified_total",
    "Accepted webhooks with a new event, by the number of the key that verified them.",
    ["provider", "key"],
)


def counts(signal: Signal, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator for a function that counts when a signal is sent.

    The function is not called while the shared directory is unusable: on a full disk, a new file in
    it would not raise an error, but kill the process.
    """

    def connect(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def count(**facts: Any) -> None:
            if not find_fault():
                function(**facts)

        signal.connect(count, weak=False, dispatch_uid=f"payment_webhooks.metrics.{name}")
        return count

    return connect


def bound_provider(name: str) -> str:
    """Return the name of a provider in the settings, or "unknown" for any other."""
    return name if name in settings.PAYMENT_WEBHOOKS_PROVIDERS else "unknown"


def bound_type(event: Event) -> str:
    """Return an event's type if it has a handler, or else "other"."""
    return event.type if event.type in settings.PAYMENT_WEBHOOKS_HANDLERS else "other"


# ---- webhooks


@counts(signals.webhook_received, "webhook_received")
def observe_received(provider: str, events: Sequence[Event], seconds: float, **_: Any) -> None:
    """Count an accepted webhook, and remember when it came."""
    answer_seconds.labels(bound_provider(provider), "200", "").observe(seconds)
    last_webhook.labels(bound_provider(provider)).set(time.time())
    # The row of a known event says what verified its first webhook, not this one.
    new = [event.verified_by for event in events if event.is_new]
    if new:
        verified.labels(bound_provider(provider), find_key_number(provider, new[0])).inc()


def find_key_number(provider: str, verified_by: str) -> str:
    """Return the number of the provider's key that verified a webhook, or "other"."""
    fingerprints = {fingerprint(key): str(number) for number, key in read_keys(provider).items()}
    return fingerprints.get(verified_by, "other")


def read_keys(provider: str) -> dict[int, bytes]:
    """Return a provider's keys by number; none if it has none or can't be loaded."""
    with suppress(Exception):
        found: Any = get_provider(provider)
        return number_keys(found)
    return {}


@counts(signals.webhook_rejected, "webhook_rejected")
def observe_rejected(provider: str, status: int, reason: str, seconds: float, **_: Any) -> None:
    """Count a refused webhook."""
    bounded = reason if reason in REASONS else "other"
    answer_seconds.labels(bound_provider(provider), str(status), bounded).observe(seconds)


@counts(got_request_exception, "request_exception")
def count_error(request: HttpRequest, **_: Any) -> None:
    """Count a webhook whose view raised an error."""
    found = request.resolver_match
    if found and "payment_webhooks" in found.app_names:
        answer_errors.labels(bound_provider(found.kwargs.get("provider", "default"))).inc()


# ---- events, the broker


def count_each(outcome: str) -> None:
    """Count every attempt with this outcome."""

    @counts(getattr(signals, f"event_{outcome}"), f"event_{outcome}")
    def count(event: Event, **_: Any) -> None:
        attempts.labels(bound_provider(event.provider), bound_type(event), outcome).inc()


for each_outcome in OUTCOMES:
    count_each(each_outcome)


@counts(signals.event_conflicted, "event_conflicted")
def count_conflict(event: Event, **_: Any) -> None:
    """Count an event that contradicts another with its id or its effect."""
    conflicts.labels(bound_provider(event.provider), bound_type(event)).inc()


@counts(signals.enqueue_failed, "enqueue_failed")
def count_enqueue_failure(**_: Any) -> None:
    """Count a failure of the broker."""
    enqueue_failures.inc()


@counts(events_missing, "events_missing")
def count_missing(keys: Sequence[int], **_: Any) -> None:
    """Count events that a worker did not find."""
    not_found.inc(len(keys))


def create_series() -> None:
    """Create the series at the start, at zero.

    Prometheus does not see the first increase of a series that begins with it.
    """
    for provider in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        for event_type in (*settings.PAYMENT_WEBHOOKS_HANDLERS, "other"):
            conflicts.labels(provider, event_type)
            for outcome in OUTCOMES:
                attempts.labels(provider, event_type, outcome)
        for status, reason in ANSWERS:
            answer_seconds.labels(provider, status, reason)
        for number in read_keys(provider):
            verified.labels(provider, str(number))
        answer_errors.labels(provider)
        # In multiprocess mode, the latest time of all processes counts, and 0 is before all others.
        last_webhook.labels(provider)


create_series()
