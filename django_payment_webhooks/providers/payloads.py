"""Strict and bounded reading of JSON bodies and the values in them."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Iterable, Iterator, NoReturn, Sequence

from django.conf import settings

from ..exceptions import WebhookRefused

MAX_DIGITS = 4300
MAX_EXPONENT = 308
MAX_LENGTH = 255
# NUL and unpaired surrogates, which JSON can write as \ud800.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class ParseError(WebhookRefused):
    """A signed body can't be parsed. The message says what is missing or wrong in it."""


# ---- the body

ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Written(str):
    """A piece of JSON among values that are yet to be written."""


def dump_json(document: Any) -> bytes:
    """Return a JSON document as bytes from which :func:`load_json` reads the same values."""
    try:
        text = ENCODER.encode(document)
    except (TypeError, RecursionError):  # it has a Decimal, or is deep
        text = "".join(list_pieces(document))
    # Only an unpaired surrogate can't be encoded: its escape is the same in Python and in JSON.
    return text.encode("utf-8", "backslashreplace")


def list_pieces(document: Any) -> Iterator[str]:
    """Yield a document in pieces of JSON, however deep it is, with Decimals digit for digit."""
    rest = [document]
    while rest:
        value = rest.pop()
        if isinstance(value, Written):
            yield value
        elif isinstance(value, dict):
            rest.extend(reversed(list(list_members(value))))
        elif isinstance(value, list):
            rest.extend(reversed(list(list_items(value))))
        else:
            yield write_scalar(value)


def list_members(document: dict[str, Any]) -> Iterator[Any]:
    """Yield the values of an object, and the JSON between them."""
    before = "{"
    for name, value in document.items():
        yield Written(f"{before}{write_scalar(name)}:")
        yield value
        before = ","
    yield Written("}" if document else "{}")


def list_items(document: list[Any]) -> Iterator[Any]:
    """Yield the values of a list, and the JSON between them."""
    before = "["
    for value in document:
        yield Written(before)
        yield value
        before = ","
    yield Written("]" if document else "[]")


def write_scalar(value: Any) -> str:
    """Return a scalar value in JSON."""
    return str(value) if isinstance(value, Decimal) else ENCODER.encode(value)


def refuse_constant(word: str) -> NoReturn:
    """Raise ``ValueError`` for ``NaN`` and ``Infinity``, which :mod:`json` would accept."""
    raise ValueError(f"{word} is not a number in JSON")


def read_int(text: str) -> int:
    """Return an integer. Raises ``ValueError`` for one that would take long to convert.

    Not every Python has this limit, and an environment variable can switch it off.
    """
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"an integer has more than {MAX_DIGITS} digits")
    return int(text)


def read_decimal(text: str) -> Decimal:
    """Return a number with a fraction or an exponent. Raises ``ValueError``.

    A huge exponent is refused, because converting such a Decimal to an int takes half a minute.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:  # the exponent is too large even for Decimal
        number = Decimal("Infinity")
    if not number.is_finite() or abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError(f"a number has an exponent beyond {MAX_EXPONENT}")
    return number


DECODER = json.JSONDecoder(
    parse_int=read_int, parse_float=read_decimal, parse_constant=refuse_constant
)


def load_json(body: bytes) -> dict[str, Any]:
    """Return a JSON object (RFC 8259), with numbers as int or Decimal. Raises ``ValueError``.

    A body that could only serve to waste memory or time is refused.
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

    Goes through the document level by level, as recursion could be too deep.
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
    """Return the message for a document that is too deep."""
    limit = settings.PAYMENT_WEBHOOKS_MAX_JSON_DEPTH
    return f"it has more than {limit} levels (PAYMENT_WEBHOOKS_MAX_JSON_DEPTH)"


def describe_recursion() -> str:
    """Return the message for a document that is too deep for Python."""
    return f"{describe_depth()}, or more than Python can read"


def replace_unstorable(text: str) -> str:
    """Return a text in a form that every database can store."""
    return UNSTORABLE.sub("\ufffd", text)


# ---- the values in it


def find(document: Any, path: str) -> Any:
    """Return the value at a dotted path in a JSON document, or None.

    A step is a name, a list index, or ``links[rel=up]``, which finds an item of a list. A name can
    itself contain dots.
    """
    if not path:
        return document
    step, _, rest = path.partition(".")
    if step.endswith("]"):
        return find(find_item(document, step), rest)
    if isinstance(document, dict):
        if step in document:
            return find(document[step], rest)
        return find_dotted(document, path)
    if not isinstance(document, list):
        return None
    try:
        return find(document[int(step)], rest)
    except (LookupError, ValueError):
        return None


def find_dotted(document: dict[str, Any], path: str) -> Any:
    """Return the value at a path whose first name contains dots, or None."""
    end = path.find(".")
    while end != -1:
        end = path.find(".", end + 1)
        name = path if end == -1 else path[:end]
        if name in document:
            return find(document[name], path[len(name) + 1 :])
    return None


def find_item(document: Any, step: str) -> Any:
    """Return the first item of a list that a step such as ``links[rel=up]`` describes, or None."""
    name, _, condition = step[:-1].partition("[")
    key, _, expected = condition.partition("=")
    items = find(document, name)
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get(key) == expected:
            return item
    return None


def read_text(value: Any) -> str:
    """Return an identifier. Raises ``ValueError`` if the value can't be one."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError("is missing, or is neither a string nor an integer")
    text = str(value)
    if not text.strip() or len(text) > MAX_LENGTH:
        raise ValueError(f"is blank, or longer than {MAX_LENGTH} characters")
    if UNSTORABLE.search(text):
        raise ValueError("contains a NUL or an unpaired surrogate, which no database stores")
    return text


def omit(document: Any, paths: Sequence[str]) -> Any:
    """Return a JSON document without the values at these dotted paths; a star is any index."""
    for path in paths:
        document = omit_one(document, path)
    return document


def omit_one(document: Any, path: str) -> Any:
    """Return a copy of a document without the value at a path."""
    if isinstance(document, dict) and path in document:
        return {name: value for name, value in document.items() if name != path}
    step, _, rest = path.partition(".")
    if isinstance(document, list) and step == "*":
        return [omit_one(item, rest) for item in document]
    if isinstance(document, dict) and step in document:
        return {**document, step: omit_one(document[step], rest)}
    return document


def place(document: Any, path: str, value: Any) -> None:
    """Put a value at a dotted path in a JSON document, creating what is missing on the way.

    A numeric step is a list index, and one such as ``links[rel=up]`` an item of a list. Raises
    ``ValueError`` if there is a list, but the step is not an index.
    """
    step, _, rest = path.partition(".")
    if step.endswith("]"):
        place(make_item(document, step), rest, value)
        return
    key: Any = find_index(document, step, path) if isinstance(document, list) else step
    if not rest:
        document[key] = value
        return
    known = document[key] if isinstance(document, list) else document.get(key)
    if not isinstance(known, (dict, list)):
        document[key] = [] if rest.partition(".")[0].isdecimal() else {}
    place(document[key], rest, value)


def make_item(document: Any, step: str) -> Any:
    """Return the list item that a step such as ``links[rel=up]`` finds, created if need be.

    Raises ``ValueError`` if there is something other than a list.
    """
    item = find_item(document, step)
    if item is not None:
        return item
    name, _, condition = step[:-1].partition("[")
    items = document.setdefault(name, []) if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise ValueError(f"{step!a} can't be set: there is no list {name!a}.")
    key, _, expected = condition.partition("=")
    items.append({key: expected})
    return items[-1]


def find_index(items: list[Any], step: str, path: str) -> int:
    """Return a step as a list index, and make the list long enough for it."""
    if not step.isdecimal() or int(step) > settings.PAYMENT_WEBHOOKS_MAX_JSON_VALUES:
        raise ValueError(f"{path!a} can't be set: there is a list, which has no {step!a}.")
    index = int(step)
    items.extend([None] * (index + 1 - len(items)))
    return index
