"""Why a webhook is answered with 401: which check fails, and what would have to be different.

Nothing that is returned here has a secret, a signature or a payload in it.
"""

from .explanation import Check, explain
from .search import find_changes
from .variations import Change

__all__ = ["Change", "Check", "explain", "find_changes"]
