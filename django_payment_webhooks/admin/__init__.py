"""The admin: see what became of the events, understand why, and fix it."""

from .audit import register_audit
from .entries import register_entries
from .events import EventAdmin

__all__ = ["EventAdmin", "register_audit", "register_entries"]
