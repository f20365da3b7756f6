"""Coinbase Commerce: the body is a delivery, with the event in it."""

from .contract import Contract


def event(number, event_type, **data):
    """Return a delivery with the fields of Coinbase Commerce."""
    made = {"id": f"evt_{number}", "type": event_type, "created_at": "2026-11-23T10:00:00Z"}
    delivery = {"id": f"dlv_{number}", "attempt_number": 1, "scheduled_for": "2026-11-23T10:00:00Z"}
    return {**delivery, "event": {**made, "data": data}}


CHARGE = {"id": "ch_1", "code": "C0DE", "metadata": {"order_id": "A1"}}
PRICED = {**CHARGE, "pricing": {"local": {"amount": "10.00", "currency": "USD"}}}


class TestCoinbaseCommerce(Contract):
    events = [
        (
            event(1, "charge:confirmed", **PRICED),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evt_1",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "ch_1",
                "money": "10.00 USD",
            },
        ),
        (event(2, "charge:failed", **PRICED), {"type": "charge.failed"}),
        # It is only seen.
        (event(3, "charge:pending", **PRICED), {"type": "charge:pending"}),
        (event(4, "charge:created", **CHARGE), {"type": "charge:created", "money": ""}),
        (
            event(5, "charge:created", code="C0DE"),
            {"payment_id": "C0DE", "order_id": "", "money": ""},
        ),
    ]
    ignored = {"id": "dlv_2", "attempt_number": 2, "scheduled_for": "2026-11-23T11:00:00Z"}
