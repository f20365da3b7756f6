"""Svix: Standard Webhooks with headers of its own names."""

import base64
import json

from .contract import Contract


def event(event_type, **data):
    """Return an event as Svix shows one."""
    return {"event_type": event_type, "timestamp": "2026-11-23T10:00:00Z", "data": data}


class TestSvix(Contract):
    secret = "whsec_" + base64.b64encode(bytes(range(24))).decode()
    events = [
        (
            event("charge.succeeded", id="pay_1", order_id="A1", amount="10.00", currency="EUR"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "msg_pay_1",
                "order_id": "A1",
                "payment_id": "pay_1",
                "money": "10.00 EUR",
            },
        ),
        (
            event("refund.created", id="re_1", payment_id="pay_1"),
            {"type": "refund.created", "payment_id": "pay_1", "refund_id": "re_1"},
        ),
        (event("dispute.opened", id="dp_1", payment_id="pay_1"), {"dispute_id": "dp_1"}),
    ]

    def parse(self, provider, body):
        meta = {"HTTP_SVIX_ID": "msg_" + body["data"]["id"]}
        return provider.parse(meta, json.dumps(body).encode())
