"""What an operator should know of the chosen events before confirming an operation on them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Iterable, NamedTuple

from django.db.models import QuerySet
from django.utils import timezone

from .. import history
from ..models import Event
from ..monitoring.causes import MAX_READ, add_up
from ..monitoring.problems import RETRYING, find_state, show_sums
from ..monitoring.wording import describe_ago, show_moment
from ..operations.batches import BOUND
from ..providers.escaping import reveal

# How many types are named.
MAX_TYPES = 5


class Row(NamedTuple):
    """What is read of each event."""

    pk: int
    status: str
    type: str
    cause_key: str | None
    finished_at: datetime | None


class Summary(NamedTuple):
    """What the chosen events have in common: pairs of a name and how many, and texts."""

    statuses: list[tuple[str, str]]
    types: list[tuple[str, str]]
    money: str
    failed_at: str
    failed_ago: str


def summarize(chosen: QuerySet) -> Summary:
    """Return what is known of the chosen events: of a bounded number of them."""
    found = chosen.order_by().values_list(*Row._fields)[: BOUND + 1]
    rows = sorted((Row(*values) for values in found), reverse=True)
    newest = list(Event.objects.in_bulk([row.pk for row in rows[:MAX_READ]]).values())
    sums = add_up(newest)
    failed_at = find_last_failure(rows)
    return Summary(
        statuses=count(rows, map(find_state, rows)),
        types=count(rows, (reveal(row.type) for row in rows))[:MAX_TYPES],
        money=show_sums(sums.by_currency, is_partial=sums.number < len(rows)),
        failed_at=show_moment(failed_at),
        failed_ago=describe_ago((timezone.now() - failed_at).total_seconds()) if failed_at else "",
    )


def count(rows: list[Row], names: Iterable[str]) -> list[tuple[str, str]]:
    """Return how often each name occurs, the most frequent first, or that it is more often."""
    more = "+" if len(rows) > BOUND else ""
    return [(name, f"{number}{more}") for name, number in Counter(names).most_common()]


def find_last_failure(rows: list[Row]) -> datetime | None:
    """Return when the last attempt failed, as far as that is known."""
    ended = [row.finished_at for row in rows if row.status == Event.FAILED and row.finished_at]
    retried = [row.pk for row in rows if find_state(row) == RETRYING][:MAX_READ]
    known: list[Any] = [*ended, history.read_last_failure(retried)]
    return max(filter(None, known), default=None)
