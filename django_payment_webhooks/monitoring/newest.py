"""The newest and the oldest events of a status, and of a cause, by the index that has their order.

Asked for whole rows in the order of the primary key, a database may walk through that, and so
through millions of events of another status, until it has found enough. So the primary keys are
read first, which the index has, and then their rows.
"""

from __future__ import annotations

from typing import Any, Iterable

from django.db import connections, router
from django.db.models import QuerySet

from ..models import Event

# How many primary keys one statement may name.
MAX_KEYS = 5000


def match(column: str, value: str) -> dict[str, Any]:
    """Return the condition for a value of a column that leads an index.

    PostgreSQL may walk through the primary key even then, unless it is asked for a range, in the
    order of all columns of the index. MySQL and MariaDB would sort what is in a range.
    """
    if connections[router.db_for_write(Event)].vendor == "mysql":
        return {column: value}
    return {f"{column}__range": (value, value)}


def sort_newest(events: QuerySet, status: str, by_cause: bool = False) -> QuerySet:
    """Return those of some events that have a status, the newest first.

    ``by_cause`` is whether they are of one cause. They must be chosen by :func:`match`.
    """
    if by_cause:  # one range is enough, and a second would read all events of the status
        return events.filter(status=status).order_by("-status", "-cause_key", "-pk")
    return events.filter(**match("status", status)).order_by("-status", "-pk")


def list_newest(
    events: QuerySet,
    statuses: Iterable[str],
    limit: int,
    by_cause: bool = False,
    oldest: bool = False,
) -> list[int]:
    """Return the primary keys of the newest of some events, or of the oldest, in this order.

    ``by_cause`` is whether they are of one cause. They must be chosen by :func:`match`.
    """
    keys: list[int] = []
    for status in statuses:
        found = sort_newest(events, status, by_cause)
        keys += (found.reverse() if oldest else found).values_list("pk", flat=True)[:limit]
    return sorted(keys, reverse=not oldest)[:limit]
