"""Hints that only traffic can give: events that nobody handles."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Iterator

from django.utils import timezone

from ..conf import settings
from ..models import Event
from ..retrying import NO_HANDLER
from .overview import BOUND, Overview

# How many types a hint names, and how many events must have come before there is one.
MAX_NAMED = 3
MIN_EVENTS = 10


def find_hints(overview: Overview) -> Iterator[str]:
    """Give what the events of the last hours suggest."""
    hours = len(overview.hours)
    unhandled = count_unhandled(hours)
    known = Counter({key: n for key, n in unhandled.items() if has_handler(*key)})
    if known:
        one = sum(known.values()) == 1
        events = "1 event" if one else f"{sum(known.values())} events"
        were, their, them = ("was", "its", "it") if one else ("were", "their", "them")
        yield (
            f"{events} of the last {hours} hours {were} ignored, as {their} worker had no handler, "
            f"and these settings have one: {describe(known)}. If the handler is new, replay "
            f"{them}. Otherwise workers run with other settings or older code: restart them."
        )
    others = unhandled - known
    number, received = sum(others.values()), sum(hour.received for hour in overview.hours)
    if received >= MIN_EVENTS and number > received / 2:
        yield (
            f"Most events of the last {hours} hours are ignored, as their types have no handler: "
            f"{number} of {received}. They are {describe(others)}. Add the types to "
            f"PAYMENT_WEBHOOKS_HANDLERS, or have the provider send only what you handle."
        )


def count_unhandled(hours: int) -> Counter[tuple[str, str]]:
    """Return how many events were ignored for want of a handler, by type and provider.

    Of the newest ignored events a bounded number is looked at.
    """
    since = timezone.now() - timedelta(hours=hours)
    ignored = Event.objects.filter(status=Event.IGNORED).order_by("-pk")
    rows = ignored.values_list("type", "provider", "error", "received_at")[:BOUND]
    return Counter(
        (event_type, provider)
        for event_type, provider, error, received_at in rows
        if error == NO_HANDLER and received_at >= since
    )


def has_handler(event_type: str, _: str) -> bool:
    """Return whether the settings of this process have a handler for a type."""
    return event_type in settings.PAYMENT_WEBHOOKS_HANDLERS


def describe(counts: Counter[tuple[str, str]]) -> str:
    """Return the most frequent types in words, such as ``40 payment.paid of mollie``."""
    named = counts.most_common(MAX_NAMED)
    words = [f"{number} {event_type} of {provider}" for (event_type, provider), number in named]
    rest = sum(counts.values()) - sum(number for _, number in named)
    # Whatever the provider wrote, it is one line.
    text = repr(", ".join(words))[1:-1]
    return f"{text} and {rest} others" if rest else text
