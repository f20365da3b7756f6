"""What a type checker must find: each mistake ends its line with the code of its error."""

from __future__ import annotations

from datetime import datetime

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.handlers import Handler
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.backfill.sources import Source
from django_payment_webhooks.payments import OrderPaidHandler
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.receiving import receive_events

from .models import Order


class ForgottenArgument(Handler):
    def apply(self) -> None:  # error: override
        pass


class AnotherArgument(Handler):
    def apply(self, event: str) -> None:  # error: override
        pass


class Asynchronous(Handler):
    async def apply(self, event: Event) -> None:  # error: override
        pass


class NoKey(Handler):
    def apply(self, event: Event) -> None:
        pass

    def idempotency_key(self, event: Event) -> None:  # error: override
        pass


class OtherOrder(OrderPaidHandler[Order]):
    def get_order(self, event: Event) -> Event:  # error: override
        return event

    def get_price(self, order: Order) -> str:  # error: override
        return order.currency

    def order_paid(self, event: Event, order: Event) -> None:  # error: override
        pass


class Unwritten(OrderPaidHandler[Order]):
    def get_order(self, event: Event) -> Order | None:
        return None


Unwritten()  # error: abstract


class WrongProvider(Provider):
    types = "charge.succeeded"  # error: assignment

    def verify(self, body: bytes) -> str:  # error: override
        return ""


class WrongSource(Source):
    def fetch_events(self, *period: datetime) -> list[str]:  # error: override
        return []


def note(value: object) -> None:
    pass


def read(event: Event) -> None:
    note(event.order_id + 1)  # error: operator
    note(event.money.amount)  # error: union-attr
    note(event.money and event.money.cents)  # error: attr-defined
    note(event.no_such_column)  # error: attr-defined
    receive_events(get_provider("default"), {})  # error: call-arg
