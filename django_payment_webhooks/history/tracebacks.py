"""Tracebacks, kept short: where an attempt failed, without the values of any variable."""

from __future__ import annotations

from itertools import islice
from traceback import TracebackException
from typing import Iterator

from ..providers.escaping import cut

MAX_LENGTH = 8000
# For an error and each one that led to it.
MAX_MESSAGE = 500
MAX_FRAMES = 20
MAX_ERRORS = 4
LEFT_OUT = "  … left out …\n"


def describe_traceback(error: Exception | None) -> str:
    """Return the innermost frames of an error and of those that led to it, or "" for none."""
    if error is None:
        return ""
    found: TracebackException | None = TracebackException(
        type(error), error, error.__traceback__, limit=-MAX_FRAMES
    )
    parts: list[str] = []
    while found is not None and len(parts) < MAX_ERRORS:
        parts.append(describe_one(found))
        parts.extend(map(describe_one, islice(list_members(found), MAX_ERRORS)))
        found = find_reason(found)
    return shorten("\n".join(reversed(parts)))


def describe_one(found: TracebackException) -> str:
    """Return one error's frames and its message."""
    frames = "".join(found.stack.format())
    message = "".join(found.format_exception_only()).rstrip("\n")
    return f"{frames}{cut(message, MAX_MESSAGE)}\n"


def list_members(found: TracebackException) -> Iterator[TracebackException]:
    """Yield the errors of a group, and of the groups in it; nothing for any other error."""
    left = [found]
    while left:
        # Python 3.11 introduced groups.
        members = getattr(left.pop(0), "exceptions", None) or []
        yield from members
        left.extend(members)


def find_reason(found: TracebackException) -> TracebackException | None:
    """Return the error that led to another, or None if there was none or it is suppressed."""
    if found.__cause__ is not None or found.__suppress_context__:
        return found.__cause__
    return found.__context__


def shorten(text: str) -> str:
    """Return the end of a text, in whole lines, without what some database can't store."""
    text = text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    if len(text) <= MAX_LENGTH:
        return text
    return LEFT_OUT + text[-MAX_LENGTH:].partition("\n")[2]
