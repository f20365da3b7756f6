"""What failed attempts have in common: the error's type, the place where it was raised, its text.

Of the text only the fixed part: two errors that differ in ids, numbers, names and quoted values
have the same cause, before and after a deployment.
"""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from types import FrameType
from typing import NamedTuple, Sequence

from ..models import Event, digest
from .equalizing import PLACEHOLDER, equalize, find_words
from .hidden_values import REDACTED
from .personal import TOO_LARGE, find_personal, hide_each

# Nobody catches an error of these types to say what it means: it is a bug whatever follows it.
NEVER_EXPECTED = {
    *("AppRegistryNotReady", "AttributeError", "FieldDoesNotExist", "FieldError", "ImportError"),
    *("ImproperlyConfigured", "IndentationError", "ModuleNotFoundError", "NameError"),
    *("NoReverseMatch", "NotImplementedError", "RecursionError", "SynchronousOnlyOperation"),
    *("SyntaxError", "TabError", "TemplateDoesNotExist", "TemplateSyntaxError"),
    "UnboundLocalError",
}
# Errors of these types are certainly bugs: a retry is pointless until the code is fixed.
BUGS = NEVER_EXPECTED | {
    *("AssertionError", "IndexError", "KeyError", "LookupError", "MultiValueDictKeyError"),
    *("ProgrammingError", "TransactionManagementError", "TypeError", "ZeroDivisionError"),
}
RAISED_FROM_BUG = re.compile(rf" from (?=(?:{'|'.join(sorted(NEVER_EXPECTED))})\()")
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


def find_cause(
    error: Exception | None, reason: str, provider: str = "", personal: Sequence[str] = ()
) -> Cause:
    """Return the cause of a failed attempt, from its error and the reason in the event's row.

    Without an error the body could not be parsed, by this provider. ``personal`` has what the
    event says of people: none of it is in the cause.
    """
    exception = find_name(error) if error is not None else ""
    place = find_place(error) if error is not None else provider
    words = find_words(error) if error is not None else ()
    told = RAISED_FROM_BUG.split(hide_each(reason, personal, PLACEHOLDER))
    text = " from ".join(equalize(each, is_bug(each), words) for each in told)
    return Cause(digest(exception, place, text), exception, place, text)


def name_cause(event: Event, reason: str, error: Exception) -> str:
    """Return the key of the cause that an event's attempt has failed for."""
    return find_cause(error, reason, personal=find_personal(event) or ()).key


def is_bug(reason: str) -> bool:
    """Return whether an error, as in an event's row, is certainly a bug in the host's code."""
    return reason.partition("(")[0] in BUGS or bool(RAISED_FROM_BUG.search(reason))


def describe_origin(error: Exception) -> str:
    """Return from which bug an error was raised, to follow its ``repr``; "" if from none.

    ``raise ShippingFailed from error`` hides what is to be fixed.
    """
    origin = error.__cause__
    return f" from {origin!r}" if type(origin).__name__ in NEVER_EXPECTED else ""


def describe_reason(reason: str, personal: Sequence[str] | None) -> str:
    """Return what an error, as an event's row has it, says that is the same for each event.

    ``personal`` has what the event says of people, None if that is too much to search for.
    """
    if personal is TOO_LARGE:
        text = REDACTED
    else:
        text = equalize(hide_each(reason, personal, PLACEHOLDER), is_bug(reason))
    return ": ".join(filter(None, [read_name(reason), text]))


def read_name(reason: str) -> str:
    """Return the name of an error's type, as an event's row has it; "" if there was no error."""
    name, is_wrapped, _ = reason.partition("(")
    return name if is_wrapped and name.isidentifier() else ""


def find_name(error: Exception) -> str:
    """Return the name of an error's type, with its module unless it is built in."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def find_place(error: Exception) -> str:
    """Return the function that raised an error: the innermost in the host's own code.

    Without the line number, which the next deployment may change.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [frame for frame in frames if is_own(frame)]
    for frame in (own or frames)[-1:]:
        return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}"
    return ""


def is_own(frame: FrameType) -> bool:
    """Return whether a frame runs the host's code, not a library's."""
    path = frame.f_code.co_filename
    if path.startswith("<"):  # no file: Python's own machinery of imports, or code that was made
        return False
    path = os.path.abspath(path)
    if any(folder in path for folder in FOREIGN_FOLDERS):
        return False
    return not any(path.startswith(folder + os.sep) for folder in LIBRARIES if folder)
