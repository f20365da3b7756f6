"""Revolut: neither money nor time, and refunds that are completed like payments."""

import json

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.providers.payloads import dump_json
from django_payment_webhooks.providers.sending import compose, make_values
from django_payment_webhooks.providers.sending import sign_webhook as sign

from .contract import Contract


def event(name, **fields):
    """Return an event with the fields of Revolut."""
    return {"event": name, **fields}


ORDER = {"order_id": "ro_1", "merchant_order_ext_ref": "A1"}
ORDERS = {
    "ro_1": {"type": "payment", "state": "completed", "amount": 1000, "currency": "GBP"},
    "ro_2": {"type": "refund", "state": "completed", "amount": 300, "currency": "GBP"},
    "ro_3": {"type": "payment", "state": "pending", "amount": 1000, "currency": "GBP"},
}
PAID = {"ro_2": "ro_1"}


def fetch(event):
    """Return an event with the order that Revolut has for it."""
    order_id = event.payload["order_id"]
    return {**event.payload, "order": ORDERS[order_id], "payment_id": PAID.get(order_id)}


class TestRevolut(Contract):
    options = {"CONFIRM": f"{__name__}.fetch"}
    secret = "wsk_of_the_made_shop"
    events = [
        # What it is about is not known until the order is fetched.
        (
            event("ORDER_COMPLETED", **ORDER),
            {
                "type": "ORDER_COMPLETED",
                "provider_event_id": "ORDER_COMPLETED:ro_1",
                "occurred_at": "2023-11-14T22:13:20.123000+00:00",
                "order_id": "A1",
                "payment_id": "ro_1",
                "money": "",
            },
        ),
        (event("ORDER_AUTHORISED", **ORDER), {"type": "ORDER_AUTHORISED"}),
        (event("ORDER_PAYMENT_FAILED", **ORDER), {"type": "charge.failed", "payment_id": "ro_1"}),
        (
            event("DISPUTE_ACTION_REQUIRED", dispute_id="d1"),
            {
                "type": "dispute.opened",
                "provider_event_id": "DISPUTE_ACTION_REQUIRED:d1",
                "dispute_id": "d1",
                "payment_id": "",
            },
        ),
        (event("DISPUTE_WON", dispute_id="d1"), {"type": "dispute.won", "dispute_id": "d1"}),
        (event("DISPUTE_LOST", dispute_id="d1"), {"type": "dispute.lost"}),
        (
            event("TransactionStateChanged", data={"id": "t1"}, timestamp="2026-11-23T10:00:00Z"),
            {"type": "TransactionStateChanged", "occurred_at": "2026-11-23T10:00:00+00:00"},
        ),
        # One transaction goes through several states.
        *(
            (
                event("TransactionStateChanged", data={"id": "t2", "new_state": state}),
                {"provider_event_id": f"TransactionStateChanged:t2:{state}"},
            )
            for state in ("pending", "completed")
        ),
        (event("ORDER_FAILED", **ORDER), {"type": "charge.failed", "payment_id": "ro_1"}),
    ]

    def parse(self, provider, body, sent="1700000000123"):
        meta = {"HTTP_REVOLUT_REQUEST_TIMESTAMP": sent}
        return provider.parse(meta, json.dumps(body).encode())

    def test_what_is_fetched_says_what_was_completed(self, installed):
        provider = get_provider("made")
        read = []
        for order_id in ("ro_1", "ro_2", "ro_3"):
            (event_,) = self.parse(provider, event("ORDER_COMPLETED", order_id=order_id))
            payload = provider.payload(dump_json(provider.confirm(event_)))
            columns = provider.read_columns(payload)
            refund_id = provider.read(payload)["refund_id"]
            money = str(provider.read_money(payload))
            read.append((columns["type"], columns["payment_id"], refund_id, money))
        assert read == [
            ("charge.succeeded", "ro_1", None, "10.00 GBP"),
            ("refund.created", "ro_1", "ro_2", "3.00 GBP"),
            ("ORDER_COMPLETED", "ro_3", None, "10.00 GBP"),
        ]

    def test_the_sandbox_is_heard_as_well(self, make):
        provider = make(TRUSTED_PROXIES=0)
        for address in ("35.246.21.235", "35.242.130.242", "35.242.162.241"):
            signed = sign(provider, compose(provider, make_values(provider, "charge.failed")))
            assert provider.verify({**signed.meta, "REMOTE_ADDR": address}, signed.body)

    def test_a_repetition_at_another_time_is_the_same(self, make):
        provider = make()
        (first,) = self.parse(provider, event("ORDER_COMPLETED", **ORDER))
        (again,) = self.parse(provider, event("ORDER_COMPLETED", **ORDER), "1700000600123")
        assert (first.dedup_key, first.fingerprint) == (again.dedup_key, again.fingerprint)
