"""Reads what was received in an hour from its events, with or without the history app."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, Max, Min, QuerySet

from ..models import Event

HOUR = timedelta(hours=1)


class Group(NamedTuple):
    """The events of an hour with the same status and provider.

    ``latest`` is when the last of them was received, in seconds since 1970; ``first`` and ``last``
    are their lowest and highest primary keys.
    """

    status: str
    provider: str
    number: int
    latest: float
    first: int
    last: int


def find_received(start: datetime) -> QuerySet:
    """Return the events of an hour."""
    return Event.objects.filter(received_at__gte=start, received_at__lt=start + HOUR)


def read_groups(start: datetime) -> list[Group]:
    """Return the events of an hour, grouped by status and provider."""
    events = find_received(start).order_by().values_list("status", "provider")
    groups = events.annotate(Count("pk"), Max("received_at"), Min("pk"), Max("pk"))
    return [
        Group(status, provider, number, latest.timestamp(), first, last)
        for status, provider, number, latest, first, last in groups
    ]


def count_by_status(groups: list[Group]) -> Counter[str]:
    """Return how many events have which status."""
    statuses: Counter[str] = Counter()
    for group in groups:
        statuses[group.status] += group.number
    return statuses


def find_latest(groups: list[Group]) -> dict[str, float]:
    """Return when each provider's last event was received, in seconds since 1970."""
    return {group.provider: group.latest for group in sorted(groups, key=lambda each: each.latest)}
