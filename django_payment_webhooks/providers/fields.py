"""References, which say where an event's fields are. Compiled once, read for each event.

A reference is one of

``data.object.id``
    a path into the event. A step is a name (which can itself contain dots), a list index, or
    ``links[rel=up]``: the first item of the list ``links`` whose ``rel`` is ``up``.
``header:X-Event-Id``, ``query:kind``
    a header of the webhook, or a parameter of its URL.
``=RUB``
    a constant.
``{event}:{object.id}``
    a text composed of other references. If one is missing, so is the whole, unless the one is
    written with a question mark: ``{refund_id?}``.
``resource.href ~ ([^/]+)$``
    the group of a pattern that matches another reference.
``("data.order", "data.id")``
    the first of several that is present.
``{"refund.*": "data.refund", "*": "data.payment"}``
    one for each type of event, by a pattern for our name or the provider's.
``delivery:``
    an id unique to each delivery, for webhooks that only say that there is something to look at.
"""

from __future__ import annotations

import re
import uuid
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import lru_cache
from glob import escape
from typing import Any, Iterator, Mapping, NamedTuple, Sequence, Union
from urllib.parse import parse_qs

from .headers import read_header
from .payloads import find

Reference = Union[str, Sequence[Any], Mapping[str, Any]]

HEADER, QUERY, DELIVERY = "header:", "query:", "delivery:"
#: Prefixes of values outside the body, which are read on receipt and stored beside the body.
OUTSIDE = (HEADER, QUERY, DELIVERY)
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class Path(NamedTuple):
    """A path into the event, or to a value from outside the body, which is stored beside it."""

    path: str

    def read(self, payload: Any, types: Sequence[str] = ()) -> Any:
        """Return the value at the path, or None."""
        return find(payload, self.path)

    def paths(self, types: Sequence[str] = ()) -> Iterator[str]:
        """Yield the paths that may be read for an event of these types."""
        yield self.path


class Constant(NamedTuple):
    """The same text for every event."""

    text: str

    def read(self, payload: Any, types: Sequence[str] = ()) -> Any:
        """Return the text."""
        return self.text

    def paths(self, types: Sequence[str] = ()) -> Iterator[str]:
        """Yield nothing: the text is not in the event."""
        return iter(())


class Pattern(NamedTuple):
    """The group of a pattern that matches another field."""

    field: Any
    pattern: str

    def read(self, payload: Any, types: Sequence[str] = ()) -> Any:
        """Return the match, or None."""
        text = write_text(self.field.read(payload, types))
        found = re.search(self.pattern, text)
        return found.group(1) if found else None

    def paths(self, types: Sequence[str] = ()) -> Iterator[str]:
        """Yield the paths of the other field."""
        return iter(self.field.paths(types))


class Template(NamedTuple):
    """A text composed of others: alternately text and fields, as ``re.split`` returns them."""

    parts: tuple[Any, ...]
    optional: tuple[bool, ...]

    def read(self, payload: Any, types: Sequence[str] = ()) -> Any:
        """Return the text, or None if a part of it is missing."""
        texts = list(self.parts)
        texts[1::2] = [write_text(field.read(payload, types)) for field in self.parts[1::2]]
        for text, optional in zip(texts[1::2], self.optional):
            if not text and not optional:
                return None
        return "".join(texts)

    def paths(self, types: Sequence[str] = ()) -> Iterator[str]:
        """Yield the paths of the parts."""
        for field in self.parts[1::2]:
            yield from field.paths(types)


class Alternatives(NamedTuple):
    """The first of several fields that is present."""

    fields: tuple[Any, ...]

    def read(self, payload: Any, types: Sequence[str] = ()) -> Any:
        """Return the first that is neither None nor empty, or None."""
        for field in self.fields:
            value = field.read(payload, types)
            if value not in (None, ""):
                return value
        return None

    def paths(self, types: Sequence[str] = ()) -> Iterator[str]:
        """Yield the paths of all of them."""
        for field in self.fields:
            yield from field.paths(types)


class ByType(NamedTuple):
    """A field for each type of event."""

    choices: tuple[tuple[str, Any], ...]

    def read(self, payload: Any, types: Sequence[str] = ()) -> Any:
        """Return the value of the first field whose pattern matches, or None."""
        field = self.choose(types)
        return field.read(payload, types) if field else None

    def choose(self, types: Sequence[str]) -> Any:
        """Return the field for an event of these types, or None."""
        for patterns, field in self.choices:
            if any(fnmatchcase(name, one) for one in patterns.split("|") for name in types):
                return field
        return None

    def paths(self, types: Sequence[str] = ()) -> Iterator[str]:
        """Yield the paths of the field for these types, or of all fields if no type is known."""
        fields = [self.choose(types)] if types else [field for _, field in self.choices]
        for field in fields:
            if field:
                yield from field.paths(types)


Field = Union[Path, Constant, Pattern, Template, Alternatives, ByType]


def compile_field(reference: Reference, base: str = "") -> Field:
    """Return the field that a reference describes. Raises ``ValueError`` if it is invalid.

    ``base`` is the path that a path with a leading dot starts from.
    """
    if isinstance(reference, str):
        return compile_text(reference, base)
    if isinstance(reference, Mapping):
        return ByType(tuple((key, compile_field(each, base)) for key, each in reference.items()))
    if isinstance(reference, (list, tuple)):
        return Alternatives(tuple(compile_field(each, base) for each in reference))
    raise ValueError(f"{reference!r} names no field: write a text, a tuple or a dictionary")


@lru_cache(maxsize=None)
def compile_text(text: str, base: str) -> Field:
    """Return the field that a textual reference describes. Raises ``ValueError``."""
    if text.startswith("="):
        return Constant(text[1:])
    source, is_pattern, pattern = text.partition(" ~ ")
    if is_pattern:
        return Pattern(compile_text(source, base), check_pattern(pattern))
    if "{" in text:
        return compile_template(text, base)
    return Path(base + text if text.startswith(".") else text)


def check_pattern(pattern: str) -> str:
    """Return a pattern. Raises ``ValueError`` unless it has exactly one group."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"{pattern!r} has {groups} groups, and needs one")
    return pattern


def compile_template(text: str, base: str) -> Template:
    """Return the field that a template describes."""
    parts: list[Any] = PLACEHOLDER.split(text)
    optional = tuple(part.endswith("?") for part in parts[1::2])
    parts[1::2] = [compile_text(part.rstrip("?"), base) for part in parts[1::2]]
    return Template(tuple(parts), optional)


def write_text(value: Any) -> str:
    """Return a value as text for a composition, or "" if it has none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, Decimal)) else ""


def list_globs(field: Field) -> list[str]:
    """Return patterns for the texts that a field can have: ``*`` if the sender decides."""
    if isinstance(field, Constant):
        return [escape(field.text)]
    if isinstance(field, Template):
        return ["*".join(map(escape, field.parts[::2]))]
    if isinstance(field, Alternatives):
        return [glob for each in field.fields for glob in list_globs(each)]
    return ["*"]


# ---- values from outside the body


def list_outside(fields: Sequence[Field]) -> list[str]:
    """Return those paths of some fields that lie outside the body."""
    paths = [path for field in fields for path in field.paths()]
    return sorted({path for path in paths if path.startswith(OUTSIDE)})


def read_outside(path: str, meta: Mapping[str, Any]) -> str:
    """Return a value from a request's headers or query, or "" if it has none.

    A repeated parameter counts as none: another reader could take the other one.
    """
    kind, _, name = path.partition(":")
    if path == DELIVERY:
        return uuid.uuid4().hex
    if kind == "header":
        return read_header(meta, name)
    values = parse_qs(str(meta.get("QUERY_STRING") or "")).get(name, [])
    return values[0] if len(values) == 1 else ""
