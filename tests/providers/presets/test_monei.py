"""MONEI: the payment comes by itself, or as the object of an event."""

from .contract import Contract


def payment(status, **fields):
    """Return a payment with the fields of MONEI."""
    made = {"id": "af60", "amount": 110, "currency": "EUR", "orderId": "A1", "status": status}
    return {**made, "refundedAmount": None, "updatedAt": 1700000000, **fields}


class TestMonei(Contract):
    events = [
        (
            payment("SUCCEEDED"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "af60:SUCCEEDED:",
                "occurred_at": "2023-11-14T22:13:20+00:00",
                "order_id": "A1",
                "payment_id": "af60",
                "money": "1.10 EUR",
                "refund_id": None,
            },
        ),
        (
            {"id": "ev_1", "type": "payment.succeeded", "object": payment("SUCCEEDED", id="af61")},
            {
                "type": "charge.succeeded",
                "provider_event_id": "af61:SUCCEEDED:",
                "payment_id": "af61",
                "order_id": "A1",
            },
        ),
        (payment("AUTHORIZED"), {"type": "AUTHORIZED"}),
        (payment("FAILED"), {"type": "charge.failed"}),
        (
            payment("PARTIALLY_REFUNDED", refundedAmount=30, lastRefundAmount=10),
            {"type": "refund.created", "refund_id": "af60:30", "money": "0.10 EUR"},
        ),
        (
            payment("PARTIALLY_REFUNDED", refundedAmount=40, lastRefundAmount=10),
            {"type": "refund.created", "refund_id": "af60:40", "money": "0.10 EUR"},
        ),
    ]
