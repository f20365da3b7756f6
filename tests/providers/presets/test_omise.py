"""Omise: a charge is paid if its status says so, whichever event it comes with."""

from .contract import Contract


def event(number, key, **data):
    """Return an event with the fields of Omise."""
    made = {"object": "event", "id": f"evnt_{number}", "key": key}
    return {**made, "created_at": "2026-11-23T10:00:00Z", "data": {"currency": "thb", **data}}


CHARGE = {"id": "chrg_1", "amount": 100000, "metadata": {"order_id": "A1"}}
REFUND = {"id": "rfnd_1", "amount": 2500, "charge": "chrg_1"}
DISPUTE = {"id": "dspt_1", "amount": 100000, "charge": "chrg_1"}


class TestOmise(Contract):
    secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    events = [
        (
            event(1, "charge.complete", status="successful", **CHARGE),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evnt_1",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "chrg_1",
                "money": "1000.00 THB",
                "refund_id": None,
            },
        ),
        (event(2, "charge.create", status="pending", **CHARGE), {"type": "charge.create"}),
        (event(3, "charge.create", status="successful", **CHARGE), {"type": "charge.succeeded"}),
        (event(4, "charge.complete", status="failed", **CHARGE), {"type": "charge.failed"}),
        (
            event(5, "refund.create", status="closed", **REFUND),
            {
                "type": "refund.created",
                "payment_id": "chrg_1",
                "refund_id": "rfnd_1",
                "money": "25.00 THB",
            },
        ),
        (event(6, "refund.create", status="pending", **REFUND), {"type": "refund.pending"}),
        (
            event(7, "dispute.create", **DISPUTE),
            {"type": "dispute.opened", "payment_id": "chrg_1", "dispute_id": "dspt_1"},
        ),
        (event(8, "dispute.close", status="won", **DISPUTE), {"type": "dispute.won"}),
        (event(9, "dispute.close", status="lost", **DISPUTE), {"type": "dispute.lost"}),
        (
            event(10, "charge.complete", status="successful", **dict(CHARGE, currency="jpy")),
            {"money": "100000 JPY"},
        ),
    ]
