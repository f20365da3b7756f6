"""What a signed body says: strict and bounded reading of JSON and of the values in it."""

from __future__ import annotations

import datetime
import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Iterable, Iterator, NoReturn

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ..exceptions import WebhookRefused

MAX_DIGITS = 4300
MAX_EXPONENT = 308
MAX_LENGTH = 255
# NUL, and halves of characters, which JSON can write as \ud800.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class ParseError(WebhookRefused):
    """A signed body can't be understood. The message says what is missing or wrong in it."""


# ---- the body


class Written(str):
    """A piece of JSON, among values that are still to be written."""


def dump_json(document: Any) -> bytes:
    """Return a JSON document as bytes from which :func:`load_json` reads the same values.

    A Decimal is written digit for digit. A recursion could be too deep for Python.
    """
    pieces: list[str] = []
    rest = [document]
    while rest:
        value = rest.pop()
        if isinstance(value, Written):
            pieces.append(value)
        elif isinstance(value, dict):
            rest.extend(reversed(list(list_members(value))))
        elif isinstance(value, list):
            rest.extend(reversed(list(list_items(value))))
        else:
            pieces.append(write_scalar(value))
    # Only an unpaired surrogate can't be encoded: its escape is the same in Python and in JSON.
    return "".join(pieces).encode("utf-8", "backslashreplace")


def list_members(document: dict[str, Any]) -> Iterator[Any]:
    """Give what an object is written with: its values, and JSON between them."""
    before = "{"
    for name, value in document.items():
        yield Written(f"{before}{write_scalar(name)}:")
        yield value
        before = ","
    yield Written("}" if document else "{}")


def list_items(document: list[Any]) -> Iterator[Any]:
    """Give what a list is written with: its values, and JSON between them."""
    before = "["
    for value in document:
        yield Written(before)
        yield value
        before = ","
    yield Written("]" if document else "[]")


def write_scalar(value: Any) -> str:
    """Return a value in JSON that holds no others."""
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def refuse_constant(word: str) -> NoReturn:
    """Raise ``ValueError`` for ``NaN`` and ``Infinity``, which :mod:`json` would accept."""
    raise ValueError(f"{word} is not a number in JSON")


def read_int(text: str) -> int:
    """Return an integer. Raises ``ValueError`` for one whose conversion would take long.

    Not every Python has this limit itself, and where it has, an environment variable can switch it
    off.
    """
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"an integer has more than {MAX_DIGITS} digits")
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
        raise ValueError(f"a number has an exponent beyond {MAX_EXPONENT}")
    return number


DECODER = json.JSONDecoder(
    parse_int=read_int, parse_float=read_decimal, parse_constant=refuse_constant
)


def load_json(body: bytes) -> dict[str, Any]:
    """Return a JSON object (RFC 8259), its numbers as int or Decimal. Raises ``ValueError``.

    What only serves to waste memory or time is refused.
    """
    try:
        document = DECODER.decode(body.decode())
    except RecursionError:
        raise ValueError(describe_recursion()) from None
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    check_size(document)
    return document


def check_size(document: dict[str, Any]) -> None:
    """Raise ``ValueError`` if a document has more levels or values than the settings allow.

    It goes through the document level by level, since a recursion could be too deep.
    """
    max_values = settings.PAYMENT_WEBHOOKS_MAX_JSON_VALUES
    level: list[Any] = [document]
    values = 1
    for _ in range(settings.PAYMENT_WEBHOOKS_MAX_JSON_DEPTH):
        children = [child for container in level for child in list_children(container)]
        values += len(children)
        if values > max_values:
            raise ValueError(
                f"it has more than {max_values} values (PAYMENT_WEBHOOKS_MAX_JSON_VALUES)"
            )
        level = [child for child in children if isinstance(child, (dict, list))]
        if not level:
            return
    raise ValueError(describe_depth())


def list_children(container: Any) -> Iterable[Any]:
    """Return the values in an object or a list."""
    return container.values() if isinstance(container, dict) else container


def describe_depth() -> str:
    """Return what is wrong with a document that is too deep."""
    limit = settings.PAYMENT_WEBHOOKS_MAX_JSON_DEPTH
    return f"it has more than {limit} levels (PAYMENT_WEBHOOKS_MAX_JSON_DEPTH)"


def describe_recursion() -> str:
    """Return what is wrong with a document that is too deep for Python."""
    return f"{describe_depth()}, or more than Python can read"


def replace_unstorable(text: str) -> str:
    """Return a text as every database can store it."""
    return UNSTORABLE.sub("\ufffd", text)


# ---- the values in it


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
        raise ValueError(f"is blank, or longer than {MAX_LENGTH} characters")
    if UNSTORABLE.search(text):
        raise ValueError("contains a NUL or an unpaired surrogate, which no database stores")
    return text


def read_time(value: Any) -> datetime.datetime:
    """Return a moment given as ISO 8601 or as Unix seconds, the present if it can't be read."""
    # In UTC, or naive and local, as Django is set up: the moment is to be like it.
    now: datetime.datetime = timezone.now()
    try:
        seconds = read_iso(value) if isinstance(value, str) else float(value)
        moment = datetime.datetime.fromtimestamp(seconds, now.tzinfo)
    except (TypeError, ValueError, OverflowError, OSError):
        return now
    # Not every time zone, and not every database, has a place for the first year and the last.
    if not datetime.MINYEAR < moment.year < datetime.MAXYEAR:
        return now
    return moment


def read_iso(text: str) -> float:
    """Return a moment in Unix seconds; one without a time zone is UTC. Raises ``ValueError``."""
    moment: datetime.datetime | None = parse_datetime(text)
    if moment is None:
        raise ValueError("is not ISO 8601")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return moment.timestamp()
