"""Creem: a payment is known by Creem's order."""

from .contract import Contract


def event(number, event_type, **data):
    """Return an event with the fields of Creem."""
    made = {"id": f"evt_{number}", "eventType": event_type, "created_at": 1700000000123}
    return {**made, "object": data}


ORDER = {"id": "ord_1", "amount": 1000, "currency": "EUR", "status": "paid"}
TRANSACTION = {"id": "tran_1", "order": "ord_1", "amount_paid": 1210, "currency": "EUR"}
REFUND = {"id": "ref_1", "refund_amount": 500, "refund_currency": "EUR", "transaction": TRANSACTION}
DISPUTE = {"id": "disp_1", "amount": 1210, "currency": "EUR", "transaction": TRANSACTION}


class TestCreem(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event(1, "checkout.completed", id="ch_1", request_id="A1", order=ORDER),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evt_1",
                "occurred_at": "2023-11-14T22:13:20.123000+00:00",
                "order_id": "A1",
                "payment_id": "ord_1",
                "money": "10.00 EUR",
            },
        ),
        # With its taxes.
        (
            event(2, "checkout.completed", order={**ORDER, "amount_paid": 1210}),
            {"type": "charge.succeeded", "money": "12.10 EUR"},
        ),
        (
            event(3, "checkout.completed", order={**ORDER, "status": "pending"}),
            {"type": "checkout.completed"},
        ),
        (
            event(4, "refund.created", status="succeeded", **REFUND),
            {
                "type": "refund.created",
                "payment_id": "ord_1",
                "refund_id": "ref_1",
                "money": "5.00 EUR",
            },
        ),
        (event(5, "refund.created", status="pending", **REFUND), {"type": "refund.pending"}),
        (
            event(6, "dispute.created", checkout={"request_id": "A1"}, **DISPUTE),
            {
                "type": "dispute.opened",
                "payment_id": "ord_1",
                "dispute_id": "disp_1",
                "order_id": "A1",
                "money": "12.10 EUR",
            },
        ),
        (event(7, "subscription.paid", id="sub_1"), {"type": "subscription.paid"}),
    ]
