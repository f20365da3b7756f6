"""Mollie's signed webhooks: the object is embedded."""

from .contract import Contract


def event(number, event_type, entity_id, **entity):
    """Return an event with the fields of Mollie."""
    made = {"resource": "event", "id": f"event_{number}", "type": event_type}
    made.update(entityId=entity_id, createdAt="2026-11-23T10:00:00+00:00")
    amount = {"value": "10.00", "currency": "EUR"}
    return {**made, "_embedded": {"entity": {"id": entity_id, "amount": amount, **entity}}}


class TestMollie(Contract):
    events = [
        (
            event(1, "payment.paid", "tr_1", metadata={"order_id": "A1"}),
            {
                "type": "charge.succeeded",
                "provider_event_id": "event_1",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "tr_1",
                "money": "10.00 EUR",
            },
        ),
        (
            event(2, "refund.refunded", "re_1", paymentId="tr_1"),
            {"type": "refund.created", "payment_id": "tr_1", "refund_id": "re_1"},
        ),
        (event(3, "refund.queued", "re_1", paymentId="tr_1"), {"type": "refund.pending"}),
        (event(4, "payment.expired", "tr_2"), {"type": "charge.failed", "order_id": ""}),
    ]
