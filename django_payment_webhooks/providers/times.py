"""Reads an event's time as its provider writes it. Unreadable times are errors, never "now".

A format is ``auto`` (ISO 8601, or a number of Unix seconds), ``s`` or ``ms`` (Unix seconds or
milliseconds, as a number or as plain digits), ``iso`` (ISO 8601), ``rfc2822``, or a pattern of
:meth:`datetime.datetime.strptime` such as ``%Y%m%d%H%M%S``. Separate several with bars,
``ms|iso``, for an inconsistent provider: the first that fits counts.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import MAXYEAR, MINYEAR, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from email.utils import mktime_tz, parsedate_tz
from typing import Any

from django.utils import timezone as django_timezone

# Not Django's parser, which from Python 3.11 on also reads digits without separators.
DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
CLOCK = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
ISO = re.compile(rf"{DATE}[Tt ]{CLOCK} ?([Zz]|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?")
ZONE = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})?")
MAIL_ZONE = re.compile(r" (?:[+-][0-9]{4}|[A-Z]{1,4})\b")
DIGITS = re.compile(r"[0-9]{1,15}")
# The years 2000 to 2100. A number outside them is in another unit.
FIRST, LAST = 946684800, 4102444800
UNITS = {"s": 1, "ms": 1000}


def read_time(value: Any, form: str = "auto", zone: str = "UTC") -> datetime:
    """Return a datetime, aware or naive as Django is configured. Raises ``ValueError``.

    ``zone`` applies to a time that has none: ``UTC`` or an offset such as ``+03:00``.
    """
    moment = read_moment(value, form, read_zone(zone))
    if not MINYEAR < moment.year < MAXYEAR:
        raise ValueError("is a time in a year that not every database has")
    # In UTC, or naive and local, like the current time.
    now: datetime = django_timezone.now()
    return datetime.fromtimestamp(moment.timestamp(), now.tzinfo)


def read_moment(value: Any, form: str, zone: tzinfo) -> datetime:
    """Return an aware moment. Raises ``ValueError``."""
    first, _, others = form.partition("|")
    if others:
        with suppress(ValueError):
            return read_moment(value, first, zone)
        return read_moment(value, others, zone)
    if form == "auto":
        form = "iso" if isinstance(value, str) else "s"
    if form in UNITS:
        return read_unix(value, UNITS[form])
    if not isinstance(value, str):
        raise ValueError(f"is no text, as TIME_FORMAT {form} needs")
    if form == "iso":
        return read_iso(value, zone)
    if form == "rfc2822":
        return read_rfc2822(value, zone)
    return read_pattern(value, form, zone)


def read_unix(value: Any, unit: int) -> datetime:
    """Return a moment from Unix seconds, or fractions of them. Raises ``ValueError``."""
    if isinstance(value, str) and DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError("is not a time in Unix seconds: look at TIME_FORMAT")
    if not FIRST * unit <= value <= LAST * unit:
        raise ValueError("is a number, but not a time of this century: look at TIME_FORMAT")
    return datetime.fromtimestamp(float(value / unit), timezone.utc)


def read_iso(text: str, zone: tzinfo) -> datetime:
    """Return a moment in ISO 8601, with date and time. Raises ``ValueError``."""
    found = ISO.fullmatch(text.strip())
    if not found:
        raise ValueError("is not an ISO 8601 time: look at TIME_FORMAT")
    *parts, fraction, offset = found.groups()
    microseconds = int((fraction or "")[:6].ljust(6, "0"))
    tz = read_zone(offset.upper()) if offset else zone
    return make_moment(*(int(part or 0) for part in parts), microseconds, tz)


def make_moment(*parts: Any) -> datetime:
    """Return a moment from its parts. Raises ``ValueError`` for one that does not exist."""
    try:
        return datetime(*parts)
    except ValueError:
        raise ValueError("is a time that does not exist") from None


def read_rfc2822(text: str, zone: tzinfo) -> datetime:
    """Return a moment written as in an e-mail header (RFC 2822, 3.3). Raises ``ValueError``."""
    parts = parsedate_tz(text)
    if parts is None:
        raise ValueError("is not an RFC 2822 time: look at TIME_FORMAT")
    if not MAIL_ZONE.search(text):
        return make_moment(*parts[:6], 0, zone)
    make_moment(*parts[:6])
    return datetime.fromtimestamp(mktime_tz(parts), timezone.utc)


def read_pattern(text: str, pattern: str, zone: tzinfo) -> datetime:
    """Return a moment that matches a ``strptime`` pattern. Raises ``ValueError``."""
    try:
        moment = datetime.strptime(text, pattern)
    except ValueError:
        raise ValueError(f"is no time like {pattern}, which TIME_FORMAT says") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def read_zone(text: str) -> tzinfo:
    """Return a time zone: ``UTC``, ``Z`` or an offset such as ``+03:00``. Raises ``ValueError``."""
    if text in ("UTC", "Z"):
        return timezone.utc
    found = ZONE.fullmatch(text)
    if not found:
        raise ValueError(f"has the zone {text!r}, which is neither UTC nor an offset like +03:00")
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    if offset >= timedelta(days=1):
        raise ValueError(f"has the zone {text!r}, which is a day or more")
    return timezone(-offset if sign == "-" else offset)


def write_time(moment: datetime, form: str = "auto", zone: str = "UTC") -> Any:
    """Return a moment as a provider writes it: the inverse of :func:`read_time`."""
    form = form.partition("|")[0]
    if form in UNITS:
        return int(moment.timestamp() * UNITS[form])
    local = moment.astimezone(read_zone(zone))
    if form in ("auto", "iso"):
        return local.isoformat()
    return local.strftime("%a, %d %b %Y %H:%M:%S %z" if form == "rfc2822" else form)
