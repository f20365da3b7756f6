"""Shopify: the topic is in an unsigned header, so the body says what it is."""

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
DISPUTE.update(type="chargeback", initiated_at="2026-11-23T05:00:00-05:00")


def refund(*parts):
    """Return a refund with parts of this status and amount."""
    made = [
        {"kind": "refund", "status": status, "amount": amount, "currency": "EUR"}
        for status, amount in parts
    ]
    return {"id": 509562969, "order_id": 5495552468, "transactions": made}


def dispute(status):
    """Return a dispute in this state."""
    return dict(DISPUTE, status=status)


class TestShopify(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            ORDER,
            {
                "type": "charge.succeeded",
                "provider_event_id": "order:5495552468:paid:2026-11-23T12:00:00+02:00",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "#1001",
                "payment_id": "5495552468",
                "money": "1398.00 EUR",
                "refund_id": None,
            },
        ),
        (
            dict(ORDER, financial_status="pending"),
            {"type": "order.pending", "order_id": "#1001", "payment_id": "5495552468"},
        ),
        (dict(ORDER, id=1, test=True), {"type": "charge.succeeded"}),
        (
            dict(ORDER, id=2, note_attributes=[{"name": "order_id", "value": "A1"}]),
            {"type": "charge.succeeded", "order_id": "A1"},
        ),
        # It was paid, and then some of it went back.
        (
            dict(ORDER, financial_status="partially_refunded"),
            {"type": "charge.succeeded", "money": "1398.00 EUR"},
        ),
        (dict(ORDER, financial_status="voided"), {"type": "charge.failed"}),
        (
            refund(("success", "10.00"), ("success", "2.50")),
            {
                "type": "refund.created",
                "provider_event_id": "509562969:",
                "payment_id": "5495552468",
                "order_id": "",
                "refund_id": 509562969,
                "money": "12.50 EUR",
            },
        ),
        (
            dict(refund(("failure", "10.00"), ("success", "1")), id=12),
            {"type": "refund.created", "money": "1.00 EUR"},
        ),
        (
            dict(refund(("pending", "10.00")), id=13),
            {"type": "refund.pending", "money": "10.00 EUR"},
        ),
        (dict(refund(("failure", "10.00")), id=14), {"type": "refund.failed"}),
        # Of stock alone.
        (dict(refund(), id=15), {"type": "other", "money": ""}),
        (
            dispute("needs_response"),
            {
                "type": "dispute.opened",
                "provider_event_id": "dispute:35982383:needs_response",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "payment_id": "5495552468",
                "dispute_id": 35982383,
                "money": "11.50 USD",
            },
        ),
        (dispute("won"), {"type": "dispute.won"}),
        (dispute("lost"), {"type": "dispute.lost"}),
        (
            dict(dispute("won"), id=2, finalized_on="2026-12-03T20:00:00-04:00"),
            {"type": "dispute.won", "occurred_at": "2026-12-04T00:00:00+00:00"},
        ),
    ]


def test_no_header_changes_what_a_body_is():
    provider = find_preset("shopify")("made", SECRETS=[TestShopify.secret])
    body = json.dumps(dict(ORDER, financial_status="pending")).encode()
    meta = {"HTTP_X_SHOPIFY_TOPIC": "orders/paid", "HTTP_X_SHOPIFY_EVENT_ID": "another"}
    (plain,), (claimed,) = provider.parse({}, body), provider.parse(meta, body)
    assert claimed.type == "order.pending"
    assert (claimed.dedup_key, claimed.fingerprint) == (plain.dedup_key, plain.fingerprint)


@pytest.mark.parametrize("amount", [None, "", "-1", "much"])
def test_a_part_that_is_no_amount_is_an_error_and_not_a_smaller_sum(amount):
    provider = find_preset("shopify")("made", SECRETS=[TestShopify.secret])
    with pytest.raises(ValueError, match="amount"):
        provider.read_money(refund(("success", "1.00"), ("success", amount)))


@pytest.mark.parametrize("part", [None, [], "x", 1, {"status": "success", "amount": []}])
def test_an_odd_transaction_beside_a_good_one_lets_the_event_be_read(part):
    provider = find_preset("shopify")("made", SECRETS=[TestShopify.secret])
    body = refund(("success", "1.00"))
    body["transactions"].append(part)
    assert provider.read(body)["refund_id"] == 509562969
