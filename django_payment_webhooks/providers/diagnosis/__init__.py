"""Explains why a webhook gets 401: which check fails, and what would have to be different.

Nothing returned here contains a secret, a signature or a payload.
"""

from .explanation import Check, explain
from .search import find_changes
from .variations import Change

__all__ = ["Change", "Check", "explain", "find_changes"]
