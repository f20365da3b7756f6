"""What a provider said when it was asked about an event whose webhook proves too little."""

from __future__ import annotations

from typing import Any

from ..conf import get_provider
from ..exceptions import PermanentFailure
from ..models import Event
from .payloads import dump_json

# In place of the answer until the provider was asked.
UNCONFIRMED = b""


def is_unconfirmed(event: Event) -> bool:
    """Return whether an event's provider is still to be asked about it.

    Its row says so by an answer that is empty: one that was received as proved has none.
    """
    return event.confirmation is not None and not event.confirmation


def accept(event: Event, answer: Any) -> None:
    """Keep a provider's answer: from now on the event is what that says, whatever was sent.

    Raises ``PermanentFailure`` if the answer makes no sense.
    """
    provider: Any = get_provider(event.provider)
    try:
        # It is read as it will be from the row.
        confirmation = dump_json(answer)
        columns = provider.read_columns(provider.payload(confirmation))
    except Exception as error:
        raise PermanentFailure(f"What the provider confirmed can't be read: {error}") from error
    event.change(confirmation=confirmation, **columns)
    forget_cached(event)


def forget_cached(event: Event) -> None:
    """Forget what was read from an event before it changed."""
    for name in ("payload", "data", "money"):
        event.__dict__.pop(name, None)


def read_sent(event: Event) -> Any:
    """Return what an event said when it was sent, whatever was confirmed since.

    Raises ``ValueError`` if it could not be parsed.
    """
    return get_provider(event.provider).payload(bytes(event.body))
