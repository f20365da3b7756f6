"""Adyen for platforms: one object a webhook, which Adyen's own types name."""

from .contract import Contract

CREATED = "balancePlatform.balanceAccount.created"
UPDATED = "balancePlatform.paymentInstrument.updated"


def transfer(sequence, status):
    """Return a transfer's event."""
    data = {"id": "TR1", "status": status, "sequenceNumber": sequence, "reference": "A1"}
    amount = {"value": 1000, "currency": "EUR"}
    data.update(amount=amount, categoryData={"paymentPspReference": "PSP1"})
    event = {"type": "balancePlatform.transfer.updated", "timestamp": "2026-11-23T10:00:00Z"}
    return {**event, "environment": "test", "data": data}


class TestAdyenPlatform(Contract):
    events = [
        (
            transfer(1, "authorised"),
            {
                "type": "balancePlatform.transfer.updated",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "PSP1",
                "money": "10.00 EUR",
            },
        ),
        (transfer(2, "captured"), {"order_id": "A1"}),
        (
            {"type": "merchant.created", "data": {"merchantId": "M1", "status": "PreActive"}},
            {"type": "merchant.created", "provider_event_id": "merchant.created:M1::PreActive:"},
        ),
        # Their objects are one level deeper, and early versions say no time.
        ({"type": CREATED, "data": {"balanceAccount": {"id": "BA1"}}}, {"type": CREATED}),
        ({"type": CREATED, "data": {"balanceAccount": {"id": "BA2"}}}, {"type": CREATED}),
        (
            {"type": UPDATED, "data": {"paymentInstrument": {"id": "PI1", "status": "active"}}},
            {"type": UPDATED},
        ),
        (
            {"type": UPDATED, "data": {"paymentInstrument": {"id": "PI1", "status": "closed"}}},
            {"type": UPDATED},
        ),
        (
            {"type": "paymentMethod.created", "createdAt": "2026-11-23T11:00:00+01:00", "data": {}},
            {"occurred_at": "2026-11-23T10:00:00+00:00"},
        ),
    ]
