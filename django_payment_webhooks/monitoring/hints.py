"""Hints that only traffic can give: events without a handler."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Iterator

from django.utils import timezone
from django.utils.translation import gettext, ngettext

from ..conf import settings
from ..models import Event
from ..retrying import NO_HANDLER
from .newest import sort_newest
from .overview import Overview

# How many types a hint names, and how many events must have come before there is one.
MAX_NAMED = 3
MIN_EVENTS = 10
# How many ignored events, the newest, are read: each stands on another page of the database.
MAX_READ = 1000


def find_hints(overview: Overview) -> Iterator[str]:
    """Yield the hints from the events of the last hours."""
    unhandled = count_unhandled(overview)
    known = Counter({key: n for key, n in unhandled.items() if has_handler(*key)})
    if known:
        yield describe_known(known)
    others = unhandled - known
    number, received = sum(others.values()), sum(hour.received for hour in overview.hours)
    if received >= MIN_EVENTS and number > received / 2:
        yield gettext(
            "Most recent events are ignored because their types have no handler: {number} of "
            "{received} ({types}). Add the types to PAYMENT_WEBHOOKS_HANDLERS, or have the "
            "provider send only what you handle."
        ).format(number=number, received=received, types=describe(others))


def describe_known(counts: Counter[tuple[str, str]]) -> str:
    """Return which events were ignored although they have a handler, and what that suggests."""
    number = sum(counts.values())
    text = ngettext(
        "{number} recent event was ignored because its worker had no handler, although these "
        "settings have one: {types}. If the handler is new, replay the event. Otherwise workers "
        "run with other settings or older code: restart them.",
        "{number} recent events were ignored because their worker had no handler, although these "
        "settings have one: {types}. If the handler is new, replay the events. Otherwise workers "
        "run with other settings or older code: restart them.",
        number,
    )
    return text.format(number=number, types=describe(counts))


def count_unhandled(overview: Overview) -> Counter[tuple[str, str]]:
    """Return how many events were ignored for lack of a handler, by type and provider.

    Only the newest ignored events are read; if there are more, these stand for all of them.
    """
    since = timezone.now() - timedelta(hours=len(overview.hours))
    ignored = sort_newest(Event.objects.all(), Event.IGNORED)
    rows = list(ignored.values_list("type", "provider", "error", "received_at")[:MAX_READ])
    recent = [row for row in rows if row[-1] >= since]
    found = Counter(
        (event_type, provider) for event_type, provider, error, _ in recent if error == NO_HANDLER
    )
    if len(recent) < MAX_READ:
        return found
    total = sum(hour.statuses.get(Event.IGNORED, 0) for hour in overview.hours)
    return Counter({key: number * total // MAX_READ for key, number in found.items()})


def has_handler(event_type: str, _: str) -> bool:
    """Return whether the settings of this process have a handler for a type."""
    return event_type in settings.PAYMENT_WEBHOOKS_HANDLERS


def describe(counts: Counter[tuple[str, str]]) -> str:
    """Return the most frequent types, such as ``mollie payment.paid: 40``."""
    named = counts.most_common(MAX_NAMED)
    words = [f"{provider} {event_type}: {number}" for (event_type, provider), number in named]
    rest = sum(counts.values()) - sum(number for _, number in named)
    # Whatever the provider wrote, it is one line.
    text = repr(", ".join(words))[1:-1]
    if not rest:
        return text
    more = ngettext("{types} and {number} other", "{types} and {number} others", rest)
    return more.format(types=text, number=rest)
