"""Who sends: one declarative class for each provider.

The settings name it, and the core knows only the methods of its interface.
"""

from .declarative import Provider

__all__ = ["Provider"]
