"""Who sends: one declarative class for each provider. The settings name it; the core knows only its methods."""

from .declarative import Provider

__all__ = ["Provider"]
