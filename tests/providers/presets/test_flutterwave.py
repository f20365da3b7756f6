"""Flutterwave: a charge that is completed may have failed."""

from .contract import Contract


def event(number, event_type, **data):
    """Return an event with the fields of the fourth version."""
    made = {"webhook_id": f"wbk_{number}", "type": event_type, "timestamp": 1700000000123}
    return {**made, "data": {"currency": "NGN", **data}}


CHARGE = {"id": "chg_1", "amount": 2500.25, "reference": "R1"}
REFUND = {"id": "rfd_1", "charge_id": "chg_1", "amount_refunded": 100}


class TestFlutterwave(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event(1, "charge.completed", status="succeeded", meta={"order_id": "A1"}, **CHARGE),
            {
                "type": "charge.succeeded",
                "provider_event_id": "wbk_1",
                "occurred_at": "2023-11-14T22:13:20.123000+00:00",
                "order_id": "A1",
                "payment_id": "chg_1",
                "money": "2500.25 NGN",
            },
        ),
        (
            event(2, "charge.completed", status="failed", **CHARGE),
            {"type": "charge.failed", "order_id": "R1"},
        ),
        (event(3, "charge.completed", status="pending", **CHARGE), {"type": "charge.completed"}),
        (
            event(4, "refund.completed", status="succeeded", **REFUND),
            {
                "type": "refund.created",
                "payment_id": "chg_1",
                "refund_id": "rfd_1",
                "order_id": "",
                "money": "100.00 NGN",
            },
        ),
        (event(5, "refund.completed", status="failed", **REFUND), {"type": "refund.failed"}),
        (
            event(6, "chargeback.created", id="chb_1", charge_id="chg_1", amount=2500),
            {"type": "dispute.opened", "payment_id": "chg_1", "dispute_id": "chb_1"},
        ),
        # What was refunded of it is not what was paid.
        (
            event(7, "charge.completed", status="succeeded", amount_refunded=0, **CHARGE),
            {"type": "charge.succeeded", "money": "2500.25 NGN"},
        ),
        # As some of their pages have it.
        (
            {
                "type": "charge.completed",
                "data": {
                    "id": "chg_2",
                    "status": "succeeded",
                    "created_datetime": "2026-11-23T10:00:00.001Z",
                },
            },
            {
                "provider_event_id": "charge.completed:chg_2:succeeded",
                "occurred_at": "2026-11-23T10:00:00.001000+00:00",
            },
        ),
    ]
