"""Rapyd: the access key is signed, and does not come along."""

import json

import pytest

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers.sending import compose, make_values
from django_payment_webhooks.providers.sending import sign_webhook as sign

from .contract import Contract


def event(number, event_type, **data):
    """Return an event with the fields of Rapyd."""
    made = {"id": f"wh_{number}", "type": event_type, "status": "NEW", "created_at": 1700000000}
    return {**made, "data": data}


PAYMENT = {"id": "payment_1", "amount": 40.1, "currency_code": "USD", "merchant_reference_id": "A1"}
REFUND = {"id": "refund_1", "payment": "payment_1", "amount": 10, "currency": "USD"}
DISPUTE = {"id": "1", "token": "dispute_1", "original_transaction_id": "payment_1", "amount": 10}
DISPUTE["currency"] = "USD"


class TestRapyd(Contract):
    options = {"URL": "https://shop.example/webhooks/payment/rapyd", "ACCESS_KEY": "rak_1"}
    vector_options = {"MIN_KEY_LENGTH": 1, "ACCESS_KEY": "rapyd_access"}
    events = [
        (
            event(1, "PAYMENT_COMPLETED", status="CLO", **PAYMENT),
            {
                "type": "charge.succeeded",
                "provider_event_id": "wh_1",
                "occurred_at": "2023-11-14T22:13:20+00:00",
                "order_id": "A1",
                "payment_id": "payment_1",
                "money": "40.10 USD",
            },
        ),
        (event(2, "PAYMENT_FAILED", status="ERR", **PAYMENT), {"type": "charge.failed"}),
        (event(3, "PAYMENT_UPDATED", status="ACT", **PAYMENT), {"type": "PAYMENT_UPDATED"}),
        (
            event(4, "REFUND_COMPLETED", **REFUND),
            {
                "type": "refund.created",
                "payment_id": "payment_1",
                "refund_id": "refund_1",
                "money": "10.00 USD",
                "order_id": "",
            },
        ),
        (event(5, "PAYMENT_REFUND_REJECTED", **REFUND), {"type": "refund.failed"}),
        # A refund has a reference of its own, which is no order.
        (
            event(11, "REFUND_COMPLETED", merchant_reference_id="R1", **REFUND),
            {"type": "refund.created", "payment_id": "payment_1", "order_id": ""},
        ),
        (
            event(12, "PAYMENT_REFUND_UPDATED", merchant_reference_id="R1", **REFUND),
            {"type": "PAYMENT_REFUND_UPDATED", "payment_id": "payment_1", "order_id": ""},
        ),
        (
            event(6, "PAYMENT_DISPUTE_CREATED", status="ACT", **DISPUTE),
            {"type": "dispute.opened", "payment_id": "payment_1", "dispute_id": "dispute_1"},
        ),
        (event(7, "PAYMENT_DISPUTE_UPDATED", status="WIN", **DISPUTE), {"type": "dispute.won"}),
        (event(8, "PAYMENT_DISPUTE_UPDATED", status="LOS", **DISPUTE), {"type": "dispute.lost"}),
        (
            event(9, "PAYMENT_DISPUTE_UPDATED", status="RVW", **DISPUTE),
            {"type": "PAYMENT_DISPUTE_UPDATED", "payment_id": "payment_1"},
        ),
        # Refunds come in another cover, without a time of their own.
        (
            {
                **event(10, "REFUND_COMPLETED", **REFUND),
                "token": "wh_10",
                "id": "1",
                "created_at": 0,
            },
            {
                "type": "refund.created",
                "provider_event_id": "wh_10",
                "occurred_at": "2023-11-14T23:13:20+00:00",
            },
        ),
    ]
    # Sent again by hand, it says so.
    ignored = {"status": "RET"}

    def parse(self, provider, body):
        meta = {"HTTP_TIMESTAMP": "1700003600"}
        return provider.parse(meta, json.dumps(body).encode())

    def test_the_access_key_and_the_address_are_signed(self, make):
        webhook = compose(make(), make_values(make(), "charge.succeeded", order_id="A1"))
        signed = sign(make(), webhook)
        for other in ({"ACCESS_KEY": "rak_2"}, {"URL": "https://shop.example/"}):
            with pytest.raises(WebhookRefused) as raised:
                make(**other).verify(signed.meta, signed.body)
            assert raised.value.reason == "mismatch"
        # One that comes along counts for nothing.
        assert make().verify({**signed.meta, "HTTP_ACCESS_KEY": "rak_2"}, signed.body)
