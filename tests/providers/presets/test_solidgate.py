"""Solidgate: a body between two copies of a key that is known."""

from .contract import Contract


def order(status, transaction=None, **fields):
    """Return an event with the fields of Solidgate."""
    made = {"order_id": "A1", "status": status, "amount": 1020, "currency": "USD", **fields}
    return {"order": made, "transaction": {"id": "tx_1", **(transaction or {})}}


class TestSolidgate(Contract):
    events = [
        (
            order("settle_ok", {"created_at": "2026-11-23 10:00:00"}),
            {
                "type": "charge.succeeded",
                "provider_event_id": "A1:settle_ok:tx_1:",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "A1",
                "money": "10.20 USD",
            },
        ),
        # A hold.
        (order("auth_ok"), {"type": "auth_ok"}),
        (order("auth_failed"), {"type": "charge.failed"}),
        (
            order("refunded", {"id": "tx_2", "amount": 500}, refunded_amount=700),
            {"type": "refund.created", "refund_id": "A1:tx_2:700", "money": "5.00 USD"},
        ),
        # Some of it went back, and the order is as settled as before.
        (
            order(
                "settle_ok",
                {"id": "tx_3", "operation": "refund", "status": "success", "amount": 300},
                refunded_amount=300,
            ),
            {"type": "refund.created", "refund_id": "A1:tx_3:300", "money": "3.00 USD"},
        ),
    ]
