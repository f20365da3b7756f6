"""Xendit: a token proves who sends, and events are told apart by what they say."""

import pytest

from django_payment_webhooks.exceptions import WebhookRefused

from .contract import Contract


def event(kind, status="SUCCEEDED", **data):
    """Return an event with the fields of Xendit."""
    made = {"status": status, "currency": "IDR", **data}
    return {"event": kind, "created": "2026-11-23T10:00:00.000Z", "data": made}


PAYMENT = {"payment_id": "py-1", "payment_request_id": "pr-1", "reference_id": "A1"}
PAYMENT.update(request_amount=10000)
REFUND = {"id": "rfd-1", "payment_id": "py-1", "reference_id": "R1", "amount": 500}


class TestXendit(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event("payment.capture", **PAYMENT),
            {
                "type": "charge.succeeded",
                "provider_event_id": "payment.capture:py-1:SUCCEEDED:",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "py-1",
                "money": "10000.00 IDR",
            },
        ),
        (event("payment.capture", "PENDING", **PAYMENT), {"type": "payment.capture"}),
        (event("payment.failure", "FAILED", **PAYMENT), {"type": "charge.failed"}),
        (
            event("payment.succeeded", id="py-2", reference_id="A2", amount=5.5, currency="PHP"),
            {
                "type": "charge.succeeded",
                "payment_id": "py-2",
                "order_id": "A2",
                "money": "5.50 PHP",
            },
        ),
        (
            event("refund.succeeded", **REFUND),
            {
                "type": "refund.created",
                "payment_id": "py-1",
                "refund_id": "rfd-1",
                "order_id": "",
                "money": "500.00 IDR",
            },
        ),
        (event("refund.failed", "FAILED", **REFUND), {"type": "refund.failed"}),
        (
            {
                "id": "579c",
                "external_id": "A1",
                "status": "PAID",
                "paid_amount": 50000,
                "currency": "IDR",
                "paid_at": "2026-11-23T10:00:00.000Z",
            },
            {
                "type": "charge.succeeded",
                "provider_event_id": "579c:PAID",
                "order_id": "A1",
                "payment_id": "579c",
                "money": "50000.00 IDR",
            },
        ),
        ({"id": "579d", "status": "EXPIRED"}, {"type": "charge.failed", "money": ""}),
        # A part of a payment was captured.
        (
            event(
                "payment.capture",
                captures=[{"capture_id": "c1", "capture_amount": 4000}],
                **PAYMENT,
            ),
            {"type": "charge.succeeded", "money": "4000.00 IDR"},
        ),
        # The reference has a refund in a cover within the cover.
        (
            {
                "event": "refund.succeeded",
                "data": event("refund.succeeded", **dict(REFUND, id="rfd-2", invoice_id=None)),
            },
            {
                "type": "refund.created",
                "provider_event_id": "refund.succeeded:rfd-2:SUCCEEDED",
                "payment_id": "py-1",
                "refund_id": "rfd-2",
                "money": "500.00 IDR",
            },
        ),
        # An invoice is the payment, whichever payment was made for it.
        (
            {"id": "579c", "external_id": "A1", "status": "SETTLED", "payment_id": "ewc_1"},
            {"type": "charge.succeeded", "payment_id": "579c"},
        ),
        (
            event(
                "refund.succeeded",
                **dict(REFUND, id="rfd-3", payment_id="ewc_1", invoice_id="579c"),
            ),
            {"type": "refund.created", "payment_id": "579c"},
        ),
    ]

    def test_what_is_signed_is_accepted_and_nothing_else(self, make):
        provider = make()
        assert provider.verify({"HTTP_X_CALLBACK_TOKEN": self.secret}, b"{}")
        for token in (self.secret[:-1], self.secret + "x", self.secret.upper(), "", " ", None):
            meta = {"HTTP_X_CALLBACK_TOKEN": token}
            with pytest.raises(WebhookRefused) as raised:
                provider.verify(meta, b"{}")
            assert raised.value.status == 401
