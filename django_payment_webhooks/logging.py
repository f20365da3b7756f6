"""One line in the log for each verb of an event's journey, with its facts as ``extra``.

An extension: it listens to the signals. No line has a secret, a signature or a payload, and
identifiers are written so that they can't forge a line.
"""

import logging
from typing import Any, List

from django.dispatch import receiver

from . import signals
from .models import Event

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
    "replayed": logging.INFO,
    "conflicted": logging.ERROR,
}


def safe(value: object) -> str:
    """Return a text that fills one line of a log whatever it contains: what is not printable is escaped."""
    return repr(str(value))[1:-1][:MAX_LENGTH]


def log_event(verb: str, event: Event, **facts: Any) -> None:
    """Write one line about an event."""
    facts.update(
        provider=safe(event.provider),
        event_id=safe(event.provider_event_id),
        event_type=safe(event.type),
        order_id=safe(event.order_id),
        attempts=event.attempts,
    )
    text = " ".join("%s=%s" % fact for fact in sorted(facts.items()) if fact[1] != "")
    logger.log(LEVELS[verb], "event %s %s", verb, text, extra=dict(facts, verb=verb))


def connect(verb: str) -> None:
    """Log each time that the signal of this verb is sent."""

    @receiver(
        getattr(signals, "event_" + verb),
        weak=False,
        dispatch_uid="payment_webhooks.logging." + verb,
    )
    def log(
        event: Event, error: object = None, other: object = None, by: object = None, **_: Any
    ) -> None:
        facts = {
            "error": error or event.error,
            "other": other or "",
            "released_by": "",
            "replayed_by": "",
        }
        if by:
            # An event released it, or a person replayed it. Why is for the history: people write
            # names into a reason.
            facts[verb + "_by"] = by
        log_event(verb, event, **{name: safe(value) for name, value in facts.items()})


for name in LEVELS:
    connect(name)


@receiver(signals.webhook_received)
def log_received(provider: str, events: List[Event], seconds: float, **_: Any) -> None:
    """Write one line about a webhook that was answered with 200."""
    facts = {
        "provider": provider,
        "events": len(events),
        "new": sum(event.is_new for event in events),
    }
    facts["event_ids"] = safe(",".join(event.provider_event_id for event in events))
    facts["order_ids"] = safe(
        ",".join(sorted({event.order_id for event in events if event.order_id}))
    )
    logger.info(
        "webhook received provider=%(provider)s events=%(events)d new=%(new)d event_ids=%(event_ids)s "
        "order_ids=%(order_ids)s",
        facts,
        extra=dict(facts, verb="received", seconds=seconds),
    )


@receiver(signals.webhook_rejected)
def log_rejected(provider: str, status: int, reason: str, seconds: float, **_: Any) -> None:
    """Write one line about a webhook that was not accepted."""
    facts = {"provider": safe(provider), "status": status, "reason": reason}
    logger.warning(
        "webhook rejected provider=%(provider)s status=%(status)d reason=%(reason)s",
        facts,
        extra=dict(facts, verb="rejected", seconds=seconds),
    )


@receiver(signals.enqueue_failed)
def log_enqueue_failed(error: Exception, **_: Any) -> None:
    """Write one line about a broker that took no message; the sweeper makes up for it."""
    logger.error("enqueue failed error=%s", safe(error), extra={"verb": "enqueue_failed"})


@receiver(signals.sweep_finished)
def log_sweep(enqueued: int, **_: Any) -> None:
    """Write one line about a sweep; on the debug level if it found nothing."""
    level = logging.INFO if enqueued else logging.DEBUG
    logger.log(
        level, "sweep finished enqueued=%d", enqueued, extra={"verb": "swept", "enqueued": enqueued}
    )
