"""What differs between two things that a provider sent."""

from __future__ import annotations

import json
from typing import Any, Iterator

from ..models import Event, digest

# How many values are named, and how much of each.
MAX_NAMED = 20
MAX_SHOWN = 100


def find_fingerprint(document: Any) -> str:
    """Return a digest of a JSON document, whatever the order of its keys."""
    return digest(json.dumps(document, sort_keys=True, default=str))


def find_difference(earlier: Event, later: Event) -> str:
    """Return in words how an event contradicts an earlier one; "" if it does not.

    A repetition of the earlier one, which is not saved, is compared whole; another event that had
    the same effect by what it is about. Never raises, whatever became of a body or its provider.
    """
    name = "payload" if later.pk is None else "data"
    try:
        return describe_difference(getattr(earlier, name), getattr(later, name))
    except Exception as error:
        return f"What differs can't be read ({type(error).__name__})."


def describe_difference(first: Any, second: Any) -> str:
    """Return in words which values differ between two JSON documents; "" if none does."""
    before = dict(list_values(first))
    after = dict(list_values(second))
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    named = [
        f"{name or 'it'} was {show(before.get(name))}, here it is {show(after.get(name))}"
        for name in names[:MAX_NAMED]
    ]
    if len(names) > MAX_NAMED:
        named.append(f"and {len(names) - MAX_NAMED} more")
    return f"{'; '.join(named)}." if named else ""


def list_values(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give each value of a document that holds no others, with its dotted path."""
    if isinstance(document, dict) and document:
        steps: Any = document.items()
    elif isinstance(document, list) and document:
        steps = enumerate(document)
    else:
        yield path, document
        return
    for step, value in steps:
        yield from list_values(value, f"{path}.{step}".lstrip("."))


def show(value: Any) -> str:
    """Return a value for a sentence."""
    text = "missing" if value is None else json.dumps(value, default=str)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
