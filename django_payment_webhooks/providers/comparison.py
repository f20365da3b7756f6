"""Finds the differences between two events."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Collection, Iterator, Sequence, Tuple

from ..conf import get_provider
from ..models import Event
from .confirmed import read_sent
from .escaping import cut, escape
from .fingerprints import find_fingerprint, normalize
from .hidden_values import REDACTED
from .payloads import omit
from .personal import list_known
from .pruned import Pruned
from .redaction import redact, redact_text

# How many values are named, and how much of each is shown.
MAX_NAMED = 20
MAX_SHOWN = 100

Path = Tuple[Any, ...]


def find_difference(earlier: Event, later: Event) -> str:
    """Return in words how an event contradicts an earlier one, or "" if it does not.

    A redelivery of the earlier one, which is not saved, is compared in full; another event with the
    same effect, only by what it is about. Never raises, even if a body or its provider is gone.
    """
    try:
        known = list_known(earlier) + list_known(later)
        return describe_difference(*read_both(earlier, later), known)
    except Exception as error:
        return f"What differs can't be read ({type(error).__name__})."


def name_differences(earlier: Event, later: Event) -> list[str]:
    """Return the dotted paths of the values that differ between two events.

    Compared as in :func:`find_difference`. Empty if they can't be read. Never raises.
    """
    return [path for path, _, _ in list_changes(earlier, later)]


def list_changes(earlier: Event, later: Event) -> list[tuple[str, str, str]]:
    """Return the differences of :func:`find_difference`: a path, the old and the new value.

    Empty if they can't be read. Never raises.
    """
    try:
        first, second = read_both(earlier, later)
        if isinstance(first, Pruned) or isinstance(second, Pruned):
            return []
        known = list_known(earlier) + list_known(later)
        return show_each(list_differences(first, second)[:MAX_NAMED], first, second, known)
    except Exception:
        return []


def read_both(earlier: Event, later: Event) -> tuple[Any, Any]:
    """Return the parts of two events to compare."""
    if later.pk is None:
        return read_sameness(earlier), read_sameness(later)
    first, second = earlier.data, later.data
    if not name_payments_alike(earlier, later) or earlier.payment_id in first.values():
        return first, second
    return (
        dict(first, payment_id=earlier.payment_id),
        dict(second, payment_id=later.payment_id),
    )


def name_payments_alike(earlier: Event, later: Event) -> bool:
    """Return whether two different payment ids are two payments, so that an order was paid twice.

    They are not if their data is pruned, nor if one provider sent them as two types: one may name
    the payment and the other what it was made with, such as a link.
    """
    if not (earlier.payment_id and later.payment_id):
        return False
    if isinstance(earlier.data, Pruned) or isinstance(later.data, Pruned):
        return False
    if earlier.provider != later.provider:
        return True
    read_types = getattr(get_provider(later.provider), "read_types", None)
    return not read_types or read_types(earlier.payload)[1] == read_types(later.payload)[1]


def read_sameness(event: Event) -> Any:
    """Return an event's payload without the fields that can differ between deliveries."""
    list_ignored = getattr(get_provider(event.provider), "list_ignored", list)
    return omit(read_sent(event), list_ignored())


def describe_difference(first: Any, second: Any, known: Collection[str] = ()) -> str:
    """Return in words which values differ between two JSON documents, or "" if none do.

    The text is bounded, and every database can store it.
    """
    if isinstance(first, Pruned) or isinstance(second, Pruned):
        return "" if first == second else "It says something else; what it was is pruned."
    paths = list_differences(first, second)
    changes = show_each(paths[:MAX_NAMED], first, second, known)
    named = [f"{path} was {before}, here it is {after}" for path, before, after in changes]
    if len(paths) > MAX_NAMED:
        named.append(f"and {len(paths) - MAX_NAMED} more")
    return f"{'; '.join(named)}." if named else ""


def list_differences(first: Any, second: Any) -> list[Path]:
    """Return the paths at which two JSON documents have different values, or only one has one."""
    if find_fingerprint(first) == find_fingerprint(second):
        return []
    before = {path: normalize(value) for path, value in list_values(first)}
    after = {path: normalize(value) for path, value in list_values(second)}
    return [path for path in {**before, **after} if before.get(path) != after.get(path)]


def show_each(
    paths: Sequence[Path], first: Any, second: Any, known: Collection[str]
) -> list[tuple[str, str, str]]:
    """Return paths for a sentence, each with what is there in one document and in the other.

    Without what must be hidden: a value is shown in several places, some of them logs.
    """
    before, after = (dict(list_values(document)) for document in (first, second))
    shown, later = (dict(list_values(redact(document, known))) for document in (first, second))
    return [
        (name_path(path, known), show(path, before, shown), show(path, after, later))
        for path in paths
    ]


def list_values(document: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each scalar value of a document, with the steps that lead to it."""
    if isinstance(document, dict) and document:
        steps: Any = document.items()
    elif isinstance(document, list) and document:
        steps = enumerate(document)
    else:
        yield path, document
        return
    for step, value in steps:
        yield from list_values(value, (*path, step))


def name_path(path: Path, known: Collection[str]) -> str:
    """Return the name of a path, for a sentence: a key may be an address."""
    name = redact_text(".".join(map(str, path)), known)
    return cut(escape(name), MAX_SHOWN) or "it"


def show(path: Path, values: dict[Path, Any], shown: dict[Path, Any]) -> str:
    """Return the value at a path, for a sentence."""
    if path not in values:
        return "missing"
    value = shown.get(path, REDACTED)
    if value == REDACTED:
        return REDACTED
    return cut(
        str(value) if isinstance(value, Decimal) else json.dumps(value, default=str), MAX_SHOWN
    )
