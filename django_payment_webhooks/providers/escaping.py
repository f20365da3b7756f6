"""Text that somebody else has chosen, made safe to be shown."""

from __future__ import annotations


def escape(value: object) -> str:
    """Return a value as text without anything that could move the cursor of a terminal."""
    return ascii(str(value))[1:-1]
