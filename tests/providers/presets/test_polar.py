"""Polar: the secret is text, and what became of a refund is its status."""

import json

from .contract import Contract


def event(event_type, **data):
    """Return an event with the fields of Polar."""
    return {"type": event_type, "timestamp": "2026-11-23T10:00:00Z", "data": data}


ORDER = {"id": "ord_1", "total_amount": 1190, "net_amount": 1000, "currency": "usd"}
REFUND = {"id": "re_1", "order_id": "ord_1", "amount": 500, "tax_amount": 95, "currency": "usd"}


class TestPolar(Contract):
    secret = "polar_whs_of_the_made_shop"
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event("order.paid", metadata={"order_id": "A1"}, **ORDER),
            {
                "type": "charge.succeeded",
                "provider_event_id": "msg_order.paid_none",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "ord_1",
                "money": "11.90 USD",
            },
        ),
        (
            event("refund.created", status="pending", **REFUND),
            {"type": "refund.pending", "payment_id": "ord_1", "refund_id": "re_1", "order_id": ""},
        ),
        (
            event("refund.updated", status="succeeded", **REFUND),
            {"type": "refund.created", "refund_id": "re_1", "money": "5.00 USD"},
        ),
        (event("refund.updated", status="failed", **REFUND), {"type": "refund.failed"}),
        (event("order.refunded", status="refunded", **ORDER), {"type": "order.refunded"}),
        (event("order.created", status="pending", **ORDER), {"type": "order.created"}),
    ]

    def parse(self, provider, body):
        name = f"msg_{body['type']}_{body['data'].get('status', 'none')}"
        return provider.parse({"HTTP_WEBHOOK_ID": name}, json.dumps(body).encode())
