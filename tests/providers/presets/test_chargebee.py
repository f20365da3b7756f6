"""Chargebee: a name and a password prove who sends."""

import base64

import pytest

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import find_preset

from .contract import Contract


def event(number, event_type, **content):
    """Return an event with the fields of Chargebee."""
    made = {"id": f"ev_{number}", "event_type": event_type, "occurred_at": 1700000000}
    return {**made, "webhook_status": "scheduled", "content": content}


PAYMENT = {"id": "txn_1", "amount": 2000, "currency_code": "USD", "status": "success"}
REFUND = dict(PAYMENT, id="txn_2", amount=500, refunded_txn_id="txn_1")
INVOICE = {"id": "A1", "total": 2000}


class TestChargebee(Contract):
    secret = "cb_user:cb_password"
    ignored = {"webhook_status": "re_scheduled"}
    events = [
        (
            event(1, "payment_succeeded", transaction=PAYMENT, invoice=INVOICE),
            {
                "type": "charge.succeeded",
                "provider_event_id": "ev_1",
                "occurred_at": "2023-11-14T22:13:20+00:00",
                "order_id": "A1",
                "payment_id": "txn_1",
                "money": "20.00 USD",
            },
        ),
        (
            event(2, "payment_failed", transaction=dict(PAYMENT, status="failure")),
            {"type": "charge.failed"},
        ),
        (
            event(3, "payment_refunded", transaction=REFUND, invoice=INVOICE),
            {
                "type": "refund.created",
                "order_id": "A1",
                "payment_id": "txn_1",
                "refund_id": "txn_2",
                "money": "5.00 USD",
            },
        ),
        # Never its own id, which no other event names.
        (
            event(6, "payment_refunded", transaction=dict(REFUND, refunded_txn_id=None)),
            {"type": "refund.created", "payment_id": "", "refund_id": "txn_2"},
        ),
        (event(4, "refund_initiated", transaction=REFUND), {"type": "refund.pending"}),
        (
            event(5, "payment_succeeded", transaction=dict(PAYMENT, status="in_progress")),
            {"type": "payment_succeeded"},
        ),
    ]

    def test_what_is_signed_is_accepted_and_nothing_else(self, make):
        written = base64.b64encode(self.secret.encode()).decode()
        for secret in (self.secret, written):
            assert make(SECRETS=[secret]).verify({"HTTP_AUTHORIZATION": f"Basic {written}"}, b"{}")
        for header in (
            written,
            f"Bearer {written}",
            f"Basic {written[:-1]}",
            f"Basic {self.secret}",
        ):
            with pytest.raises(WebhookRefused) as raised:
                make().verify({"HTTP_AUTHORIZATION": header}, b"{}")
            assert raised.value.status == 401


def test_a_name_without_a_password_is_too_short():
    assert find_preset("chargebee")("made", SECRETS=["user:"]).keys() == []
