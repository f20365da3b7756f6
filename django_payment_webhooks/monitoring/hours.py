"""What was received in the last hours, and what became of it.

The history has counted the hours that are over. Of their events most have one status, mostly that
of processed events, and are what is left when the others are counted, by the index of the statuses.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Sequence

from .. import history
from ..conf import settings
from ..history.received import count_by_status, find_latest, read_groups
from ..models import Event
from .causes import ask

if TYPE_CHECKING:
    from ..history.models import CountedHour

# How many events between two primary keys have which status, without those of one status.
COUNT = """
SELECT {index}, status, COUNT(*) FROM {table}
WHERE status IN ({statuses}) AND id BETWEEN {first} AND {last} GROUP BY status
"""
# How many hours are counted at once. For a question that PostgreSQL expects to take long it starts
# further processes, which takes longer than to answer it; and MariaDB opens the table for each.
MAX_UNITED = 6
# The statuses of events. No value is a parameter: old SQLite takes no more than 999 of them.
STATUSES = "SELECT id, status FROM {table} WHERE id IN ({keys})"


class Hour(NamedTuple):
    """How many events were received in an hour, and how many now have each status."""

    start: datetime
    received: int
    statuses: dict[str, int]


class Received(NamedTuple):
    """What was received within an hour: the number of events of each status, and the last ones.

    ``latest`` has for each provider when its last event was received, in seconds since 1970.
    """

    statuses: dict[str, int]
    latest: dict[str, float]


def count_hour(start: datetime, received: Received) -> Hour:
    """Return how many events of an hour have each status."""
    return Hour(start, sum(received.statuses.values()), received.statuses)


def find_ages(hours: Sequence[Received], now: datetime) -> dict[str, float | None]:
    """Return how many seconds ago each provider's last event was received."""
    latest: dict[str, float] = {}
    for hour in hours:
        latest.update(hour.latest)
    ages = {name: now.timestamp() - moment for name, moment in latest.items()}
    return {name: ages.get(name) for name in settings.PAYMENT_WEBHOOKS_PROVIDERS}


def read_received(starts: Sequence[datetime]) -> list[Received]:
    """Return what was received within each of some hours, the oldest first."""
    known = recount(history.read_counted_hours(starts[0]))
    return [known.get(start) or read_hour(start) for start in starts]


def read_hour(start: datetime) -> Received:
    """Return what was received within an hour, from its events."""
    groups = read_groups(start)
    return Received(dict(count_by_status(groups)), find_latest(groups))


# ---- hours that were counted


def recount(hours: Sequence[CountedHour]) -> dict[datetime, Received]:
    """Return the current statuses of the events of counted hours.

    An hour is left out if its events are not what they were: rows can be deleted in SQL.
    """
    strays = {hour.start: json.loads(hour.strays) for hour in hours}
    ends = {hour.start: {hour.first, hour.last} if hour.number else set() for hour in hours}
    found = read_statuses([key for keys in (*strays.values(), *ends.values()) for key in keys])
    counts = count_unusual(hours)
    known = {}
    for hour, statuses in zip(hours, counts):
        start = hour.start
        if not found.keys() >= {*strays[start], *ends[start]}:
            continue
        statuses[hour.usual] = hour.number - sum(statuses.values())
        statuses.subtract(found[key] for key in strays[start])
        known[start] = Received(dict(+statuses), json.loads(hour.latest))
    return known


def read_statuses(keys: Sequence[int]) -> dict[int, str]:
    """Return the statuses of events by primary key."""
    if not keys:
        return {}
    listed = ", ".join(map(str, keys))
    return dict(ask(STATUSES.format(table=Event._meta.db_table, keys=listed), []))


def count_unusual(hours: Sequence[CountedHour]) -> list[Counter[str]]:
    """Return how many events of each hour, and of its strays, have another status than most."""
    counts: list[Counter[str]] = [Counter() for _ in hours]
    questions = [write_question(index, hour) for index, hour in enumerate(hours)]
    for first in range(0, len(questions), MAX_UNITED):
        union = " UNION ALL ".join(questions[first : first + MAX_UNITED])
        for index, status, number in ask(union, []):
            counts[index][status] = number
    return counts


def write_question(index: int, hour: CountedHour) -> str:
    """Return the SQL that counts the events of an hour whose status is not the one of most."""
    others = ", ".join(f"'{status}'" for status in Event.TRANSITIONS if status != hour.usual)
    return COUNT.format(
        index=index,
        table=Event._meta.db_table,
        statuses=others,
        first=hour.first,
        last=hour.last,
    )
