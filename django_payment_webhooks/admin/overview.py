"""What the page of the overview shows."""

from __future__ import annotations

from typing import Any

from .. import history
from ..monitoring.overview import read_overview
from ..monitoring.problems import describe_next, describe_peace, find_problems
from ..monitoring.wording import describe_ago, describe_time
from .causes import list_top
from .drawing import draw_hours

DEFAULT_HOURS = 24
MAX_HOURS = 168
CHOICES = [6, 24, 72, 168]


def read_hours(text: str) -> int:
    """Return over how many hours the overview goes, whatever somebody wrote into the address."""
    if not text.isdecimal() or len(text) > len(str(MAX_HOURS)):
        return DEFAULT_HOURS
    return min(max(int(text), 1), MAX_HOURS)


def describe_age(seconds: float | None) -> str | None:
    """Return how long ago something was, None if it never was."""
    return None if seconds is None else describe_ago(seconds)


def read_context(hours: int) -> dict[str, Any]:
    """Return what the page's template needs."""
    overview = read_overview(hours)
    backlog = overview.backlog
    statuses = [
        (status, found, describe_age(found.oldest_seconds))
        for status, found in backlog.statuses.items()
    ]
    ages = sorted(overview.providers.items())
    return {
        "overview": overview,
        "problems": find_problems(overview),
        "peace": describe_peace(overview),
        "lines": list_top(overview.causes),
        "retrying_oldest": describe_age(backlog.retrying.oldest_seconds),
        "retrying_next": describe_next(backlog.retrying.next_seconds),
        "statuses": statuses,
        "providers": [(name, describe_age(seconds)) for name, seconds in ages],
        "sweeper": describe_age(overview.sweeper),
        "due": describe_time(backlog.due.oldest_seconds) if backlog.due.oldest_seconds else None,
        "has_history": history.is_installed(),
        "plot": draw_hours(overview.hours),
        "choices": CHOICES,
    }
