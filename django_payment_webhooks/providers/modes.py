"""Test mode: its events are about money that was never paid."""

from __future__ import annotations

from typing import Any

from ..conf import get_provider
from ..exceptions import NothingToDo
from ..models import Event


def check_mode(event: Event) -> None:
    """Raise ``NothingToDo`` for an event of the mode that its provider's ``LIVE`` leaves out."""
    try:
        provider: Any = get_provider(event.provider)
    except KeyError:
        return  # it is gone from the settings, and its modes with it
    # A class of the host's own that is no Provider has neither.
    wants_live = getattr(provider, "live", None)
    if wants_live is None or not provider.test_mode:
        return
    is_test = provider.is_test(event.payload)
    if is_test is wants_live:
        raise NothingToDo(
            f"It is an event of {'test' if is_test else 'live'} mode, and LIVE of the provider "
            f"{event.provider} is {wants_live}."
        )
