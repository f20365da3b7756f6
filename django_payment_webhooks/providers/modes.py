"""Test mode, whose events are about money that was never paid."""

from __future__ import annotations

from typing import Any

from ..conf import get_provider
from ..exceptions import NothingToDo
from ..models import Event


def check_mode(event: Event) -> None:
    """Raise ``NothingToDo`` for an event of a mode that its provider's ``LIVE`` excludes."""
    try:
        provider: Any = get_provider(event.provider)
    except KeyError:
        return  # the provider is gone from the settings, and its modes with it
    wants_live = getattr(provider, "live", None)
    if wants_live is None or not provider.test_mode:
        return
    is_test = provider.is_test(event.payload)
    if is_test is wants_live:
        raise NothingToDo(
            f"It is an event of {'test' if is_test else 'live'} mode, and LIVE of the provider "
            f"{event.provider} is {wants_live}."
        )
