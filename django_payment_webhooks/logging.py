"""Logs one line for each step of an event's journey, with its facts as ``extra``.

These are receivers of the signals. No line contains a secret, a signature or a payload, and
identifiers are escaped so that they can't forge a line. A failed attempt comes with its traceback.
"""

from __future__ import annotations

import logging
from typing import Any, Sequence

from django.dispatch import receiver

from . import signals
from .exceptions import WebhookRefused
from .models import Event
from .providers.causes import is_bug
from .providers.comparison import name_differences
from .providers.personal import hide_personal
from .publisher import events_missing

logger = logging.getLogger("django_payment_webhooks")

MAX_LENGTH = 200

LEVELS = {
    "received": logging.INFO,
    "waiting": logging.INFO,
    "applied": logging.INFO,
    "processed": logging.INFO,
    "duplicate": logging.INFO,
    "ignored": logging.WARNING,
    "failed": logging.ERROR,
    "released": logging.INFO,
    "retried": logging.WARNING,
    "overtaken": logging.WARNING,
    "replayed": logging.INFO,
    "conflicted": logging.ERROR,
}


def safe(value: object) -> str:
    """Return a value as text on one line of a log.

    Unprintable characters are escaped, and long text is cut.
    """
    try:
        text = str(value)
    except Exception:
        text = f"{type(value).__name__}, which can't be described"
    return repr(text)[1:-1][:MAX_LENGTH]


def describe(error: Exception) -> str:
    """Return an error with its type, as the text of some is empty or a mere name."""
    try:
        return repr(error)
    except Exception:
        return f"{type(error).__name__}, which can't be described"


def write(
    level: int, title: str, facts: dict[str, Any], error: Exception | None = None, **extra: Any
) -> None:
    """Write one line, its title and the facts that are not empty, and an error's traceback."""
    pairs = " ".join(f"{name}={value}" for name, value in facts.items() if value != "")
    logger.log(level, "%s %s", title, pairs, exc_info=error, extra={**facts, **extra})


# ---- events


def connect(verb: str) -> None:
    """Log every signal of this verb."""

    @receiver(
        getattr(signals, f"event_{verb}"),
        weak=False,
        dispatch_uid=f"payment_webhooks.logging.{verb}",
    )
    def log(event: Event, **facts: Any) -> None:
        log_event(verb, event, **facts)


def log_event(
    verb: str,
    event: Event,
    error: Exception | None = None,
    other: Event | None = None,
    by: object = "",
    **_: Any,
) -> None:
    """Write one line about an event.

    ``by`` is the event that released it, or the person who replayed it. The person's reason goes to
    the history alone, as it may contain names.
    """
    facts = {
        "provider": safe(event.provider),
        "event_id": safe(event.provider_event_id),
        "event_type": safe(event.type),
        "order_id": safe(event.order_id),
        "attempts": event.attempts,
        "error": safe(find_error(verb, event, error)),
        "other": safe(other or ""),
        # Only the names: the values do not belong in a log.
        "differs": safe(",".join(name_differences(event, other))) if other else "",
        "released_by": safe(by) if verb == "released" else "",
        "replayed_by": safe(by) if verb == "replayed" else "",
    }
    title, level = f"event {verb}", find_level(verb, event)
    write(level, title, dict(sorted(facts.items())), find_exception(verb, error), verb=verb)


def find_error(verb: str, event: Event, error: Exception | None) -> str:
    """Return what went wrong, from the row; an overtaken attempt's error is not in it."""
    is_known = event.error and verb != "overtaken"
    text = event.error if error is None or is_known else describe(error)
    # Whatever else there is to say of an event is the app's own.
    return text if error is None else hide_personal(event, text)


def find_level(verb: str, event: Event) -> int:
    """Return the level of a line: an attempt that fails from a bug is an error, even if retried."""
    return logging.ERROR if verb == "retried" and is_bug(event.error) else LEVELS[verb]


def find_exception(verb: str, error: Exception | None) -> Exception | None:
    """Return the error whose traceback belongs in the log: that of a failed attempt."""
    return error if verb in ("failed", "retried") else None


for name in LEVELS:
    connect(name)


# ---- webhooks, the broker and the sweeper


@receiver(signals.webhook_received, dispatch_uid="payment_webhooks.logging.webhook_received")
def log_received(provider: str, events: Sequence[Event], seconds: float, **_: Any) -> None:
    """Write one line about a webhook that was answered with 200."""
    facts = {
        "provider": safe(provider),
        "events": len(events),
        "new": sum(event.is_new for event in events),
        "event_ids": safe(",".join(event.provider_event_id for event in events)),
        "order_ids": safe(",".join(sorted({event.order_id for event in events} - {""}))),
    }
    write(logging.INFO, "webhook received", facts, verb="received", seconds=seconds)


@receiver(signals.webhook_rejected, dispatch_uid="payment_webhooks.logging.webhook_rejected")
def log_rejected(
    provider: str,
    status: int,
    reason: str,
    seconds: float,
    error: Exception | None = None,
    **_: Any,
) -> None:
    """Write one line about a refused webhook."""
    facts = {
        "provider": safe(provider),
        "status": status,
        "reason": reason,
        "error": describe_failure(error),
    }
    write(logging.WARNING, "webhook rejected", facts, verb="rejected", seconds=seconds)


def describe_failure(error: Exception | None) -> str:
    """Return the database's error; "" for a refusal, whose reason says it all.

    Only its first line: in those that follow, PostgreSQL shows the row, and so the payload.
    """
    if error is None or isinstance(error, WebhookRefused):
        return ""
    first_line = str(error).strip().partition("\n")[0]
    return safe(f"{type(error).__name__}: {first_line}")


@receiver(signals.enqueue_failed, dispatch_uid="payment_webhooks.logging.enqueue_failed")
def log_enqueue_failed(error: Exception, **_: Any) -> None:
    """Write one line about a message that the broker did not take; the sweeper makes up for it."""
    write(logging.ERROR, "enqueue failed", {"error": safe(describe(error))}, verb="enqueue_failed")


@receiver(events_missing, dispatch_uid="payment_webhooks.logging.events_missing")
def log_missing(keys: Sequence[int], **_: Any) -> None:
    """Write one line about a message whose events have no rows."""
    facts = {"events": len(keys), "keys": ",".join(map(str, keys))[:MAX_LENGTH]}
    title = (
        "A message named events that are not in this database. Unless someone deleted their rows, "
        "this worker reads another database or schema than the sender of the message: compare "
        "DATABASES and PAYMENT_WEBHOOKS_TENANTS."
    )
    write(logging.WARNING, title, facts, verb="missing")


@receiver(signals.sweep_finished, dispatch_uid="payment_webhooks.logging.sweep_finished")
def log_sweep(enqueued: int, **_: Any) -> None:
    """Write one line about a sweep, at debug level if it found nothing."""
    level = logging.INFO if enqueued else logging.DEBUG
    write(level, "sweep finished", {"enqueued": enqueued}, verb="swept")
