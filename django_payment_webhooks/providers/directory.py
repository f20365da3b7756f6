"""Providers from a function, which ``PAYMENT_WEBHOOKS_PROVIDERS`` can name.

A marketplace has a secret for each merchant. The function takes the name in the URL, and returns
that provider's options, or None if there is none. It is called again after a minute, so a new
merchant or secret can take that long to be noticed. Its answers are kept for a bounded number of
names: a flood of webhooks to one name calls it once a minute, a flood of made-up names once for
each. Make it quick for those, with a lookup in an indexed column.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any, Iterator, Mapping

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from ..conf import get_provider, settings

NAME = "PAYMENT_WEBHOOKS_PROVIDERS"
KEPT = 60  # seconds
MAX_KEPT = 1000


class Directory(Mapping[str, Any]):
    """The options of providers by name, from a function. Iterates over the names asked for."""

    def __init__(self, path: str) -> None:
        """Raises ``ImportError`` if the path names no function."""
        self.find = import_string(path)
        self.known: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    def __getitem__(self, name: str) -> Any:
        options = self.ask(name)
        if options is None:
            raise KeyError(name)
        return options

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, (_, options) in self.known.items() if options is not None])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def ask(self, name: str) -> Any:
        """Return the function's answer about a name, at most a minute old."""
        until, options = self.known.get(name, (0.0, None))
        if time.monotonic() < until:
            return options
        found = self.find(name)
        if found != options:
            get_provider.cache_clear()
        self.known[name] = (time.monotonic() + KEPT, found)
        while len(self.known) > MAX_KEPT:
            self.known.popitem(last=False)
        return found


@receiver(setting_changed, dispatch_uid="payment_webhooks.install_directory")
def install(setting: str = NAME, **_: Any) -> None:
    """Replace a function's name with a directory. Leaves an invalid name to the system check."""
    path = getattr(settings, NAME)
    if setting != NAME or not isinstance(path, str):
        return
    try:
        setattr(settings, NAME, Directory(path))
    except Exception:
        setattr(settings, NAME, {})


install()
