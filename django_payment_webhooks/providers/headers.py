"""Reads headers by their usual names, although ``request.META`` has others for them."""

from __future__ import annotations

from typing import Any, Mapping

# The two headers whose names in META have no prefix (RFC 3875, 4.1.2 and 4.1.3).
UNPREFIXED = ("CONTENT_TYPE", "CONTENT_LENGTH")


def find_meta_name(header: str) -> str:
    """Return a header's name in ``request.META``."""
    name = header.upper().replace("-", "_")
    return name if name in UNPREFIXED else "HTTP_" + name


def read_header(meta: Mapping[str, Any], header: str) -> str:
    """Return a header's value, or an empty string."""
    value = meta.get(find_meta_name(header))
    return "" if value is None else str(value)


def list_headers(meta: Mapping[str, Any]) -> list[str]:
    """Return the names of the headers received, in their order."""
    names = [name[len("HTTP_") :] for name in meta if name.startswith("HTTP_")]
    names += [name for name in UNPREFIXED if name in meta]
    return [name.replace("_", "-").title() for name in names]
