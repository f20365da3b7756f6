"""The period of time that a list is read for."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import NamedTuple

from django.conf import settings
from django.utils import timezone as django_timezone

# What happened less than this many seconds ago is not missed yet: a webhook may be on its way.
DELAY = 15 * 60


class Period(NamedTuple):
    """A period from ``since`` on, before ``until``, in Unix seconds."""

    since: float
    until: float

    def __str__(self) -> str:
        return f"since {write_moment(self.since)} until {write_moment(self.until)}"

    def find_share(self, moment: float, is_backwards: bool) -> float:
        """Return the share of the period that is done at a moment."""
        passed = self.until - moment if is_backwards else moment - self.since
        return min(max(passed / max(self.until - self.since, 1), 0), 1)


def make_period(since: float, until: float | None = None) -> Period:
    """Return a period. Without an end, it ends shortly before now. Raises ``ValueError``."""
    latest = time.time() - DELAY
    period = Period(since, latest if until is None else until)
    if period.since >= period.until:
        raise ValueError(
            f"The period is empty: it begins at {write_moment(period.since)} and ends at "
            f"{write_moment(period.until)}. Without an end it ends {DELAY // 60} minutes ago, as "
            f"later webhooks may still be on their way."
        )
    return period


def read_unix(seconds: float) -> datetime:
    """Return a moment as an aware UTC datetime."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def read_stored(seconds: float) -> datetime:
    """Return a moment as in database columns: aware or naive as Django is configured."""
    moment = read_unix(seconds)
    return moment if settings.USE_TZ else django_timezone.make_naive(moment)


def write_moment(seconds: float) -> str:
    """Return a moment in words."""
    return read_unix(seconds).strftime("%Y-%m-%d %H:%M UTC")
