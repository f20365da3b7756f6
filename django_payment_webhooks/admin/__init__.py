"""The admin: see what became of the events, understand why, and fix it."""

from .entries import register_entries
from .events import EventAdmin

__all__ = ["EventAdmin", "register_entries"]
