"""MoonPay: no id; each change of a transaction is an event."""

from .contract import Contract


def event(name, status, hour=10):
    """Return an event with the fields of MoonPay."""
    money = {"baseCurrencyAmount": 10.5, "baseCurrency": {"code": "usd"}}
    made = {"id": "tx_1", "status": status, "externalTransactionId": "A1", **money}
    made["createdAt"] = "2026-11-23T09:00:00.000Z"
    return {"type": name, "data": {**made, "updatedAt": f"2026-11-23T{hour}:00:00.000Z"}}


class TestMoonPay(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event("transaction_updated", "completed"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "transaction_updated:tx_1:completed:2026-11-23T10:00:00.000Z",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "tx_1",
                "money": "10.50 USD",
            },
        ),
        (event("transaction_updated", "pending"), {"type": "transaction_updated"}),
        (event("transaction_updated", "pending", 11), {"type": "transaction_updated"}),
        (event("transaction_failed", "failed"), {"type": "charge.failed"}),
    ]
