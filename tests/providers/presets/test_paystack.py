"""Paystack: no id, and payments that are known by their reference."""

import pytest

from django_payment_webhooks.providers import find_preset

from .contract import Contract


def event(name, **data):
    """Return an event with the fields of Paystack."""
    return {"event": name, "data": {"currency": "NGN", **data}}


CHARGE = {"id": 1, "reference": "R1", "amount": 100000, "paid_at": "2026-11-23T10:00:00.000Z"}
REFUND = {"transaction_reference": "R1", "amount": "50000"}
DISPUTE = {"id": 7, "refund_amount": 100000, "transaction": {"id": 1, "reference": "R1"}}
DISPUTE["updated_at"] = "2026-11-24T10:00:00.000Z"


class TestPaystack(Contract):
    secret = "sk_test_of_the_made_shop"
    events = [
        (
            event("charge.success", status="success", metadata={"order_id": "A1"}, **CHARGE),
            {
                "type": "charge.succeeded",
                "provider_event_id": "charge.success:1:R1::100000:success:",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "R1",
                "money": "1000.00 NGN",
            },
        ),
        (
            event("refund.pending", status="pending", refund_reference=None, **REFUND),
            {"type": "refund.pending", "payment_id": "R1", "order_id": "", "money": "500.00 NGN"},
        ),
        (
            event("refund.processed", status="processed", refund_reference="TRF_1", **REFUND),
            {"type": "refund.created", "payment_id": "R1", "refund_id": "TRF_1"},
        ),
        (event("refund.failed", status="failed", **REFUND), {"type": "refund.failed"}),
        (
            event("charge.dispute.create", status="awaiting-merchant-feedback", **DISPUTE),
            {
                "type": "dispute.opened",
                "payment_id": "R1",
                "dispute_id": 7,
                "order_id": "",
                "money": "1000.00 NGN",
            },
        ),
        (
            event("charge.dispute.resolve", resolution="declined", **DISPUTE),
            {"type": "dispute.won", "dispute_id": 7},
        ),
        (
            event("charge.dispute.resolve", resolution="merchant-accepted", status="r", **DISPUTE),
            {"type": "dispute.lost"},
        ),
        (event("charge.dispute.remind", **DISPUTE), {"type": "charge.dispute.remind"}),
    ]


@pytest.mark.parametrize("metadata", [0, "", None, {}, "text", {"order_id": ""}])
def test_without_metadata_the_reference_is_the_order(metadata):
    provider = find_preset("paystack")("paystack", SECRETS=["x" * 32])
    body = provider.encode(event("charge.success", metadata=metadata, **CHARGE))
    (parsed,) = provider.parse({"REQUEST_METHOD": "POST"}, body)
    assert parsed.order_id == "R1"


@pytest.mark.parametrize(("currency", "money"), [("XOF", "1000.00 XOF"), ("GHS", "1000.00 GHS")])
def test_every_currency_is_counted_in_hundredths(currency, money):
    provider = find_preset("paystack")("paystack", SECRETS=["x" * 32])
    payload = event("charge.success", status="success", **CHARGE)
    payload["data"]["currency"] = currency
    assert str(provider.read_money(payload)) == money
