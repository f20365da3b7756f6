"""A provider of the host's own, and the source that lists what its webhooks have missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse

from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.backfill.sources import Page, Payment, RawEvent, Source
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.receiving import BaseProvider


class Acquirer(Provider):
    header = "X-Acquirer-Signature"
    types = {"PAID": "charge.succeeded"}
    fields = {"provider_event_id": "id", "type": "kind", "order_id": "order"}
    parse_error_status = 200

    def verify(self, meta: Mapping[str, Any], body: bytes) -> str:
        return super().verify(meta, body)

    def ping(self, request: HttpRequest) -> HttpResponse | None:
        return HttpResponse("pong") if request.method == "GET" else super().ping(request)

    def read(self, payload: Any) -> dict[str, Any]:
        return {**super().read(payload), "terminal": payload["terminal"]}

    def answer(self, events: Sequence[Event]) -> HttpResponse:
        return HttpResponse(", ".join(event.type for event in events if event.is_new))


class Bare(BaseProvider):
    def __init__(self, name: str) -> None:
        self.name = self.account = name

    def read_body(self, request: HttpRequest) -> bytes:
        return request.body

    def verify(self, meta: Mapping[str, Any], body: bytes) -> str:
        return "token"

    def parse(self, meta: Mapping[str, Any], body: bytes) -> list[Event]:
        return [Event(provider=self.name, body=body)]

    def payload(self, body: bytes) -> Any:
        return {}

    def read(self, payload: Any) -> dict[str, Any]:
        return {}

    def answer(self, events: Sequence[Event]) -> HttpResponse:
        return HttpResponse()


class AcquirerSource(Source):
    def fetch_events(self, since: datetime, until: datetime, cursor: str) -> Page:
        return Page([RawEvent({"id": "1"}), RawEvent(b"{}", {"X-Id": "2"})], next_cursor="2")

    def fetch_payments(self, since: datetime, until: datetime, cursor: str) -> Page:
        return Page([Payment("pay_1", "10.00", "EUR", order_id="A1")])
