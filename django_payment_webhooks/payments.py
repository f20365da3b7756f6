"""Handlers for payments, refunds and disputes, which also check the money.

Each knows what its event requires, what its effect is called, and which amount is right. The host
writes how to find an order, what it costs, and what happens to it.
"""

from __future__ import annotations

import abc
from datetime import datetime
from typing import Any, Generic, Sequence, Tuple, TypeVar

from .conf import get_provider
from .exceptions import NotReady, PermanentFailure
from .handlers import Handler
from .models import Event, digest
from .providers.money import MAJOR, Money, read_money

#: What a host's method may return as a sum: an amount in major units, and its currency.
Sum = Tuple[Any, str]
#: The host's order class. For a type checker, derive from ``OrderPaidHandler[Order]``.
OrderT = TypeVar("OrderT")


# ---- what an event has


def require(event: Event, name: str) -> str:
    """Return a field of an event as text. Raises ``PermanentFailure`` if it is missing."""
    value = event.order_id if name == "order_id" else event.data.get(name)
    if value in (None, ""):
        raise PermanentFailure(f"The event has no {name}.")
    return str(value)


def require_subject(event: Event) -> None:
    """Raise ``PermanentFailure`` if an event names neither its order nor its payment."""
    if not event.order_key and not event.payment_key:
        raise PermanentFailure(
            "The event has no order_id, and no payment_id whose charge could name the order."
        )


def require_money(event: Event) -> Money:
    """Return an event's money. Raises ``PermanentFailure`` if it has none that can be read."""
    try:
        money = event.money
    except ValueError as error:
        raise PermanentFailure(f"The event's amount can't be read: {error}.") from error
    if money is None:
        raise PermanentFailure("The event has no amount.")
    return money


def read_sum(name: str, value: Sum) -> Money:
    """Return what a handler's method returned as money. Raises ``PermanentFailure``."""
    try:
        amount, currency = value
        return read_money(amount, currency, MAJOR)
    except (TypeError, ValueError) as error:
        raise PermanentFailure(f"{name}() did not return an amount of money: {error}.") from error


def name_object(event: Event, kind: str) -> str:
    """Return a name for a refund or a dispute, which all endpoints of an account share."""
    account = get_provider(event.provider).account
    return f"{account}:{require(event, f'{kind}_id')}"


# ---- base classes


class OrderHandler(Handler, Generic[OrderT]):
    """Base class for events about an order. Derive from it for a type that has no class below.

    Begin ``apply`` with ``order = self.require_order(event)``.
    """

    #: The name of an effect that each order has once, such as ``order-paid``. If empty, each event
    #: has an effect of its own.
    effect = ""

    @abc.abstractmethod
    def get_order(self, event: Event) -> OrderT | None:
        """Return the order ``event.order_id``, locked, or None if it does not exist.

        It may not exist *yet*, as a webhook can arrive before the order is committed. The event
        then waits, and fails past a deadline. Lock the order with ``select_for_update()``, so that
        concurrent events of one order are applied one after the other.
        """

    def idempotency_key(self, event: Event) -> str:
        """Return a name for each order of a shop if the effect has a name."""
        if not self.effect:
            return super().idempotency_key(event)
        require_subject(event)
        if not event.order_key:
            raise NotReady(
                f"It names only the payment {event.payment_id}, "
                "and no event of that names an order yet."
            )
        return f"{self.effect}:{event.order_key}"

    def require_order(self, event: Event) -> OrderT:
        """Return the event's order, locked.

        Raises ``NotReady`` if the order does not exist yet, and ``PermanentFailure`` if the event
        can't name one.
        """
        if not event.order_id:
            raise PermanentFailure(
                "The event has no order_id, and no event of its payment, "
                f"{event.payment_id}, names the order."
            )
        order = self.get_order(event)
        if order is None:
            raise NotReady(f"There is no order {event.order_id} yet.")
        return order


class StageHandler(OrderHandler[OrderT]):
    """One stage of a refund or a dispute. The event waits for the order's payment.

    Providers do not guarantee the order of events. So a stage does not need the previous one, and
    is skipped once a later one has been applied: a refund that has failed is no longer recorded.
    The skipped event is ``processed``, and its method is not called.
    """

    requires = ("charge.succeeded",)
    #: The object whose stage it is, and so the field with its id: ``refund`` or ``dispute``.
    kind = ""
    #: The prefix of the effect's name; the prefixes of later stages; and those of the alternatives
    #: to this stage, of which the last to occur counts.
    stage = ""
    later: Sequence[str] = ()
    rivals: Sequence[str] = ()

    def idempotency_key(self, event: Event) -> str:
        """Return a name for each refund or dispute of an account."""
        require_subject(event)
        return f"{self.stage}:{name_object(event, self.kind)}"

    def apply(self, event: Event) -> Any:
        """Call the stage's method unless a later stage has already been applied."""
        order = self.require_order(event)
        return None if self.is_past(event) else self.enter(event, order)

    def is_past(self, event: Event) -> bool:
        """Return whether a later stage of the same refund or dispute has already been applied."""
        name = name_object(event, self.kind)
        if self.find_applied(self.later, name):
            return True
        rivals = self.find_applied(self.rivals, name)
        return any((at, kind) > (event.occurred_at, event.type) for at, kind in rivals)

    def find_applied(self, stages: Sequence[str], name: str) -> Sequence[tuple[datetime, str]]:
        """Return the time and the type of each of these stages that was applied."""
        keys = [digest(f"{stage}:{name}") for stage in stages]
        # A locking read sees what was committed while this transaction waited for the order.
        found = Event.objects.select_for_update().filter(idempotency_key__in=keys)
        return list(found.values_list("occurred_at", "type")) if keys else []

    @abc.abstractmethod
    def enter(self, event: Event, order: OrderT) -> Any:
        """Apply the stage's effect."""


# ---- handlers


class OrderPaidHandler(OrderHandler[OrderT]):
    """An order was paid: once, however many events say so, and at its price."""

    effect = "order-paid"

    # Each apply returns the result of the host's method: a coroutine has run nothing, and the
    # worker reports one if it sees it.
    def apply(self, event: Event) -> Any:
        """Compare what was paid with the price, then call :meth:`order_paid`."""
        order = self.require_order(event)
        self.check_price(event, order)
        return self.order_paid(event, order)

    def check_price(self, event: Event, order: OrderT) -> None:
        """Raise ``PermanentFailure`` unless exactly the order's price was paid."""
        paid = require_money(event)
        price = read_sum("get_price", self.get_price(order))
        if paid != price:
            raise PermanentFailure(f"{paid} was paid, but the price is {price}.")

    @abc.abstractmethod
    def get_price(self, order: OrderT) -> Sum:
        """Return an order's price: the amount, such as ``Decimal("10.00")``, and the currency.

        The amount is in major units, as a Decimal, an int or a string.
        """

    @abc.abstractmethod
    def order_paid(self, event: Event, order: OrderT) -> Any:
        """Mark the order as paid. Called in the transaction, once."""


class RefundPendingHandler(StageHandler[OrderT]):
    """A refund of an order was started, and no money has gone back yet."""

    kind, stage, later = "refund", "refund-pending", ("refund", "refund-failed")

    def enter(self, event: Event, order: OrderT) -> Any:
        """Call :meth:`refund_pending`."""
        return self.refund_pending(event, order)

    @abc.abstractmethod
    def refund_pending(self, event: Event, order: OrderT) -> Any:
        """Note that ``event.data["refund_id"]`` is pending. Called in the transaction, once."""


class RefundCreatedHandler(StageHandler[OrderT]):
    """An order was refunded: each refund once, and never more than was paid."""

    kind, stage, later = "refund", "refund", ("refund-failed",)

    def enter(self, event: Event, order: OrderT) -> Any:
        """Check that this much of the payment is left, then call :meth:`refund_created`."""
        refunded = require_money(event)
        if not refunded.amount:
            raise PermanentFailure(f"The refund is of {refunded}, which is nothing.")
        left = read_sum("get_refundable", self.get_refundable(order))
        if refunded.currency != left.currency or refunded.amount > left.amount:
            raise PermanentFailure(
                f"More would be refunded than was paid: {refunded}, but {left} is left."
            )
        return self.refund_created(event, order)

    @abc.abstractmethod
    def get_refundable(self, order: OrderT) -> Sum:
        """Return how much of an order's payment has not been refunded: an amount and its currency.

        Read the refunds with ``select_for_update()`` so that none is missed.
        """

    @abc.abstractmethod
    def refund_created(self, event: Event, order: OrderT) -> Any:
        """Record the refund ``event.data["refund_id"]``. Called in the transaction, once."""


class RefundTotalHandler(OrderHandler[OrderT]):
    """An event reports the total refunded so far, as one sum or as a list of refunds.

    For providers that do not send an event for each refund. Such events can arrive in any order.
    """

    requires = ("charge.succeeded",)

    def idempotency_key(self, event: Event) -> str:
        """Return a name for each total of a payment."""
        require_subject(event)
        subject = event.payment_key or event.order_key
        return f"refund-total:{subject}:{self.read_total(event)}"

    def read_total(self, event: Event) -> Money:
        """Return how much has been refunded so far, by default ``event.money``."""
        return require_money(event)

    def apply(self, event: Event) -> Any:
        """Compare the total with what was paid, then call :meth:`refund_total`."""
        order = self.require_order(event)
        total = self.read_total(event)
        paid = read_sum("get_price", self.get_price(order))
        if total.currency != paid.currency or total.amount > paid.amount:
            raise PermanentFailure(f"{total} would be refunded, but {paid} was paid.")
        return self.refund_total(event, order, total)

    @abc.abstractmethod
    def get_price(self, order: OrderT) -> Sum:
        """Return what was paid for an order: an amount and its currency."""

    @abc.abstractmethod
    def refund_total(self, event: Event, order: OrderT, total: Money) -> Any:
        """Record the total refunded so far, unless a higher one is already recorded.

        Called in the transaction, once for each total; a lower one can arrive after a higher one.
        """


class RefundFailedHandler(StageHandler[OrderT]):
    """A refund failed or was reversed: the money did not go back after all."""

    kind, stage = "refund", "refund-failed"

    def enter(self, event: Event, order: OrderT) -> Any:
        """Call :meth:`refund_failed`."""
        return self.refund_failed(event, order)

    @abc.abstractmethod
    def refund_failed(self, event: Event, order: OrderT) -> Any:
        """Undo the refund ``event.data["refund_id"]`` if it is recorded.

        Called in the transaction, once.
        """


class DisputeOpenedHandler(StageHandler[OrderT]):
    """An order's payment is disputed."""

    kind, stage, later = "dispute", "dispute", ("dispute-won", "dispute-lost")

    def enter(self, event: Event, order: OrderT) -> Any:
        """Call :meth:`dispute_opened`."""
        return self.dispute_opened(event, order)

    @abc.abstractmethod
    def dispute_opened(self, event: Event, order: OrderT) -> Any:
        """Record the dispute ``event.data["dispute_id"]``. Called in the transaction, once."""


class DisputeWonHandler(StageHandler[OrderT]):
    """The shop won a dispute, or a chargeback was reversed: the money is the shop's."""

    kind, stage, rivals = "dispute", "dispute-won", ("dispute-lost",)

    def enter(self, event: Event, order: OrderT) -> Any:
        """Call :meth:`dispute_won`."""
        return self.dispute_won(event, order)

    @abc.abstractmethod
    def dispute_won(self, event: Event, order: OrderT) -> Any:
        """Record that the shop has won, whether or not the dispute itself was recorded.

        Called in the transaction, once.
        """


class DisputeLostHandler(StageHandler[OrderT]):
    """The shop lost a dispute: the money is gone."""

    kind, stage, rivals = "dispute", "dispute-lost", ("dispute-won",)

    def enter(self, event: Event, order: OrderT) -> Any:
        """Call :meth:`dispute_lost`."""
        return self.dispute_lost(event, order)

    @abc.abstractmethod
    def dispute_lost(self, event: Event, order: OrderT) -> Any:
        """Record that the shop has lost, whether or not the dispute itself was recorded.

        Called in the transaction, once.
        """
