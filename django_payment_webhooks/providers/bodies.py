"""The formats of bodies, and the stored form of a webhook: its body and what came beside it."""

from __future__ import annotations

import json
from typing import Any, Callable, Iterator, Mapping, NamedTuple
from urllib.parse import parse_qsl, urlencode

from django.conf import settings

from .elements import dump_xml, load_xml
from .payloads import check_size, dump_json, load_json

# No JSON and no form begins like this.
MARK = b"beside the body: "


class Format(NamedTuple):
    """How a body is read and written."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    content_type: str


def load_form(body: bytes) -> dict[str, str]:
    """Return a form's fields. Raises ``ValueError`` for a repeated name, and for an empty form."""
    text = body.decode()
    limit = settings.PAYMENT_WEBHOOKS_MAX_JSON_VALUES
    if text.count("&") >= limit:
        raise ValueError(f"it has more than {limit} values (PAYMENT_WEBHOOKS_MAX_JSON_VALUES)")
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    form = dict(pairs)
    if len(form) < len(pairs):
        # Another reader could take the other one.
        raise ValueError("a field of the form comes twice")
    return form


def dump_form(fields: Mapping[str, Any]) -> bytes:
    """Return a form with these fields."""
    return urlencode(fields).encode()


def load_nested(body: bytes) -> dict[str, Any]:
    """Return the document that a form describes: ``a[b]`` is the field ``b`` of the object ``a``.

    An index is a name like any other. Raises ``ValueError``.
    """
    document: dict[str, Any] = {}
    for name, value in load_form(body).items():
        *steps, last = name.replace("]", "").split("[")
        part = document
        for step in steps:
            part = part.setdefault(step, {})
            if not isinstance(part, dict):
                raise ValueError(f"the field {step!a} of the form is a text and an object")
        if last in part:
            raise ValueError("a field of the form comes twice")
        part[last] = value
    check_size(document)
    return document


def dump_nested(document: Any) -> bytes:
    """Return a form whose names have brackets for nesting."""
    return dump_form(dict(list_fields(document)))


def list_fields(document: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the form fields of a document, under a name."""
    if isinstance(document, list):
        document = dict(enumerate(document))
    if not isinstance(document, dict):
        yield name, document
        return
    for key, value in document.items():
        yield from list_fields(value, f"{name}[{key}]" if name else str(key))


FORM = Format(load_form, dump_form, "application/x-www-form-urlencoded")
FORMATS = {
    "json": Format(load_json, dump_json, "application/json"),
    "form": FORM,
    "query": FORM,
    "nested": Format(load_nested, dump_nested, FORM.content_type),
    "xml": Format(load_xml, dump_xml, "application/xml"),
}


def fold(beside: Mapping[str, str], body: bytes) -> bytes:
    """Return what to store: a body, and before it one line with what came beside it."""
    if not beside:
        return body
    line = json.dumps(beside, sort_keys=True)
    return MARK + line.encode() + b"\n" + body


def unfold(stored: bytes) -> tuple[dict[str, str], bytes]:
    """Return what came beside a body, and the body itself. Raises ``ValueError``."""
    if not stored.startswith(MARK):
        return {}, stored
    line, _, body = stored[len(MARK) :].partition(b"\n")
    beside = json.loads(line.decode())
    if not isinstance(beside, dict):
        raise ValueError("what stood beside the body is not an object")
    return beside, body
