"""Traces: the span of a request, and that of a worker's task, tell which event they are about.

An extension, for OpenTelemetry. The spans themselves are made by its instrumentations of Django and
Celery, which also carry the trace from the one to the other in the message's headers. Needs
``django-payment-webhooks[tracing]``.
"""

from typing import Any, Dict, List

from django.dispatch import receiver
from opentelemetry import trace

from .. import signals
from ..models import Event

PREFIX = "payment_webhooks."
OUTCOMES = ("waiting", "applied", "processed", "duplicate", "ignored", "failed", "retried")


def describe(event: Event) -> Dict[str, Any]:
    """Return what a span tells of an event: never its payload."""
    names = ("provider", "type", "order_id", "attempts")
    return dict(
        {PREFIX + name: getattr(event, name) for name in names},
        **{PREFIX + "event_id": event.provider_event_id},
    )


def connect(outcome: str) -> None:
    """Describe the event in the span of the task that brought it so far."""

    @receiver(
        getattr(signals, "event_" + outcome),
        weak=False,
        dispatch_uid="payment_webhooks.tracing." + outcome,
    )
    def describe_event(event: Event, **_: Any) -> None:
        trace.get_current_span().set_attributes(
            dict(describe(event), **{PREFIX + "outcome": outcome})
        )


for name in OUTCOMES:
    connect(name)


@receiver(signals.webhook_received, dispatch_uid="payment_webhooks.tracing.webhook_received")
def describe_received(provider: str, events: List[Event], **_: Any) -> None:
    """Describe the events of a webhook in the request's span: one as its attributes, several as its events."""
    span = trace.get_current_span()
    span.set_attributes({PREFIX + "provider": provider, PREFIX + "events": len(events)})
    for event in events:
        described = dict(
            describe(event), **{PREFIX + "outcome": "accepted" if event.is_new else "duplicate"}
        )
        if len(events) == 1:
            span.set_attributes(described)
        else:
            span.add_event("event received", described)


@receiver(signals.webhook_rejected, dispatch_uid="payment_webhooks.tracing.webhook_rejected")
def describe_rejected(reason: str, **_: Any) -> None:
    """Tell in the request's span why the webhook was rejected. Who it said it was anybody can choose."""
    trace.get_current_span().set_attribute(PREFIX + "reason", reason)
