"""What the app asks of a provider, and the records that pass between the two."""

from __future__ import annotations

import abc
from datetime import datetime
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Sequence

from django.http import HttpResponse

if TYPE_CHECKING:
    from .models import Event


class ParsedEvent(NamedTuple):
    """One event as a provider has read it from a webhook.

    ``payload_path`` says where the event is in the webhook's document.
    """

    provider_event_id: str
    type: str
    occurred_at: datetime
    order_id: str = ""
    payload_path: str = ""


class Received(NamedTuple):
    """One event that is stored, and whether this webhook was the first to bring it."""

    event: Event
    is_new: bool


class BaseProvider(abc.ABC):
    """Who sends webhooks: how they are proved to be genuine, what they say, and how to answer them.

    ``name`` is the provider's key in ``PAYMENT_WEBHOOKS_PROVIDERS``. One instance serves all
    webhooks, from many threads at once.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abc.abstractmethod
    def verify(self, meta: Mapping[str, Any], body: bytes) -> str:
        """Return a short fingerprint of what verified this webhook, such as its key.

        ``meta`` is ``request.META``, and ``body`` is exactly what was sent. Raises
        ``WebhookRefused`` if the webhook is not proved to come from this provider.
        """

    @abc.abstractmethod
    def parse(self, meta: Mapping[str, Any], body: bytes) -> list[ParsedEvent]:
        """Return the events that a webhook carries.

        ``meta`` is empty if a stored body is parsed again. Raises ``ParseError``, whose message
        says what is missing or wrong.
        """

    @abc.abstractmethod
    def load(self, body: bytes) -> Any:
        """Return the whole document of a stored body. Raises ``ValueError`` if it can't be read."""

    @abc.abstractmethod
    def payload(self, document: Any, path: str) -> Any:
        """Return the event at ``path`` in a document that :meth:`load` has returned.

        ``path`` is the event's ``payload_path``.
        """

    @abc.abstractmethod
    def read(self, payload: Any) -> dict[str, Any]:
        """Return what an event is about, such as its amount: this becomes ``event.data``."""

    @abc.abstractmethod
    def answer(self, received: Sequence[Received]) -> HttpResponse:
        """Return the response that tells the provider that its events are stored."""
