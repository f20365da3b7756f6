"""The contents of the overview's page."""

from __future__ import annotations

from typing import Any, Iterator
from urllib.parse import urlencode

from django.utils import timezone

from .. import history
from ..monitoring.overview import read_overview
from ..monitoring.problems import (
    CAUSES,
    CONFLICT,
    Problem,
    describe_next,
    describe_peace,
    find_problems,
)
from ..monitoring.wording import describe_ago, describe_time, show_number
from ..providers.escaping import reveal
from .drawing import Bar, Plot, draw_hours

DEFAULT_HOURS = 24
MAX_HOURS = 168
CHOICES = [6, 24, 72, 168]
# After how many seconds the page is read again, if somebody wants that.
REFRESH = 60


def read_hours(text: str) -> int:
    """Return how many hours the overview covers, whatever the URL contains."""
    if not text.isdecimal() or len(text) > len(str(MAX_HOURS)):
        return DEFAULT_HOURS
    return min(max(int(text), 1), MAX_HOURS)


def describe_age(seconds: float | None) -> str | None:
    """Return how long ago something was, None if it never was."""
    return None if seconds is None else describe_ago(seconds)


def find_address(problem: Problem) -> str:
    """Return where a problem can be looked into: its cause, or its events; "" if it has none."""
    if problem.about == CONFLICT:
        return "?conflict=open"
    if problem.about == CAUSES:
        return "?causes=1"
    if problem.cause:
        return f"?causes=1#cause-{problem.cause}"
    return f"?status__exact={problem.about}" if problem.about else ""


def find_bar_address(bar: Bar, **filters: str) -> str:
    """Return the address of the events that a bar stands for, or of some of them."""
    times = {"received_at__gte": bar.start, "received_at__lt": bar.end}
    return "?" + urlencode({**times, **filters})


def list_bars(plot: Plot) -> Iterator[tuple[Bar, str, list[tuple[int, str]]]]:
    """Yield each bar, its address, and for each status in use how many, and their address."""
    for bar in plot.bars:
        counts = [
            (bar.statuses.get(status, 0), find_bar_address(bar, status__exact=status))
            for status in plot.statuses
        ]
        yield bar, find_bar_address(bar), counts


def read_context(hours: int, refreshes: bool = False) -> dict[str, Any]:
    """Return what the page's template needs."""
    overview = read_overview(hours)
    plot = draw_hours(overview.hours)
    backlog = overview.backlog
    statuses = [
        (status, found, describe_age(found.oldest_seconds))
        for status, found in backlog.statuses.items()
    ]
    ages = sorted(overview.providers.items())
    return {
        "overview": overview,
        "as_of": timezone.now(),
        "refresh": REFRESH if refreshes else 0,
        "every": REFRESH,
        "problems": [
            (each._replace(text=reveal(each.text)), find_address(each))
            for each in find_problems(overview)
        ],
        "peace": describe_peace(overview),
        "cause_number": show_number(overview.cause_number),
        "retrying_oldest": describe_age(backlog.retrying.oldest_seconds),
        "retrying_next": describe_next(backlog.retrying.next_seconds),
        "statuses": statuses,
        "providers": [(name, describe_age(seconds)) for name, seconds in ages],
        "sweeper": describe_age(overview.sweeper),
        "due": describe_time(backlog.due.oldest_seconds) if backlog.due.oldest_seconds else None,
        "has_history": history.is_installed(),
        "plot": plot,
        "bars": list(list_bars(plot)),
        "choices": CHOICES,
    }
