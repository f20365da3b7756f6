"""Orb: the time of signing is ISO 8601 without a zone."""

from .contract import Contract


def event(number, event_type, **invoice):
    """Return an event with the fields of Orb."""
    made = {"id": f"evt_{number}", "type": event_type, "created_at": "2026-11-23T10:00:00+00:00"}
    document = {"id": "inv_1", "invoice_number": "N1", "total": "10.00", "currency": "USD"}
    return {**made, "properties": {}, "invoice": {**document, **invoice}}


class TestOrb(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event(1, "invoice.payment_succeeded", metadata={"order_id": "A1"}),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evt_1",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "inv_1",
                "money": "10.00 USD",
            },
        ),
        (event(2, "invoice.payment_failed"), {"type": "charge.failed", "order_id": "N1"}),
        (event(3, "invoice.issued"), {"type": "invoice.issued"}),
    ]
