"""Worldline Connect: the address is verified first, and disputes are the merchant's objections."""

import pytest
from django.test import RequestFactory

from .contract import Contract


def event(number, event_type, **objects):
    """Return an event with the fields of Worldline."""
    made = {"apiVersion": "v1", "id": f"evt_{number}", "merchantId": "1", "type": event_type}
    return {**made, "created": "2026-11-23T11:00:00.040+0100", **objects}


MONEY = {"amountOfMoney": {"amount": 1000, "currencyCode": "EUR"}}
OUTPUT = {**MONEY, "references": {"merchantReference": "A1", "paymentReference": "9"}}
PAYMENT = {"payment": {"id": "p1", "paymentOutput": OUTPUT}}
REFUND = {"refund": {"id": "r1", "refundOutput": OUTPUT}}
DISPUTE = {"dispute": {"id": "d1", "paymentId": "p1"}}


YEN = {"amountOfMoney": {"amount": 100000, "currencyCode": "JPY"}}


class TestWorldlineConnect(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event(1, "payment.paid", **PAYMENT),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evt_1",
                "occurred_at": "2026-11-23T10:00:00.040000+00:00",
                "order_id": "A1",
                "payment_id": "p1",
                "money": "10.00 EUR",
            },
        ),
        (event(2, "payment.pending_capture", **PAYMENT), {"type": "payment.pending_capture"}),
        (event(3, "payment.rejected", **PAYMENT), {"type": "charge.failed"}),
        (
            event(4, "refund.refunded", **REFUND),
            {
                "type": "refund.created",
                "payment_id": "",
                "refund_id": "r1",
                "money": "10.00 EUR",
                "order_id": "A1",
            },
        ),
        (event(5, "refund.created", **REFUND), {"type": "refund.pending", "refund_id": "r1"}),
        (event(6, "refund.rejected", **REFUND), {"type": "refund.failed"}),
        (
            event(7, "payment.chargeback_notification", **PAYMENT),
            {"type": "dispute.opened", "payment_id": "p1", "dispute_id": "p1"},
        ),
        (event(8, "payment.chargebacked", **PAYMENT), {"type": "dispute.lost"}),
        (
            event(9, "dispute.success", **DISPUTE),
            {"type": "dispute.won", "payment_id": "p1", "dispute_id": "p1"},
        ),
        (event(10, "dispute.created", **DISPUTE), {"type": "dispute.created", "payment_id": "p1"}),
        # Always with two decimals.
        (
            event(11, "payment.paid", payment={"id": "p2", "paymentOutput": YEN}),
            {
                "type": "charge.succeeded",
                "payment_id": "p2",
                "order_id": "",
                "money": "1000.00 JPY",
            },
        ),
    ]

    @pytest.mark.parametrize(
        ("value", "answer"),
        [("a0-9f.b", b"a0-9f.b"), ("<script>", None), ("a\n", None), ("", None)],
    )
    def test_the_address_is_verified_by_repeating_a_value(self, make, value, answer):
        header = {"HTTP_X_GCS_WEBHOOKS_ENDPOINT_VERIFICATION": value}
        response = make().ping(RequestFactory().get("/", **header))
        assert (response and response.content) == answer

    def test_nothing_else_than_a_challenge_is_answered(self, db, installed, client):
        address = "/v1/webhooks/payment/made"
        header = {"HTTP_X_GCS_WEBHOOKS_ENDPOINT_VERIFICATION": "a0-9f.b"}
        answer = client.get(address, **header)
        assert (answer.status_code, answer.content) == (200, b"a0-9f.b")
        assert answer["Content-Type"].startswith("text/plain")
        assert client.get(address).status_code == 405
        assert client.post(address, b"{}", "application/json", **header).status_code == 401
