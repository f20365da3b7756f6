"""Modern Treasury: only a debit takes money, and its id is in no signed place."""

from .contract import Contract


def event(name, direction="debit", hour=10, **fields):
    """Return an event with the fields of Modern Treasury."""
    order = {"id": "po_1", "object": "payment_order", "amount": 1000, "currency": "USD"}
    times = {"created_at": "2026-11-23T09:00:00Z", "updated_at": f"2026-11-23T{hour}:00:00Z"}
    made = {**order, **times, "direction": direction, "metadata": {"order_id": "A1"}}
    return {"event": name, "data": {**made, **fields}}


class TestModernTreasury(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event("completed"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "payment_order:po_1:completed:2026-11-23T10:00:00Z",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "po_1",
                "money": "10.00 USD",
            },
        ),
        (event("completed", hour=11), {"type": "charge.succeeded"}),
        (event("completed", "credit", hour=12), {"type": "payment_order.completed"}),
        (event("returned"), {"type": "charge.failed", "payment_id": "po_1"}),
        (event("begin_processing"), {"type": "payment_order.begin_processing"}),
        (
            event("completed", object="incoming_payment_detail", id="ipd_1"),
            {"type": "incoming_payment_detail.completed"},
        ),
    ]
