"""Razorpay: a refund's event has its payment beside it, whose amount is another."""

from .contract import Contract

PAYMENT = {"id": "pay_1", "amount": 500000, "currency": "INR", "notes": {"order_id": "A1"}}
CAPTURED = dict(PAYMENT, captured=True)
REFUND = {"id": "rfnd_1", "payment_id": "pay_1", "amount": 50000, "currency": "INR"}
DISPUTE = {"id": "disp_1", "payment_id": "pay_1", "amount": 39000, "currency": "INR"}


def event(event_type, **objects):
    """Return an event with the fields of Razorpay."""
    payload = {name: {"entity": entity} for name, entity in objects.items()}
    return {"entity": "event", "event": event_type, "created_at": 1700000000, "payload": payload}


class TestRazorpay(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event("payment.captured", payment=PAYMENT),
            {
                "type": "charge.succeeded",
                "occurred_at": "2023-11-14T22:13:20+00:00",
                "order_id": "A1",
                "payment_id": "pay_1",
                "money": "5000.00 INR",
            },
        ),
        (
            event("refund.processed", refund=REFUND, payment=PAYMENT),
            {
                "type": "refund.created",
                "payment_id": "pay_1",
                "refund_id": "rfnd_1",
                "money": "500.00 INR",
            },
        ),
        (
            event(
                "refund.created",
                refund=dict(REFUND, id="rfnd_3", status="pending"),
                payment=PAYMENT,
            ),
            {"type": "refund.pending"},
        ),
        (
            event("payment.dispute.created", payment=PAYMENT, dispute=DISPUTE),
            {
                "type": "dispute.opened",
                "payment_id": "pay_1",
                "dispute_id": "disp_1",
                "money": "390.00 INR",
            },
        ),
        # What was never captured goes back by itself: no order was paid by it.
        *(
            (
                event(
                    f"refund.{state}",
                    refund=dict(REFUND, id="rfnd_4"),
                    payment=dict(PAYMENT, captured=False),
                ),
                {"type": name, "payment_id": "pay_1"},
            )
            for state, name in [
                ("created", "unmapped:refund.created"),
                ("processed", "refund.processed"),
                ("failed", "unmapped:refund.failed"),
            ]
        ),
        (
            event("refund.failed", refund=dict(REFUND, id="rfnd_2"), payment=CAPTURED),
            {"type": "refund.failed", "refund_id": "rfnd_2"},
        ),
        (
            event("refund.processed", refund=dict(REFUND, id="rfnd_2"), payment=CAPTURED),
            {"type": "refund.created"},
        ),
        (
            event("payment.dispute.lost", dispute=DISPUTE),
            {"type": "dispute.lost", "payment_id": "pay_1"},
        ),
        # PHP writes an empty object as a list.
        (
            event("payment.failed", payment=dict(PAYMENT, notes=[])),
            {"type": "charge.failed", "order_id": "", "payment_id": "pay_1"},
        ),
    ]
