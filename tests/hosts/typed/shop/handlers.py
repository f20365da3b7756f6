from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, assert_type

from django_payment_webhooks.exceptions import NothingToDo, PermanentFailure
from django_payment_webhooks.handlers import Handler
from django_payment_webhooks.models import Event
from django_payment_webhooks.payments import (
    OrderHandler,
    OrderPaidHandler,
    RefundCreatedHandler,
    RefundTotalHandler,
)
from django_payment_webhooks.providers.money import Money

from .models import Order


def ship(order_id: str, *, idempotency_key: str) -> None:
    """Have the warehouse ship an order."""


class ShopOrder:
    """How all handlers find the order."""

    def get_order(self, event: Event) -> Order | None:
        return Order.objects.select_for_update().filter(number=event.order_id).first()


class MarkOrderPaid(ShopOrder, OrderPaidHandler[Order]):
    def prepare(self, event: Event) -> None:
        if event.data.get("status") == "unpaid":
            raise NothingToDo("It is not paid.")

    def get_price(self, order: Order) -> tuple[Decimal, str]:
        return order.amount, order.currency

    def order_paid(self, event: Event, order: Order) -> None:
        assert_type(event.order_id, str)
        assert_type(event.payment_id, str)
        assert_type(event.provider, str)
        assert_type(event.type, str)
        assert_type(event.status, str)
        assert_type(event.attempts, int)
        assert_type(event.occurred_at, datetime)
        assert_type(event.idempotency_key, str | None)
        assert_type(event.data, dict[str, Any])
        order.paid_at = event.occurred_at
        order.save()

    def deliver(self, event: Event) -> None:
        ship(event.order_id, idempotency_key=event.idempotency_key or "")


class RecordRefund(RefundCreatedHandler[Order]):
    def get_order(self, event: Event) -> Order | None:
        return Order.objects.filter(number=event.order_id).first()

    def get_refundable(self, order: Order) -> tuple[str, str]:
        return "10.00", order.currency

    def refund_created(self, event: Event, order: Order) -> None:
        assert event.money
        assert_type(event.money, Money)
        assert_type(event.money.amount, Decimal)
        assert_type(event.money.currency, str)


class RecordRefundTotal(ShopOrder, RefundTotalHandler[Order]):
    def get_price(self, order: Order) -> tuple[Decimal, str]:
        return order.amount, order.currency

    def refund_total(self, event: Event, order: Order, total: Money) -> None:
        assert_type(total.amount, Decimal)


class MarkOrderUnpaid(ShopOrder, OrderHandler[Order]):
    requires = ("charge.succeeded",)
    effect = "order-unpaid"

    def apply(self, event: Event) -> None:
        order = self.require_order(event)
        assert_type(order, Order)
        if event.money != (order.amount, order.currency):
            raise PermanentFailure(f"{event.money} was reversed.")


class NoteInvoice(Handler):
    def idempotency_key(self, event: Event) -> str:
        return f"invoice:{event.data['invoice_id']}"

    def is_ready(self, event: Event) -> bool:
        return super().is_ready(event) and bool(event.order_id)

    def apply(self, event: Event) -> None:
        Order.objects.filter(number=event.order_id).update(paid_at=event.received_at)
