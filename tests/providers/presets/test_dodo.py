"""Dodo Payments: Standard Webhooks as they are."""

import base64
import json

from .contract import Contract


def event(event_type, **data):
    """Return an event with the fields of Dodo Payments."""
    return {"type": event_type, "timestamp": "2026-11-23T10:00:00Z", "data": data}


PAYMENT = {"payment_id": "pay_1", "total_amount": 1000, "currency": "USD"}
REFUND = {"refund_id": "ref_1", "payment_id": "pay_1", "amount": 300, "currency": "USD"}
DISPUTE = {"dispute_id": "dp_1", "payment_id": "pay_1", "amount": "1000", "currency": "USD"}


class TestDodo(Contract):
    secret = "whsec_" + base64.b64encode(bytes(range(24))).decode()
    events = [
        (
            event("payment.succeeded", metadata={"order_id": "A1"}, **PAYMENT),
            {
                "type": "charge.succeeded",
                "provider_event_id": "msg_payment.succeeded",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "pay_1",
                "money": "10.00 USD",
            },
        ),
        (event("payment.processing", **PAYMENT), {"type": "payment.processing"}),
        (event("payment.failed", **PAYMENT), {"type": "charge.failed", "payment_id": "pay_1"}),
        (
            event("refund.succeeded", **REFUND),
            {
                "type": "refund.created",
                "payment_id": "pay_1",
                "refund_id": "ref_1",
                "money": "3.00 USD",
            },
        ),
        (event("refund.failed", **REFUND), {"type": "refund.failed"}),
        (
            event("dispute.opened", **DISPUTE),
            {
                "type": "dispute.opened",
                "payment_id": "pay_1",
                "dispute_id": "dp_1",
                "money": "10.00 USD",
            },
        ),
        (event("dispute.won", **DISPUTE), {"type": "dispute.won"}),
        (event("dispute.expired", **DISPUTE), {"type": "dispute.lost"}),
        (event("dispute.challenged", **DISPUTE), {"type": "dispute.challenged"}),
    ]

    def parse(self, provider, body):
        meta = {"HTTP_WEBHOOK_ID": f"msg_{body['type']}"}
        return provider.parse(meta, json.dumps(body).encode())
