"""Juspay: a name and a password prove who sends; the whole order is in the event."""

import pytest

from django_payment_webhooks.exceptions import WebhookRefused

from .contract import Contract


def event(number, name, **order):
    """Return an event with the fields of Juspay."""
    made = {"order_id": "A1", "txn_id": "ms-A1-1", "amount": 100.5, "currency": "INR", **order}
    time = "2026-11-23T10:00:00Z"
    return {
        "id": f"evt_{number}",
        "event_name": name,
        "date_created": time,
        "content": {"order": made},
    }


REFUNDS = [
    {"unique_request_id": "r1", "amount": 1, "status": "SUCCESS"},
    {"unique_request_id": "r2", "amount": 2.5, "status": "SUCCESS"},
]


class TestJuspay(Contract):
    secret = "merchant:password_1"
    events = [
        (
            event(1, "ORDER_SUCCEEDED", status="CHARGED"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evt_1",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "ms-A1-1",
                "money": "100.50 INR",
            },
        ),
        (event(2, "ORDER_SUCCEEDED", status="AUTHORIZED"), {"type": "ORDER_SUCCEEDED"}),
        (event(3, "ORDER_FAILED", status="AUTHENTICATION_FAILED"), {"type": "charge.failed"}),
        (
            event(4, "ORDER_REFUNDED", status="CHARGED", refunds=REFUNDS),
            {"type": "refund.created", "refund_id": "r2", "money": "2.50 INR", "order_id": "A1"},
        ),
        (event(5, "ORDER_REFUND_FAILED", refunds=REFUNDS), {"type": "refund.failed"}),
        (
            event(6, "CHARGEBACK_RECEIVED"),
            {"type": "dispute.opened", "dispute_id": "ms-A1-1", "money": "100.50 INR"},
        ),
        (
            event(9, "CHARGEBACK_RECEIVED", chargebacks=[{"id": "cb1", "amount": 40}]),
            {"type": "dispute.opened", "dispute_id": "cb1", "money": "40.00 INR"},
        ),
        (event(7, "CHARGEBACK_RESOLVED_IN_MERCHANT_FAVOUR"), {"type": "dispute.won"}),
        (event(8, "CHARGEBACK_RESOLVED_IN_CUSTOMER_FAVOUR"), {"type": "dispute.lost"}),
    ]

    def test_what_is_signed_is_accepted_and_nothing_else(self, make):
        provider = make()
        proof = provider.sign_headers(provider.keys()[0], {}, b"{}")
        assert provider.verify({"HTTP_AUTHORIZATION": proof["Authorization"]}, b"{}")
        for header in ("", "Basic", "Basic x", f"Basic {self.secret}", "Bearer " + self.secret):
            with pytest.raises(WebhookRefused) as raised:
                provider.verify({"HTTP_AUTHORIZATION": header}, b"{}")
            assert raised.value.status == 401
