"""Midtrans: what is signed does not say whether money moved, and so it is asked."""

import json

import pytest

from django_payment_webhooks.providers import find_preset

from .contract import Contract


def fetch(event):
    """Return the status of a transaction."""
    return event.payload


def notification(status, code="200", **fields):
    """Return a notification with the fields of Midtrans."""
    made = {"order_id": "A1", "transaction_id": "9a83", "gross_amount": "200000.00"}
    made.update(transaction_time="2026-11-23 17:00:00")
    return {**made, "transaction_status": status, "status_code": code, **fields}


PART = {"refund_key": "r1", "refund_amount": "5000.00", "created_at": "2026-11-23 18:00:00"}


class TestMidtrans(Contract):
    options = {"CONFIRM": f"{__name__}.fetch"}
    events = [
        (
            notification("capture", fraud_status="accept"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "9a83:capture:accept:",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "9a83",
                "money": "200000.00 IDR",
            },
        ),
        # The bank still looks at it.
        (notification("capture", "201", fraud_status="challenge"), {"type": "capture"}),
        (
            notification("settlement", settlement_time="2026-11-23 17:05:00", currency="SGD"),
            {
                "type": "charge.succeeded",
                "occurred_at": "2026-11-23T10:05:00+00:00",
                "money": "200000.00 SGD",
            },
        ),
        # A state that the signed code contradicts.
        (notification("settlement", "201", transaction_id="2"), {"type": "settlement"}),
        (notification("expire", "202"), {"type": "charge.failed"}),
        (
            notification("partial_refund", refunds=[PART]),
            {
                "type": "refund.created",
                "refund_id": "r1",
                "occurred_at": "2026-11-23T11:00:00+00:00",
                "money": "5000.00 IDR",
            },
        ),
        (
            notification("partial_refund", refunds=[PART, dict(PART, refund_key="r2")]),
            {"type": "refund.created", "refund_id": "r2"},
        ),
        # Without a list of them, refunds are apart by what was given back so far.
        (
            notification("partial_refund", refund_amount="3000.00"),
            {
                "type": "refund.created",
                "provider_event_id": "9a83:partial_refund:::3000.00",
                "refund_id": "9a83:3000.00",
                "money": "3000.00 IDR",
            },
        ),
        (notification("chargeback"), {"type": "dispute.opened", "dispute_id": "9a83"}),
    ]


@pytest.mark.parametrize("change", ["order_id", "status_code", "gross_amount"])
def test_three_fields_are_signed(change):
    provider = find_preset("midtrans")("made", SECRETS=[TestMidtrans.secret])
    key = TestMidtrans.secret.encode()
    body = notification("settlement")
    changed = json.dumps({**body, change: "1"}).encode()
    assert provider.sign(key, {}, json.dumps(body).encode()) != provider.sign(key, {}, changed)
