"""Events that have ended, and all that is known of them."""

import datetime

from django.utils import timezone

from django_payment_webhooks.history.models import Cause, Conflict, Entry
from django_payment_webhooks.models import Event

from ..factories import EventFactory

CANARY = "Erika Mustermann"
UNFINISHED = [Event.RECEIVED, Event.WAITING, Event.APPLIED]
FINAL = [Event.PROCESSED, Event.DUPLICATE, Event.IGNORED, Event.FAILED]


def old(days=400, **values):
    """Return a processed event of this age in days."""
    then = timezone.now() - datetime.timedelta(days=days)
    final = {
        "status": Event.PROCESSED,
        "received_at": then,
        "finished_at": then,
        "due_at": None,
        "enqueue_at": None,
    }
    return EventFactory(**dict(final, **values))


def read(event):
    """Return the event as its row is now."""
    return Event.objects.get(pk=event.pk)


def columns(event):
    """Return the row as plain values."""
    return Event.objects.filter(pk=event.pk).values().get()


def everything():
    """Return the text of all that the app's tables have of events.

    The record of an erasure names what was erased.
    """
    rows = [row for model in (Event, Entry, Conflict, Cause) for row in model.objects.values()]
    return " ".join(
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for row in rows
        for value in (
            bytes(value) if isinstance(value, memoryview) else value for value in row.values()
        )
    )
