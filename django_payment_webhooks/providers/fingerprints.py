"""Short digests by which two deliveries of an event are compared."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

from ..models import digest


def find_fingerprint(document: Any) -> str:
    """Return a digest of a JSON document: the same for two that say the same.

    Neither the order of the keys nor the spelling of a number matters.
    """
    return digest(normalize(document))


def normalize(document: Any) -> str:
    """Return a text that two JSON documents share if they say the same, and only then."""
    return json.dumps(document, sort_keys=True, default=replace_value)


def replace_value(value: Any) -> Any:
    """Return what stands for a value that :mod:`json` can't write: most often a Decimal."""
    if not isinstance(value, Decimal):
        return str(value)
    whole, _, fraction = f"{value:f}".partition(".")
    fraction = fraction.rstrip("0")
    # No document has a NaN, so that nothing else is written like this.
    return [math.nan, f"{whole}.{fraction}"] if fraction else int(whole)
