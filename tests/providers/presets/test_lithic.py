"""Lithic: what a shop is paid is an ACH debit; what it pays is none of our types."""

import base64
import json

from .contract import Contract


def event(event_type, status, direction="DEBIT", **fields):
    """Return an event with the fields of Lithic."""
    made = {"token": "p1", "status": status, "direction": direction, "currency": "USD"}
    times = {"created": "2026-11-23T10:00:00Z", "updated": "2026-11-24T10:00:00Z"}
    amounts = {"settled_amount": 1000, "pending_amount": 0, "user_defined_id": "A1"}
    return {"event_type": event_type, **made, **times, **amounts, **fields}


class TestLithic(Contract):
    secret = "whsec_" + base64.b64encode(bytes(range(24))).decode()
    events = [
        (
            event("payment_transaction.updated", "SETTLED"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "msg_SETTLED_DEBIT",
                "occurred_at": "2026-11-24T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "p1",
                "money": "10.00 USD",
            },
        ),
        (event("payment_transaction.updated", "RETURNED"), {"type": "charge.failed"}),
        (
            event("payment_transaction.updated", "SETTLED", "CREDIT"),
            {"type": "payment_transaction.updated"},
        ),
        (
            event("payment_transaction.created", "PENDING"),
            {"type": "payment_transaction.created"},
        ),
    ]

    def parse(self, provider, body):
        meta = {"HTTP_WEBHOOK_ID": f"msg_{body['status']}_{body['direction']}"}
        return provider.parse(meta, json.dumps(body).encode())
