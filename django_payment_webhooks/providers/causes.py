"""What failed attempts have in common: the error's type, the place where it was raised, its text.

Two errors that differ only in ids, numbers and quoted values have the same cause, before and after
a deployment.
"""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from types import FrameType
from typing import NamedTuple

from ..models import digest

# What of a text differs from event to event, each before what would match a part of it.
QUOTED = r"'[^']*'|\"[^\"]*\""
ADDRESS = r"[^\s@<>(),;:]+@[^\s@<>(),;:]+"
NUMBERED = r"[\w.+-]*\d[\w.+-]*"
VARIABLE = re.compile(f"{QUOTED}|{ADDRESS}|{NUMBERED}")
PLACEHOLDER = "…"
# A name in code, quoted by a KeyError or an AttributeError.
NAME = re.compile(r"(['\"])[A-Za-z_]+\1")
# The repr of an error with one text. A long one was cut, and has no end.
WRAPPED = re.compile(r"\w+\((?P<quote>['\"])(?P<text>.*?)(?P=quote)?\)?", re.DOTALL)
# An error of these types is surely a bug: to try again is pointless until the code is fixed.
BUGS = {
    "AssertionError",
    "AttributeError",
    "FieldDoesNotExist",
    "FieldError",
    "ImportError",
    "ImproperlyConfigured",
    "IndentationError",
    "IndexError",
    "KeyError",
    "ModuleNotFoundError",
    "MultiValueDictKeyError",
    "NameError",
    "NotImplementedError",
    "RecursionError",
    "SyntaxError",
    "TypeError",
    "UnboundLocalError",
}
FOREIGN_FOLDERS = ("site-packages", "dist-packages")
OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIBRARIES = (OWN_FOLDER, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))


class Cause(NamedTuple):
    """What failed attempts have in common.

    ``key`` is a digest of the rest, ``exception`` the name of the error's type, ``place`` where it
    was raised, as ``module.function``, and ``text`` what it says, without what differs from event
    to event. Of a body that could not be parsed there is no ``exception``, and its ``place`` is the
    name of its provider.
    """

    key: str
    exception: str
    place: str
    text: str


def find_cause(error: Exception | None, reason: str, provider: str = "") -> Cause:
    """Return the cause of a failed attempt: its error, and the reason that the event's row has.

    Without an error the body could not be parsed, by this provider.
    """
    exception = find_name(error) if error is not None else ""
    place = find_place(error) if error is not None else provider
    text = equalize(reason)
    return Cause(digest(exception, place, text), exception, place, text)


def is_bug(reason: str) -> bool:
    """Return whether an error, as an event's row has it, is surely a bug of the host's code."""
    return reason.partition("(")[0] in BUGS


def find_name(error: Exception) -> str:
    """Return the name of an error's type, with its module unless that is Python's own."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def find_place(error: Exception) -> str:
    """Return in which function an error was raised: the innermost of the host's own code.

    Without the number of the line, which the next deployment may change.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [frame for frame in frames if is_own(frame)]
    for frame in (own or frames)[-1:]:
        return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}"
    return ""


def is_own(frame: FrameType) -> bool:
    """Return whether a frame runs code of the host, not of a library."""
    path = frame.f_code.co_filename
    if path.startswith("<"):  # no file: Python's own machinery of imports, or code that was made
        return False
    path = os.path.abspath(path)
    if any(folder in path for folder in FOREIGN_FOLDERS):
        return False
    return not any(path.startswith(folder + os.sep) for folder in LIBRARIES if folder)


def equalize(text: str) -> str:
    """Return a text with everything replaced that differs from event to event."""
    wrapped = WRAPPED.fullmatch(text)
    inner = wrapped.group("text") if wrapped else text
    keeps_names = is_bug(text)

    def replace(found: re.Match[str]) -> str:
        is_name = keeps_names and NAME.fullmatch(found.group())
        return found.group() if is_name else PLACEHOLDER

    return " ".join(VARIABLE.sub(replace, inner).split())
