"""A provider's answer when asked about an event whose webhook proves too little."""

from __future__ import annotations

from typing import Any

from ..conf import get_provider
from ..exceptions import PermanentFailure
from ..models import Event
from .payloads import dump_json

# Stands for the answer until the provider has been asked.
UNCONFIRMED = b""


def is_unconfirmed(event: Event) -> bool:
    """Return whether an event's provider has yet to be asked about it.

    The answer in its row is then empty; it is NULL if the webhook proved enough.
    """
    return event.confirmation is not None and not event.confirmation


def accept(event: Event, answer: Any) -> None:
    """Keep a provider's answer, which from now on replaces what was sent.

    Raises ``PermanentFailure`` if the answer can't be parsed.
    """
    provider: Any = get_provider(event.provider)
    try:
        # Read back as it will be read from the row.
        confirmation = dump_json(answer)
        columns = provider.read_columns(provider.payload(confirmation))
    except Exception as error:
        raise PermanentFailure(f"What the provider confirmed can't be read: {error}") from error
    event.change(confirmation=confirmation, **columns)
    forget_cached(event)


def forget_cached(event: Event) -> None:
    """Forget cached values that were read before the event changed."""
    for name in ("payload", "data", "money"):
        event.__dict__.pop(name, None)


def read_sent(event: Event) -> Any:
    """Return an event's payload as it was sent, whatever has since been confirmed.

    Raises ``ValueError`` if it could not be parsed.
    """
    return get_provider(event.provider).payload(bytes(event.body))
