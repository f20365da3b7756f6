"""What tests read from the tables: the events' rows, and the effects in the shop's ledger."""

from __future__ import annotations

import time

from django.utils import timezone
from shop.models import LedgerEntry

from django_payment_webhooks.models import Event

FINAL = [Event.PROCESSED, Event.DUPLICATE, Event.IGNORED, Event.FAILED]


def read(event):
    """Return the event as its row is now."""
    return Event.objects.get(pk=event.pk)


def columns(event):
    """Return the row as plain values."""
    return Event.objects.filter(pk=event.pk).values().get()


def seconds_until(moment):
    """Return in how many seconds a moment comes, given in Unix seconds or as a datetime."""
    if isinstance(moment, float):
        return moment - time.time()
    return (moment - timezone.now()).total_seconds()


def is_in(moment, seconds):
    """Return whether a moment is this many seconds from now, give or take what a test needs."""
    return abs(seconds_until(moment) - seconds) < 10


def seconds_until_due(event):
    """Return how long workers leave the event alone."""
    return seconds_until(read(event).due_at)


def seconds_until_swept(event):
    """Return how long the sweeper leaves the event alone."""
    return seconds_until(read(event).enqueue_at)


def effects():
    """Return whose work is in the ledger."""
    return sorted(LedgerEntry.objects.values_list("reference", flat=True))
