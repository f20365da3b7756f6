"""What a signed body says: strict and bounded reading of JSON and of the values in it."""

import datetime
import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ..conf import settings
from ..exceptions import WebhookRefused


class ParseError(WebhookRefused):
    """A signed body can't be understood. The message says what is missing or wrong in it."""


MAX_DEPTH = 31
MAX_VALUES = 50000
MAX_DIGITS = 4300
MAX_EXPONENT = 308
MAX_LENGTH = 255


def load_json(body: bytes) -> dict:
    """Return a JSON object (RFC 8259), its numbers as int or Decimal. Raises ``ValueError``.

    What only serves to waste memory or time is refused.
    """
    try:
        document = json.loads(
            body.decode(),
            parse_int=read_int,
            parse_float=read_decimal,
            parse_constant=refuse_constant,
        )
    except RecursionError:
        raise ValueError("it has more than %d levels" % MAX_DEPTH) from None
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    level, values = [document], 0
    for _ in range(MAX_DEPTH + 1):
        values += len(level)
        nested = [value for value in level if isinstance(value, (dict, list))]
        level = [
            child
            for value in nested
            for child in (value.values() if isinstance(value, dict) else value)
        ]
    if nested or values > MAX_VALUES:
        raise ValueError("it has more than %d levels or %d values" % (MAX_DEPTH, MAX_VALUES))
    return document


def dump_json(document: Any) -> bytes:
    """Return a JSON document as bytes from which :func:`load_json` reads the same values."""
    return write_value(document).encode()


def write_value(value: Any) -> str:
    """Return a value in JSON. A Decimal is a number there, digit for digit."""
    if isinstance(value, dict):
        members = ["%s:%s" % (json.dumps(name), write_value(each)) for name, each in value.items()]
        return "{%s}" % ",".join(members)
    if isinstance(value, list):
        return "[%s]" % ",".join(write_value(each) for each in value)
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def refuse_constant(word: str) -> None:
    """Refuse the words ``NaN`` and ``Infinity``, which :mod:`json` would accept. Raises ``ValueError``."""
    raise ValueError("%s is not a number in JSON" % word)


def read_int(text: str) -> int:
    """Return an integer. Raises ``ValueError`` for one whose conversion would take long.

    Not every Python has this limit itself, and where it has, an environment variable can switch it
    off.
    """
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError("an integer has more than %d digits" % MAX_DIGITS)
    return int(text)


def read_decimal(text: str) -> Decimal:
    """Return a number that has a fraction or an exponent. Raises ``ValueError``.

    A huge exponent is refused, because whoever turns such a Decimal into an integer waits for half
    a minute.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent that even Decimal has no room for
        number = Decimal("Infinity")
    if not number.is_finite() or abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError("a number has an exponent beyond %d" % MAX_EXPONENT)
    return number


def find(document: Any, path: str) -> Any:
    """Return what is at a dotted path in a JSON document, or None."""
    for step in path.split(".") if path else ():
        try:
            document = document[int(step) if isinstance(document, list) else step]
        except (LookupError, TypeError, ValueError):
            return None
    return document


def read_text(value: Any) -> str:
    """Return an identifier. Raises ``ValueError`` for what can't be one."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError("is missing, or is neither a string nor an integer")
    text = str(value)
    if not text.strip() or len(text) > MAX_LENGTH:
        raise ValueError("is blank, or longer than %d characters" % MAX_LENGTH)
    if re.search("[\0\ud800-\udfff]", text):
        raise ValueError("contains a NUL or a lone surrogate, which no database stores")
    return text


def read_time(value: Any) -> datetime.datetime:
    """Return a moment that was given as ISO 8601 or as Unix seconds, the present if it can't be read."""
    try:
        if isinstance(value, str):
            moment = parse_datetime(value)
            value = (
                moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
            ).timestamp()
        moment = datetime.datetime.fromtimestamp(
            float(value), datetime.timezone.utc if settings.USE_TZ else None
        )
    except (AttributeError, TypeError, ValueError, OverflowError, OSError):
        return timezone.now()
    # Not every time zone, and not every database, has a place for the first year and the last.
    return moment if datetime.MINYEAR < moment.year < datetime.MAXYEAR else timezone.now()
