"""Shopify: the topic is in a header that nobody signed, so that the body must say the same."""

import json

import pytest

from django_payment_webhooks.providers import find_preset

from .contract import Contract

ORDER = {
    "id": 5495552468,
    "name": "#1001",
    "currency": "EUR",
    "financial_status": "paid",
    "note_attributes": [],
    "test": False,
    "total_price": "1398.00",
    "updated_at": "2026-11-23T12:00:00+02:00",
}
DISPUTE = {"id": 35982383, "order_id": 5495552468, "amount": "11.50", "currency": "USD"}
DISPUTE.update(status="needs_response", initiated_at="2026-11-23T05:00:00-05:00")


def refund(*parts):
    """Return a refund with parts of this status and amount."""
    made = [
        {"kind": "refund", "status": status, "amount": amount, "currency": "EUR"}
        for status, amount in parts
    ]
    return {"id": 509562969, "order_id": 5495552468, "transactions": made}


def event(topic, **body):
    """Return a body with its topic, which comes in a header."""
    return topic, body


class TestShopify(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event("orders/paid", **ORDER),
            {
                "type": "charge.succeeded",
                "provider_event_id": "orders/paid:5495552468:2026-11-23T12:00:00+02:00:paid",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "#1001",
                "payment_id": "5495552468",
                "money": "1398.00 EUR",
                "refund_id": None,
            },
        ),
        # The same body under another topic is another event, and no payment.
        (event("orders/updated", **ORDER), {"type": "orders/updated", "payment_id": "5495552468"}),
        # The body of an order that is not paid, sent again under another topic.
        (
            event("orders/paid", **dict(ORDER, financial_status="pending")),
            {"type": "orders/paid", "order_id": "#1001"},
        ),
        (event("orders/paid", **dict(ORDER, test=True, id=1)), {"type": "orders/paid"}),
        (
            event(
                "orders/paid",
                **dict(ORDER, id=2, note_attributes=[{"name": "order_id", "value": "A1"}]),
            ),
            {"type": "charge.succeeded", "order_id": "A1"},
        ),
        (
            event("refunds/create", **refund(("success", "10.00"), ("success", "2.50"))),
            {
                "type": "refund.created",
                "payment_id": "5495552468",
                "order_id": "",
                "refund_id": 509562969,
                "money": "12.50 EUR",
            },
        ),
        (
            event("refunds/create", **dict(refund(("failure", "10.00"), ("success", "1")), id=2)),
            {"type": "refund.created", "money": "1.00 EUR"},
        ),
        (
            event("refunds/create", **dict(refund(("pending", "10.00")), id=3)),
            {"type": "refund.pending", "money": "10.00 EUR"},
        ),
        (
            event("refunds/create", **dict(refund(("failure", "10.00")), id=4)),
            {"type": "refund.failed"},
        ),
        (event("refunds/create", **dict(refund(), id=5)), {"type": "refunds/create", "money": ""}),
        (
            event("disputes/create", **DISPUTE),
            {
                "type": "dispute.opened",
                "payment_id": "5495552468",
                "dispute_id": 35982383,
                "money": "11.50 USD",
            },
        ),
        (event("disputes/update", **dict(DISPUTE, status="won")), {"type": "dispute.won"}),
        (event("disputes/update", **dict(DISPUTE, status="lost")), {"type": "dispute.lost"}),
        (event("disputes/create", **dict(DISPUTE, status="won")), {"type": "disputes/create"}),
    ]

    def parse(self, provider, body):
        topic, document = body
        return provider.parse({"HTTP_X_SHOPIFY_TOPIC": topic}, json.dumps(document).encode())


@pytest.mark.parametrize("amount", [None, "", "-1", "much"])
def test_a_part_that_is_no_amount_is_an_error_and_not_a_smaller_sum(amount):
    provider = find_preset("shopify")("made", SECRETS=[TestShopify.secret])
    topic = {"header:X-Shopify-Topic": "refunds/create"}
    with pytest.raises(ValueError, match="amount"):
        provider.read_money({**refund(("success", "1.00"), ("success", amount)), **topic})
