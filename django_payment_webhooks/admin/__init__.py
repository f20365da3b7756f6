"""The admin, for seeing what became of events, understanding why, and fixing it."""

from .audit import register_audit
from .entries import register_entries
from .events import EventAdmin

__all__ = ["EventAdmin", "register_audit", "register_entries"]
