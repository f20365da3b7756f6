"""What the shop does with the events of its payment provider."""

import requests
from django.conf import settings

from django_payment_webhooks.payments import (
    DisputeOpenedHandler,
    OrderPaidHandler,
    RefundCreatedHandler,
    RefundFailedHandler,
)

from .models import Dispute, LedgerEntry, Order, Refund


class ShopOrder:
    """How all handlers find the order."""

    def get_order(self, event):
        """Return the event's order, locked; None if the shop does not have it yet."""
        order = Order.objects.select_for_update().filter(pk=event.order_id).first()
        # Compared once more, because a database may find "a1" when it is asked for "A1".
        return order if order and order.pk == event.order_id else None


class MarkOrderPaid(ShopOrder, OrderPaidHandler):
    """An order was paid: mark it, and have it shipped."""

    def get_price(self, order):
        """Return what the order costs."""
        return order.amount, order.currency

    def order_paid(self, event, order):
        """Mark the order as paid."""
        order.status = Order.PAID
        order.paid_at = event.occurred_at
        order.save()
        LedgerEntry.objects.create(
            kind="payment", order=order, reference=event.payment_id, amount=event.money.amount
        )

    def deliver(self, event):
        """Ask the warehouse to ship it. A repeated call has the same key."""
        if not settings.DOWNSTREAM_URL:
            return
        answer = requests.post(
            settings.DOWNSTREAM_URL,
            json={"order_id": event.order_id},
            headers={"Idempotency-Key": event.idempotency_key},
            timeout=settings.DOWNSTREAM_TIMEOUT,
        )
        answer.raise_for_status()


class RecordRefund(ShopOrder, RefundCreatedHandler):
    """Money went back: record it."""

    def get_refundable(self, order):
        """Return how much of the order's price has not been refunded."""
        # Locked, because a plain read under REPEATABLE READ does not see what was committed before
        # the order's lock.
        refunded = sum(refund.amount for refund in order.refunds.select_for_update())
        return order.amount - refunded, order.currency

    def refund_created(self, event, order):
        """Record the refund."""
        refund_id, amount = str(event.data["refund_id"]), event.money.amount
        Refund.objects.create(order=order, refund_id=refund_id, amount=amount)
        LedgerEntry.objects.create(kind="refund", order=order, reference=refund_id, amount=amount)


class UndoRefund(ShopOrder, RefundFailedHandler):
    """The money did not go back after all."""

    def refund_failed(self, event, order):
        """Forget the refund, if it is recorded."""
        refund_id = str(event.data["refund_id"])
        order.refunds.filter(refund_id=refund_id).delete()
        LedgerEntry.objects.create(kind="refund failed", order=order, reference=refund_id)


class OpenDispute(ShopOrder, DisputeOpenedHandler):
    """The buyer disputes the payment: note it."""

    def dispute_opened(self, event, order):
        """Note the dispute."""
        dispute_id = str(event.data["dispute_id"])
        Dispute.objects.create(order=order, dispute_id=dispute_id)
        LedgerEntry.objects.create(kind="dispute", order=order, reference=dispute_id)
