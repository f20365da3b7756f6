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
    """Return the event's order, locked: all handlers lock the order first, so that none waits for another in vain."""
    order = Order.objects.select_for_update().filter(pk=event.order_id).first()
    # Compared once more, because a database may find "a1" when it is asked for "A1".
    if order is None or order.pk != event.order_id:
        raise PermanentFailure("There is no order %s." % event.order_id)
    return order


def read_money(event, order):
    """Return the event's amount. Its currency must be the order's, and it must be a positive number of cents."""
    try:
        amount = Decimal(str(event.data["amount"]))
        # Compared, not multiplied: a product is rounded, and can overflow.
        positive = amount > 0 and amount == amount.quantize(Decimal("0.01"))
    except InvalidOperation:
        positive = False
    if not positive:
        raise PermanentFailure("The amount is not a positive sum of money.")
    if event.data["currency"] != order.currency:
        raise PermanentFailure("The currency is not the order's, which is %s." % order.currency)
    return amount


class MarkOrderPaid(OrderPaidHandler):
    """An order was paid: mark it, and have it shipped."""

    def order_paid(self, event):
        """Mark the order as paid if what was paid is what it costs."""
        order = lock_order(event)
        amount = read_money(event, order)
        if amount != order.amount:
            raise PermanentFailure("%s was paid, but the order costs %s." % (amount, order.amount))
        order.status, order.paid_at = Order.PAID, event.occurred_at
        order.save()
        LedgerEntry.objects.create(
            kind="payment", order=order, reference=event.data["charge_id"] or "", amount=amount
        )

    def deliver(self, event):
        """Tell the warehouse. It may be told again, and knows by the key that it is the same order."""
        if settings.DOWNSTREAM_URL:
            headers = {"Idempotency-Key": event.idempotency_key}
            order = {"order_id": event.order_id}
            url = settings.DOWNSTREAM_URL
            requests.post(
                url, json=order, headers=headers, timeout=settings.DOWNSTREAM_TIMEOUT
            ).raise_for_status()


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
