"""Coinify: completed is not paid."""

from .contract import Contract


def event(number, name, reason, **context):
    """Return an event with the fields of Coinify."""
    made = {"id": "pi_1", "stateReason": reason, "amount": "7145.02", "currency": "EUR"}
    time = "2026-11-23T10:00:00.000Z"
    return {"id": f"e{number}", "time": time, "event": name, "context": {**made, **context}}


class TestCoinify(Contract):
    events = [
        (
            event(1, "payment-intent.completed", "completed_exact_amount", orderId="A1"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "e1",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "pi_1",
                "money": "7145.02 EUR",
            },
        ),
        (event(2, "payment-intent.completed", "completed_overpaid"), {"type": "charge.succeeded"}),
        (
            event(3, "payment-intent.completed", "completed_underpaid"),
            {"type": "payment-intent.completed", "order_id": ""},
        ),
        (event(4, "payment-intent.failed", "failed_expired"), {"type": "charge.failed"}),
    ]
