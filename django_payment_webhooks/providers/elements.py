"""XML bodies, read as if they were JSON: elements become objects, arrays lists, the rest text.

They are read with ``defusedxml``, an optional extra, and only once they are proved genuine.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from django.utils.html import escape
from django.utils.module_loading import import_string

from .fields import write_text
from .payloads import check_size

MISSING = "it is XML: pip install django-payment-webhooks[xml]"


def load_xml(body: bytes) -> dict[str, Any]:
    """Return the document in an XML body, under the name of its root. Raises ``ValueError``.

    ``type="array"`` marks a list and ``nil="true"`` a missing value, as Ruby on Rails writes them.
    """
    if find_spec("defusedxml") is None:
        raise ValueError(MISSING)
    try:
        root = import_string("defusedxml.ElementTree.fromstring")(body)
    except SyntaxError as error:  # the base class of every parser's error
        raise ValueError(f"it is not XML: {error}") from None
    document = {root.tag: read_element(root)}
    check_size(document)
    return document


def read_element(element: Any) -> Any:
    """Return the value of an element."""
    if element.get("nil") == "true":
        return None
    if element.get("type") == "array":
        return [read_element(child) for child in element]
    if len(element):
        return {child.tag: read_element(child) for child in element}
    return (element.text or "").strip()


def dump_xml(document: dict[str, Any]) -> bytes:
    """Return a document as a body from which :func:`load_xml` reads the same. Only for sending."""
    return "".join(write_element(name, value) for name, value in document.items()).encode()


def write_element(name: str, value: Any) -> str:
    """Return an element with a value."""
    if value is None:
        return f'<{name} nil="true"/>'
    if isinstance(value, list):
        items = "".join(write_element("item", item) for item in value)
        return f'<{name} type="array">{items}</{name}>'
    if isinstance(value, dict):
        members = "".join(write_element(each, member) for each, member in value.items())
        return f"<{name}>{members}</{name}>"
    return f"<{name}>{escape(write_text(value))}</{name}>"
