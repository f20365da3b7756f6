"""Handlers for what every shop has: payments, refunds and disputes, and the money in them.

Each knows what its event requires, what its effect is called, and what must be true of the money.
The host writes how an order is found, what it costs, and what becomes of it.
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

#: What a host may return where a sum is asked for: an amount in major units, and its currency.
Sum = Tuple[Any, str]
#: The host's class of orders: who checks types derives from ``OrderPaidHandler[Order]``.
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
    """Return the sum that an event is about. Raises ``PermanentFailure`` if it is none."""
    try:
        money = event.money
    except ValueError as error:
        raise PermanentFailure(f"The event's amount can't be read: {error}.") from error
    if money is None:
        raise PermanentFailure("The event has no amount.")
    return money


def read_sum(name: str, value: Sum) -> Money:
    """Return the sum that a handler's method returned. Raises ``PermanentFailure``."""
    try:
        amount, currency = value
        return read_money(amount, currency, MAJOR)
    except (TypeError, ValueError) as error:
        raise PermanentFailure(f"{name}() did not return an amount of money: {error}.") from error


def name_object(event: Event, kind: str) -> str:
    """Return a name for a refund or a dispute: endpoints of one account share it."""
    account = get_provider(event.provider).account
    return f"{account}:{require(event, f'{kind}_id')}"


# ---- what they have in common


class OrderHandler(Handler, Generic[OrderT]):
    """What happens to an order that the host has: derive from it for a type that is none of these.

    Let ``apply`` begin with ``order = self.require_order(event)``.
    """

    #: The name of an effect that an order has once, such as ``order-paid``. Empty: each event has
    #: an effect of its own.
    effect = ""

    @abc.abstractmethod
    def get_order(self, event: Event) -> OrderT | None:
        """Return the order ``event.order_id``, locked; None if it is not there.

        It may not be there *yet*: a webhook can be quicker than the commit of what it is about. The
        event waits then, and fails in the end. Lock it by ``select_for_update()``: what happens to
        one order at the same time happens one after the other.
        """

    def idempotency_key(self, event: Event) -> str:
        """Return one name for each order of a shop, if the effect has a name."""
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

        Raises ``NotReady`` if it is not there yet, and ``PermanentFailure`` if the event can't name
        one.
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

    A provider promises no order. So a stage neither needs the one before it, nor does it happen
    once a later one has: a refund that failed is not recorded any more. Such an event is
    ``processed``, and its method is not called.
    """

    requires = ("charge.succeeded",)
    #: What the stage is of, and so which field has its id: ``refund`` or ``dispute``.
    kind = ""
    #: The first word of the effect's name; those of the later stages; and those of the stages in
    #: whose place it can come. Of these the one counts that occurred last.
    stage = ""
    later: Sequence[str] = ()
    rivals: Sequence[str] = ()

    def idempotency_key(self, event: Event) -> str:
        """Return one name for each refund or dispute of an account."""
        require_subject(event)
        return f"{self.stage}:{name_object(event, self.kind)}"

    def apply(self, event: Event) -> Any:
        """Call the stage's method, unless a later stage was applied before."""
        order = self.require_order(event)
        return None if self.is_past(event) else self.enter(event, order)

    def is_past(self, event: Event) -> bool:
        """Return whether a later stage of the same refund or dispute was applied before."""
        name = name_object(event, self.kind)
        if self.find_applied(self.later, name):
            return True
        rivals = self.find_applied(self.rivals, name)
        return any((at, kind) > (event.occurred_at, event.type) for at, kind in rivals)

    def find_applied(self, stages: Sequence[str], name: str) -> Sequence[tuple[datetime, str]]:
        """Return when each of some stages occurred, and its type, if it was applied."""
        keys = [digest(f"{stage}:{name}") for stage in stages]
        # By a locking read, which sees what was committed while this waited for the order.
        found = Event.objects.select_for_update().filter(idempotency_key__in=keys)
        return list(found.values_list("occurred_at", "type")) if keys else []

    @abc.abstractmethod
    def enter(self, event: Event, order: OrderT) -> Any:
        """Have the stage's effect."""


# ---- what there is


class OrderPaidHandler(OrderHandler[OrderT]):
    """An order was paid: once, however many events say so, and by what it costs."""

    effect = "order-paid"

    # Each apply returns what it calls returned: of a coroutine nothing would have run, and the
    # worker reports one that it sees.
    def apply(self, event: Event) -> Any:
        """Compare what was paid with the price, then call :meth:`order_paid`."""
        order = self.require_order(event)
        self.check_price(event, order)
        return self.order_paid(event, order)

    def check_price(self, event: Event, order: OrderT) -> None:
        """Raise ``PermanentFailure`` if another sum was paid than the order costs."""
        paid = require_money(event)
        price = read_sum("get_price", self.get_price(order))
        if paid != price:
            raise PermanentFailure(f"{paid} was paid, but the price is {price}.")

    @abc.abstractmethod
    def get_price(self, order: OrderT) -> Sum:
        """Return what an order costs: the amount, such as ``Decimal("10.00")``, and the currency.

        The amount is in major units: a Decimal, an int, or a text.
        """

    @abc.abstractmethod
    def order_paid(self, event: Event, order: OrderT) -> Any:
        """Mark the order as paid. Called in the transaction, once."""


class RefundPendingHandler(StageHandler[OrderT]):
    """Money of an order is to go back, and has not yet."""

    kind, stage, later = "refund", "refund-pending", ("refund", "refund-failed")

    def enter(self, event: Event, order: OrderT) -> Any:
        """Call :meth:`refund_pending`."""
        return self.refund_pending(event, order)

    @abc.abstractmethod
    def refund_pending(self, event: Event, order: OrderT) -> Any:
        """Note that ``event.data["refund_id"]`` is under way. Called in the transaction, once."""


class RefundCreatedHandler(StageHandler[OrderT]):
    """Money of an order went back: each refund once, and never more than was paid."""

    kind, stage, later = "refund", "refund", ("refund-failed",)

    def enter(self, event: Event, order: OrderT) -> Any:
        """Compare the sum with what is left of the payment, then call :meth:`refund_created`."""
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
        """Return what of an order's payment has not been refunded: an amount and its currency.

        Read the refunds with ``select_for_update()``, so that none is missed.
        """

    @abc.abstractmethod
    def refund_created(self, event: Event, order: OrderT) -> Any:
        """Record the refund ``event.data["refund_id"]``. Called in the transaction, once."""


class RefundTotalHandler(OrderHandler[OrderT]):
    """An event says how much of a payment was refunded so far: by one sum, or by a list of refunds.

    For providers that send no event for each refund. Several such events can come in any order.
    """

    requires = ("charge.succeeded",)

    def idempotency_key(self, event: Event) -> str:
        """Return one name for each total of a payment."""
        require_subject(event)
        subject = event.payment_key or event.order_key
        return f"refund-total:{subject}:{self.read_total(event)}"

    def read_total(self, event: Event) -> Money:
        """Return how much was refunded so far, by default ``event.money``."""
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
        """Record that this was refunded so far, unless more is recorded already.

        Called in the transaction, once for each total; a lower one can come after a higher one.
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
    """A dispute ended for the shop, or a chargeback was reversed: the money is the shop's."""

    kind, stage, rivals = "dispute", "dispute-won", ("dispute-lost",)

    def enter(self, event: Event, order: OrderT) -> Any:
        """Call :meth:`dispute_won`."""
        return self.dispute_won(event, order)

    @abc.abstractmethod
    def dispute_won(self, event: Event, order: OrderT) -> Any:
        """Record that the shop has won, whether or not it is known that there was a dispute.

        Called in the transaction, once.
        """


class DisputeLostHandler(StageHandler[OrderT]):
    """A dispute ended for the buyer: the money is gone."""

    kind, stage, rivals = "dispute", "dispute-lost", ("dispute-won",)

    def enter(self, event: Event, order: OrderT) -> Any:
        """Call :meth:`dispute_lost`."""
        return self.dispute_lost(event, order)

    @abc.abstractmethod
    def dispute_lost(self, event: Event, order: OrderT) -> Any:
        """Record that the shop has lost, whether or not it is known that there was a dispute.

        Called in the transaction, once.
        """
