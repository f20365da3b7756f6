"""Hides personal data in texts about an event: by its name, its form, or the event's payload.

An error can quote a value without its name. So the values that the event's own payload has under
hidden names are hidden in its texts, too.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import lru_cache
from typing import Any, Iterable, Iterator, Sequence

from django.db.models.functions import Length

from ..models import Event
from .confirmed import read_sent
from .escaping import CUT, reveal
from .hidden_values import BORDER, REDACTED
from .redaction import list_members, redact_text

# How many values are searched for in a text, and how short one may be: shorter ones appear by
# chance.
MAX_VALUES = 500
MIN_LETTERS = 3
MIN_DIGITS = 4
# The largest body read for this in a list of events. If it is larger, no text is shown.
MAX_BODY = 65536
TOO_LARGE = None
# The end of a text that was cut off, or of such a message in a traceback.
CUT_LINE = re.compile(rf"{CUT}(?=['\")]*(?:\n|\\n|\Z))")


def show_about(event: Event, text: str) -> str:
    """Return a text about an event for display, without what must be hidden."""
    return reveal(hide_personal(event, text))


def hide_personal(event: Event, text: str) -> str:
    """Return a text about an event without what must be hidden."""
    if not text:
        return text
    values = find_personal(event)
    if values is TOO_LARGE:
        return REDACTED
    return redact_text(hide_each(text, values), list_known(event))


def list_known(event: Event) -> list[str]:
    """Return the ids of an event, which stay visible whatever they look like."""
    ids = (event.order_id, event.payment_id, event.provider_event_id)
    return [name for name in ids if name]


def hide_each(text: str, values: Sequence[str], instead: str = REDACTED) -> str:
    """Return a text without some values, wherever they are whole words or cut off."""
    if not values:
        return text
    found = "|".join(match_word(value) for value in values)
    text = re.sub(found, lambda _: instead, text, flags=re.IGNORECASE)
    *ends, rest = CUT_LINE.split(text)
    return "".join(f"{hide_end(each, values, instead)}{CUT}" for each in ends) + rest


def match_word(value: str) -> str:
    """Return the pattern of a word. Scripts without capital letters may not divide words."""
    pattern = "".join(map(match_sign, value))
    is_divided = value.upper() != value.lower() or value.isdecimal()
    return rf"{BORDER}{pattern}(?!\w)" if is_divided else pattern


@lru_cache(maxsize=1000)
def match_sign(sign: str) -> str:
    """Return the pattern of a character, also as Python or JSON write it."""
    if sign.isalnum() and sign.isascii():
        return sign
    ways = {sign, f"\\{sign}", ascii(sign)[1:-1], json.dumps(sign)[1:-1]}
    return f"(?:{'|'.join(sorted(map(re.escape, ways)))})"


def hide_end(text: str, values: Sequence[str], instead: str) -> str:
    """Return a text that was cut off without the beginning of a value at its end."""
    start = min(find_beginning(text.lower(), value.lower()) for value in values)
    return f"{text[:start]}{instead}" if start < len(text) else text


def find_beginning(text: str, value: str) -> int:
    """Return where a text ends with the beginning of a value: at its end if it does not."""
    starts = range(max(len(text) - len(value), 0), len(text) - MIN_LETTERS + 1)
    return next(
        (
            start
            for start in starts
            if value.startswith(text[start:]) and not text[start - 1 : start].isalnum()
        ),
        len(text),
    )


# ---- the values


def find_personal(event: Event) -> list[str] | None:
    """Return the values to hide in an event's payload, the longest first. Read once."""
    if "personal" not in event.__dict__:
        event.__dict__["personal"] = read_personal(event)
    found: list[str] | None = event.__dict__["personal"]
    return found


def read_personal(event: Event) -> list[str] | None:
    """Read the values to hide in an event's payload, as sent and as confirmed.

    If there are too many to search for, no text about the event is shown.
    """
    found: set[str] = set()
    for read in (read_sent, read_payload):
        # It can't be parsed, is pruned, or its provider can't be loaded.
        with suppress(Exception):
            found.update(walk(read(event), ()))
    values = sorted(found - set(list_known(event)), key=len, reverse=True)
    return values if len(values) <= MAX_VALUES else TOO_LARGE


def read_payload(event: Event) -> Any:
    """Return what an event says."""
    return event.payload


def walk(value: Any, path: tuple[str, ...], hides: bool = False) -> Iterator[str]:
    """Yield the values of a payload to hide that are long enough to be recognized."""
    if isinstance(value, dict):
        for _, inner, inner_path, is_hidden in list_members(value, path):
            yield from walk(inner, inner_path, hides or is_hidden)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, path, hides)
    elif isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        # A document within the document.
        with suppress(ValueError, RecursionError):
            yield from walk(json.loads(value), path, hides)
    elif hides and value is not None and not isinstance(value, bool):
        text = str(value).strip()
        if len(text) >= (MIN_DIGITS if text.isdecimal() else MIN_LETTERS):
            yield text


def prepare(events: Iterable[Event]) -> None:
    """Read the values to hide in the payloads of some events with one query.

    For a list, which reads no bodies: otherwise each text would read one.
    """
    wanted = {event.pk: event for event in events if "personal" not in event.__dict__}
    sizes = Event.objects.filter(pk__in=list(wanted)).annotate(size=Length("body"))
    small = sizes.filter(size__lte=MAX_BODY).in_bulk() if wanted else {}
    for key, event in wanted.items():
        event.__dict__["personal"] = read_personal(small[key]) if key in small else TOO_LARGE
