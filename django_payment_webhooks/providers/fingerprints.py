"""Short digests for comparing two deliveries of an event."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

from ..models import digest


def find_fingerprint(document: Any) -> str:
    """Return a digest of a JSON document, equal for two documents that say the same.

    Neither the order of keys nor the spelling of numbers matters.
    """
    return digest(normalize(document))


def normalize(document: Any) -> str:
    """Return a text that two JSON documents share if and only if they say the same."""
    return ENCODER.encode(document)


def replace_value(value: Any) -> Any:
    """Return a substitute for a value that :mod:`json` can't write, most often a Decimal."""
    if not isinstance(value, Decimal):
        return str(value)
    whole, _, fraction = f"{value:f}".partition(".")
    fraction = fraction.rstrip("0")
    # No document has a NaN, so nothing else is written like this.
    return [math.nan, f"{whole}.{fraction}"] if fraction else int(whole)


ENCODER = json.JSONEncoder(sort_keys=True, default=replace_value)
