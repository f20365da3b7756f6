"""Suggests names for an unknown one, which is most often mistyped."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Iterable, Sequence

from .escaping import escape

MAX_NAMED = 10


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the nearest names, or else with all known ones."""
    names = sorted(known)
    near = find_near(name, names)
    return ask_whether(near) if near else describe_known(names)


def ask_whether(near: Iterable[str]) -> str:
    """Return the question whether one of these names was meant."""
    return f"Did you mean {' or '.join(near)}?"


def find_near(name: str, known: Iterable[str]) -> list[str]:
    """Return the nearest of some names, ignoring case."""
    names: dict[str, list[str]] = {}
    for each in known:
        names.setdefault(each.lower(), []).append(each)
    near = get_close_matches(name.lower(), list(names))
    return [escape(each) for found in near for each in names[found]]


def describe_known(known: Sequence[str]) -> str:
    """Return a sentence with the known names, up to a number of them."""
    shown = ", ".join(escape(name) for name in known[:MAX_NAMED])
    more = len(known) - MAX_NAMED
    if more > 0:
        return f"There are: {shown} and {more} more."
    return f"There are: {shown}." if shown else "There is none."
