"""The admin: see what became of the events, understand why, and fix it."""

from .events import EventAdmin

__all__ = ["EventAdmin"]
