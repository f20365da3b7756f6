"""Templates for the bytes a signature covers, with placeholders and optional parts."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Callable, Mapping, Tuple

PLACEHOLDER = re.compile(r"\{([\w.:-]+)\}")
OPTIONAL = re.compile(r"\[([^\[\]]*\{[^\[\]]*)\]")

# Alternately text and the name of a placeholder.
Parts = Tuple[str, ...]


@lru_cache(maxsize=None)
def split_template(template: str) -> tuple[Parts, ...]:
    """Return the segments of a template, each split. Every second one is optional."""
    return tuple(tuple(PLACEHOLDER.split(segment)) for segment in OPTIONAL.split(template))


def fill_template(template: str, known: Mapping[str, bytes], fill: Callable[[str], bytes]) -> bytes:
    """Return a template with its placeholders replaced.

    ``known`` has the values of some placeholders by name, and ``fill`` returns that of any other. A
    segment in brackets is left out if one of its placeholders is empty.
    """
    filled: list[bytes] = []
    for number, parts in enumerate(split_template(template)):
        values = [known[name] if name in known else fill(name) for name in parts[1::2]]
        is_optional = number % 2 == 1
        if is_optional and not all(values):
            continue
        pieces = [part.encode() for part in parts]
        pieces[1::2] = values
        filled += pieces
    return b"".join(filled)


def list_placeholders(template: str) -> list[str]:
    """Return the names of a template's placeholders."""
    return [name for parts in split_template(template) for name in parts[1::2]]
