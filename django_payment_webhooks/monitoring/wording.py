"""Numbers and times in words, in the reader's language.

Each phrase is whole: in many languages a day has other forms in "for 3 days" and "3 days ago".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import dateformat
from django.utils.timezone import template_localtime
from django.utils.translation import ngettext_lazy

from ..history import MAX_OPEN

SIZES = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}
TIMES = {
    "day": ngettext_lazy("%(number)d day", "%(number)d days", "number"),
    "hour": ngettext_lazy("%(number)d hour", "%(number)d hours", "number"),
    "minute": ngettext_lazy("%(number)d minute", "%(number)d minutes", "number"),
    "second": ngettext_lazy("%(number)d second", "%(number)d seconds", "number"),
}
AGES = {
    "day": ngettext_lazy("%(number)d day ago", "%(number)d days ago", "number"),
    "hour": ngettext_lazy("%(number)d hour ago", "%(number)d hours ago", "number"),
    "minute": ngettext_lazy("%(number)d minute ago", "%(number)d minutes ago", "number"),
    "second": ngettext_lazy("%(number)d second ago", "%(number)d seconds ago", "number"),
}
DELAYS = {
    "day": ngettext_lazy("in %(number)d day", "in %(number)d days", "number"),
    "hour": ngettext_lazy("in %(number)d hour", "in %(number)d hours", "number"),
    "minute": ngettext_lazy("in %(number)d minute", "in %(number)d minutes", "number"),
    "second": ngettext_lazy("in %(number)d second", "in %(number)d seconds", "number"),
}


def describe_time(seconds: float) -> str:
    """Return for how long something lasts: in the largest unit of which there are at least two."""
    return fill(TIMES, seconds)


def describe_ago(seconds: float) -> str:
    """Return how long ago something was."""
    return fill(AGES, seconds)


def describe_in(seconds: float) -> str:
    """Return in how long something will be."""
    return fill(DELAYS, seconds)


def fill(phrases: dict[str, Any], seconds: float) -> str:
    """Return the phrase for a time, with its number."""
    unit = next((unit for unit, size in SIZES.items() if seconds >= 2 * size), "second")
    return str(phrases[unit] % {"number": int(seconds // SIZES[unit])})


def show_moment(moment: datetime | None) -> str:
    """Return a time with its zone; "" for none."""
    return dateformat.format(template_localtime(moment), "Y-m-d H:i:s T") if moment else ""


def show_number(found: Any) -> str:
    """Return how many events were counted: "10000+" if there are more."""
    return f"{found.number}+" if found.is_bounded else str(found.number)


def show_conflicts(number: int) -> str:
    """Return how many events have open conflicts: "10000+" if there are more than were counted."""
    return f"{MAX_OPEN}+" if number > MAX_OPEN else str(number)
