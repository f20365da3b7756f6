"""The providers: one declarative class for each.

The settings name it, and the core knows only its interface.
"""

from __future__ import annotations

from typing import Any

from django.utils.module_loading import import_string

from . import directory
from .declarative import Provider

# Importing the directory is enough: it listens for a function's name in the settings.
__all__ = ["Provider", "directory", "make"]


def make(name: str, PRESET: str = "", **options: Any) -> Provider:
    """Return the provider that these options of the settings describe.

    ``PRESET`` is the name of a module in ``providers/presets``. Raises ``ImportError`` if there is
    no such preset, and ``ImproperlyConfigured`` for a wrong option.
    """
    provider: type[Provider] = find_preset(PRESET) if PRESET else Provider
    return provider(name, **options)


def find_preset(name: str) -> type[Provider]:
    """Return the class of a preset. Raises ``ImportError``."""
    preset: type[Provider] = import_string(f"{__name__}.presets.{name}.Preset")
    return preset
