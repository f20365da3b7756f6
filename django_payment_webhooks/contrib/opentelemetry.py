"""Adds events to OpenTelemetry's spans of requests and tasks.

An extension. The spans come from OpenTelemetry's instrumentations of Django and Celery, which also
carry the trace from one to the other in the message's headers. :class:`TracingPublisher` links a
message that names several events to the traces of all of them. Needs
``django-payment-webhooks[tracing]``.
"""

from __future__ import annotations

from contextvars import Context
from typing import Any, ContextManager, Sequence

from celery import current_task
from django.dispatch import receiver
from opentelemetry import trace
from opentelemetry.context import Context as TraceContext

from .. import signals
from ..models import Event
from ..publisher import ThreadPublisher, process
from ..retrying import describe

PREFIX = "payment_webhooks."
#: What an attempt can come to. The signal that is sent then has the same name.
OUTCOMES = ("waiting", "applied", "processed", "duplicate", "ignored", "failed", "retried")


class TracingPublisher(ThreadPublisher):
    """Links a message of several events to the traces in which they became due.

    Set ``PAYMENT_WEBHOOKS_PUBLISHER`` to it. A message of one event needs no link, as it continues
    the event's trace.
    """

    def link(self, contexts: Sequence[Context]) -> ContextManager[Any]:
        """Return a span of a new trace, linked to the trace of each context."""
        found = [context.run(trace.get_current_span).get_span_context() for context in contexts]
        unlike = {context.span_id: context for context in found if context.is_valid}
        span: ContextManager[Any] = trace.get_tracer(__name__).start_as_current_span(
            f"publish {process.name}",
            context=TraceContext(),
            kind=trace.SpanKind.PRODUCER,
            links=[trace.Link(context) for context in unlike.values()],
        )
        return span


def read_attributes(event: Event, outcome: str) -> dict[str, Any]:
    """Return an event's attributes for a span, which never include its payload."""
    return {
        f"{PREFIX}provider": event.provider,
        f"{PREFIX}event_id": event.provider_event_id,
        f"{PREFIX}type": event.type,
        f"{PREFIX}order_id": event.order_id,
        f"{PREFIX}attempts": event.attempts,
        f"{PREFIX}outcome": outcome,
    }


def is_shared() -> bool:
    """Return whether the current span is that of a task with several events."""
    if not current_task or current_task.name != process.name:
        return False
    return len(current_task.request.args[0]) > 1


def describe_each(outcome: str) -> None:
    """Describe each event with this outcome in the span of its task."""

    @receiver(
        getattr(signals, f"event_{outcome}"),
        weak=False,
        dispatch_uid=f"payment_webhooks.tracing.event_{outcome}",
    )
    def describe_event(event: Event, error: Exception | None = None, **_: Any) -> None:
        span = trace.get_current_span()
        attributes = read_attributes(event, outcome)
        if is_shared():
            span.add_event(f"event {outcome}", attributes)
        else:
            span.set_attributes(attributes)
        if error is not None and outcome in ("failed", "retried"):
            span.set_status(trace.Status(trace.StatusCode.ERROR, describe(error)))
            span.record_exception(error, attributes)


for each_outcome in OUTCOMES:
    describe_each(each_outcome)


@receiver(signals.webhook_received, dispatch_uid="payment_webhooks.tracing.webhook_received")
def describe_received(provider: str, events: Sequence[Event], **_: Any) -> None:
    """Describe a webhook's events in the request's span: one with attributes, several each."""
    span = trace.get_current_span()
    span.set_attributes({f"{PREFIX}provider": provider, f"{PREFIX}events": len(events)})
    for event in events:
        attributes = read_attributes(event, "accepted" if event.is_new else "duplicate")
        if len(events) == 1:
            span.set_attributes(attributes)
        else:
            span.add_event("event received", attributes)


@receiver(signals.webhook_rejected, dispatch_uid="payment_webhooks.tracing.webhook_rejected")
def describe_rejected(reason: str, **_: Any) -> None:
    """Show in the request's span why a webhook was rejected, without any of the sender's data."""
    trace.get_current_span().set_attribute(f"{PREFIX}reason", reason)
