"""Handlers for what every shop has: they know what their event requires and its effect's name."""

from __future__ import annotations

import abc
from typing import Any

from .exceptions import PermanentFailure
from .handlers import Handler
from .models import Event


def require(event: Event, name: str) -> str:
    """Return a field of an event as text. Raises ``PermanentFailure`` if it is missing."""
    value = event.order_id if name == "order_id" else event.data.get(name)
    if value in (None, ""):
        raise PermanentFailure(f"The event has no {name}.")
    return str(value)


class OrderPaidHandler(Handler):
    """An order was paid: once, however many events say so."""

    def idempotency_key(self, event: Event) -> str:
        """Return one name for each order."""
        return f"order-paid:{require(event, 'order_id')}"

    # Each apply returns what it calls returned: of a coroutine nothing would have run, and the
    # worker reports one that it sees.
    def apply(self, event: Event) -> Any:
        """Call :meth:`order_paid`."""
        return self.order_paid(event)

    @abc.abstractmethod
    def order_paid(self, event: Event) -> Any:
        """Mark the order ``event.order_id`` as paid. Called in the transaction, once."""


class RefundCreatedHandler(Handler):
    """Money of an order went back. The event waits for the order's payment."""

    requires = ("charge.succeeded",)

    def idempotency_key(self, event: Event) -> str:
        """Return one name for each refund of a provider."""
        require(event, "order_id")
        return f"refund:{event.provider}:{require(event, 'refund_id')}"

    def apply(self, event: Event) -> Any:
        """Call :meth:`refund_created`."""
        return self.refund_created(event)

    @abc.abstractmethod
    def refund_created(self, event: Event) -> Any:
        """Record the refund ``event.data["refund_id"]``. Called in the transaction, once."""


class DisputeOpenedHandler(Handler):
    """An order's payment is disputed. The event waits for that payment."""

    requires = ("charge.succeeded",)

    def idempotency_key(self, event: Event) -> str:
        """Return one name for each dispute of a provider."""
        require(event, "order_id")
        return f"dispute:{event.provider}:{require(event, 'dispute_id')}"

    def apply(self, event: Event) -> Any:
        """Call :meth:`dispute_opened`."""
        return self.dispute_opened(event)

    @abc.abstractmethod
    def dispute_opened(self, event: Event) -> Any:
        """Record the dispute ``event.data["dispute_id"]``. Called in the transaction, once."""
