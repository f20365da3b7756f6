"""Lemon Squeezy: no id, and two kinds of payments that are numbered apart."""

from .contract import Contract


def event(name, kind="orders", status="paid", hour=10, **attributes):
    """Return an event with the fields of Lemon Squeezy."""
    meta = {"event_name": name, "custom_data": {"order_id": "A1"}, "test_mode": False}
    made = {"total": 1000, "currency": "USD", "status": status}
    made["updated_at"] = f"2026-11-23T{hour}:00:00.000000Z"
    return {"meta": meta, "data": {"type": kind, "id": "1", "attributes": {**made, **attributes}}}


class TestLemonSqueezy(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event("order_created"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "order_created:orders:1:2026-11-23T10:00:00.000000Z:",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "orders:1",
                "money": "10.00 USD",
            },
        ),
        # Of the same number, and another payment.
        (
            event("subscription_payment_success", "subscription-invoices"),
            {"type": "charge.succeeded", "payment_id": "subscription-invoices:1"},
        ),
        (event("order_created", status="pending"), {"type": "order_created"}),
        (event("order_created", status="failed"), {"type": "charge.failed"}),
        (
            event("subscription_payment_failed", "subscription-invoices", "pending"),
            {"type": "charge.failed"},
        ),
        # Each says all that has been refunded so far.
        (
            event("order_refunded", status="partial_refund", hour=11, refunded_amount=300),
            {
                "type": "refund.created",
                "payment_id": "orders:1",
                "refund_id": "orders:1:300",
                "money": "3.00 USD",
            },
        ),
        (
            event("order_refunded", status="refunded", hour=12, refunded_amount=1000),
            {"type": "refund.created", "refund_id": "orders:1:1000", "money": "10.00 USD"},
        ),
        (
            event("subscription_payment_refunded", "subscription-invoices", refunded_amount=1000),
            {"type": "refund.created", "payment_id": "subscription-invoices:1"},
        ),
    ]

    def test_events_that_say_something_else_are_others(self, make):
        provider = make()
        keys = [
            self.parse(provider, event("order_created", **fields))[0].dedup_key
            for fields in ({}, {"hour": 11}, {"refunded_amount": 1}, {"kind": "other"})
        ]
        assert len(set(keys)) == len(keys)
