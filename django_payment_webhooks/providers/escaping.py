"""Makes text from outside safe to show."""

from __future__ import annotations

import re

# The characters that begin a formula in a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
# Where a text was cut off.
CUT = "…"
LATER_FORMULA = re.compile(r";(?=[\s\"]*[=+@-])")


def cut(text: str, length: int) -> str:
    """Return a text of bounded length, which says if it was cut off."""
    return text if len(text) <= length else f"{text[: length - 1]}{CUT}"


def reveal(text: str) -> str:
    """Return a text for a page, with invisible and direction-changing characters escaped."""
    if text.isprintable():
        return text
    signs = (sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    return "".join(signs)


def reveal_lines(text: str) -> str:
    """Return a text of several lines for a page, escaped as by :func:`reveal`."""
    return "\n".join(map(reveal, text.split("\n")))


def escape(value: object) -> str:
    """Return a value as text without anything that could move a terminal's cursor.

    What is already escaped, such as the name of an event, stays as it is.
    """
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    kept = (sign.isascii() and sign.isprintable() for sign in text)
    return "".join(sign if keep else ascii(sign)[1:-1] for sign, keep in zip(text, kept))


def escape_cell(value: object) -> str:
    """Return a value for a spreadsheet: one line that it does not take for a formula.

    Nor does it take what follows a semicolon for one, which starts a new cell in half of Europe.
    """
    text = LATER_FORMULA.sub(";'", escape(value))
    return f"'{text}" if str(value).startswith(FORMULA) else text
