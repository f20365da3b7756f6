"""What every program that is measured does with an event: one statement marks its order as paid."""

from __future__ import annotations

from django.db import connection
from django.utils import timezone

from django_payment_webhooks.handlers import Handler


def mark_paid(order_id: str) -> None:
    """Mark an order as paid."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE shop_order SET status = 'paid', paid_at = %s WHERE id = %s",
            [timezone.now(), order_id],
        )


class MarkOrderPaid(Handler):
    """An order was paid, once."""

    def idempotency_key(self, event) -> str:
        """Return one name for each order."""
        return "order-paid:" + event.order_id

    def apply(self, event) -> None:
        """Mark the order."""
        mark_paid(event.order_id)
