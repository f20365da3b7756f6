"""What the shop does with the events of its payment provider."""

from decimal import Decimal, InvalidOperation

import requests
from django.conf import settings

from django_payment_webhooks.exceptions import PermanentFailure
from django_payment_webhooks.payments import (
    DisputeOpenedHandler,
    OrderPaidHandler,
    RefundCreatedHandler,
)

from .models import Dispute, LedgerEntry, Order, Refund


def lock_order(event):
    """Return the event's order, locked.

    All handlers lock the order first, so that none waits for another in vain.
    """
    order = Order.objects.select_for_update().filter(pk=event.order_id).first()
    # Compared once more, because a database may find "a1" when it is asked for "A1".
    if order is None or order.pk != event.order_id:
        raise PermanentFailure(f"There is no order {event.order_id}.")
    return order


def read_money(event, order):
    """Return the event's amount: a positive number of cents, in the order's currency."""
    amount = read_amount(event.data["amount"])
    if amount is None:
        raise PermanentFailure("The amount is not a positive sum of money.")
    if event.data["currency"] != order.currency:
        raise PermanentFailure(f"The currency is not the order's, which is {order.currency}.")
    return amount


def read_amount(value):
    """Return a positive sum of money, None if a value is none."""
    try:
        amount = Decimal(str(value))
        # Compared, not multiplied: a product is rounded, and can overflow.
        is_sum = amount > 0 and amount == amount.quantize(Decimal("0.01"))
    except InvalidOperation:
        return None
    return amount if is_sum else None


class MarkOrderPaid(OrderPaidHandler):
    """An order was paid: mark it, and have it shipped."""

    def order_paid(self, event):
        """Mark the order as paid if what was paid is what it costs."""
        order = lock_order(event)
        amount = read_money(event, order)
        if amount != order.amount:
            raise PermanentFailure(f"{amount} was paid, but the order costs {order.amount}.")
        order.status = Order.PAID
        order.paid_at = event.occurred_at
        order.save()
        LedgerEntry.objects.create(
            kind="payment", order=order, reference=event.data["charge_id"] or "", amount=amount
        )

    def deliver(self, event):
        """Have the warehouse ship it. It may be asked again, and knows the order by the key."""
        if not settings.DOWNSTREAM_URL:
            return
        answer = requests.post(
            settings.DOWNSTREAM_URL,
            json={"order_id": event.order_id},
            headers={"Idempotency-Key": event.idempotency_key},
            timeout=settings.DOWNSTREAM_TIMEOUT,
        )
        answer.raise_for_status()


class RecordRefund(RefundCreatedHandler):
    """Money went back: record it."""

    def refund_created(self, event):
        """Record the refund if no more goes back than was paid."""
        order = lock_order(event)
        amount = read_money(event, order)
        # Locked, because a plain read under REPEATABLE READ does not see what was committed before
        # the order's lock.
        refunded = sum(refund.amount for refund in order.refunds.select_for_update())
        if refunded + amount > order.amount:
            raise PermanentFailure("More would be refunded than was paid.")
        refund_id = str(event.data["refund_id"])
        Refund.objects.create(order=order, refund_id=refund_id, amount=amount)
        LedgerEntry.objects.create(kind="refund", order=order, reference=refund_id, amount=amount)


class OpenDispute(DisputeOpenedHandler):
    """The buyer disputes the payment: note it."""

    def dispute_opened(self, event):
        """Note the dispute."""
        order = lock_order(event)
        dispute_id = str(event.data["dispute_id"])
        Dispute.objects.create(order=order, dispute_id=dispute_id)
        LedgerEntry.objects.create(kind="dispute", order=order, reference=dispute_id)
