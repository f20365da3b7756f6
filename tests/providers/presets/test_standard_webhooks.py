"""Standard Webhooks: the id is a header that is signed, and survives until the worker."""

import base64
import json

from .contract import Contract


def event(event_type, **data):
    """Return an event as the specification has it."""
    return {"type": event_type, "timestamp": "2026-11-23T10:00:00Z", "data": data}


class TestStandardWebhooks(Contract):
    secret = "whsec_" + base64.b64encode(bytes(range(24))).decode()
    events = [
        (
            event("charge.succeeded", id="pay_1", order_id="A1", amount="10.00", currency="EUR"),
            {
                "type": "charge.succeeded",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "pay_1",
                "money": "10.00 EUR",
            },
        ),
        (
            event("refund.created", id="re_1", payment_id="pay_1"),
            {"type": "refund.created", "payment_id": "pay_1", "refund_id": "re_1"},
        ),
        (
            event("dispute.opened", id="dp_1", payment_id="pay_1"),
            {"type": "dispute.opened", "payment_id": "pay_1", "dispute_id": "dp_1"},
        ),
    ]

    def parse(self, provider, body):
        meta = {"HTTP_WEBHOOK_ID": "msg_" + body["data"]["id"]}
        return provider.parse(meta, json.dumps(body).encode())

    def test_the_id_is_still_known_when_the_body_is_read_again(self, make):
        provider = make()
        (event,) = self.parse(provider, self.events[0][0])
        assert event.provider_event_id == "msg_pay_1"
        assert provider.payload(event.body)["header:webhook-id"] == "msg_pay_1"
        (again,) = provider.parse({}, event.body)
        assert (again.dedup_key, again.body) == (event.dedup_key, event.body)
