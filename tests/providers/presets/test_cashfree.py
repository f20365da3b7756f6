"""Cashfree: each kind of object has its own names for its sum, its order and its payment."""

from .contract import Contract


def event(event_type, **data):
    """Return an event with the fields of Cashfree."""
    return {"type": event_type, "event_time": "2026-11-23T15:30:00+05:30", "data": data}


ORDER = {"order_id": "A1", "order_amount": 2.0, "order_currency": "INR"}
PAYMENT = {"cf_payment_id": 975, "payment_amount": 2.5, "payment_currency": "INR"}


def refund(status):
    """Return a refund in this state."""
    made = {"cf_refund_id": 113, "cf_payment_id": 975, "order_id": "A1", "refund_id": "mine"}
    made.update(refund_amount=2.00, refund_currency="INR", refund_status=status)
    return event("REFUND_STATUS_WEBHOOK", refund=made)


def dispute(event_type, status):
    """Return a dispute in this state."""
    made = {"dispute_id": "607", "dispute_amount": 4500.0, "dispute_status": status}
    made["order_details"] = {"order_id": "A1", "cf_payment_id": 975}
    return event(event_type, dispute=made)


def auto_refund(number):
    """Return a refund of what never became an order's payment."""
    made = {"cf_refund_id": number, "refund_status": "SUCCESS", "refund_amount": 2}
    return event("AUTO_REFUND_STATUS_WEBHOOK", auto_refund=made)


class TestCashfree(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event(
                "PAYMENT_SUCCESS_WEBHOOK",
                order=ORDER,
                payment=dict(PAYMENT, payment_status="SUCCESS"),
            ),
            {
                "type": "charge.succeeded",
                "provider_event_id": "PAYMENT_SUCCESS_WEBHOOK:975:SUCCESS",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "975",
                "money": "2.50 INR",
            },
        ),
        (
            event("PAYMENT_FAILED_WEBHOOK", order=ORDER, payment=dict(PAYMENT, payment_status="X")),
            {"type": "charge.failed"},
        ),
        (
            refund("SUCCESS"),
            {
                "type": "refund.created",
                "order_id": "A1",
                "payment_id": "975",
                "refund_id": 113,
                "money": "2.00 INR",
            },
        ),
        (refund("PENDING"), {"type": "refund.pending"}),
        (refund("CANCELLED"), {"type": "refund.failed"}),
        (
            dispute("DISPUTE_CREATED", "CHARGEBACK_CREATED"),
            {
                "type": "dispute.opened",
                "order_id": "A1",
                "payment_id": "975",
                "dispute_id": "607",
                "money": "4500.00 INR",
            },
        ),
        (dispute("DISPUTE_CLOSED", "CHARGEBACK_MERCHANT_WON"), {"type": "dispute.won"}),
        (dispute("DISPUTE_CLOSED", "CHARGEBACK_MERCHANT_LOST"), {"type": "dispute.lost"}),
        (dispute("DISPUTE_CLOSED", "CHARGEBACK_UNDER_REVIEW"), {"type": "DISPUTE_CLOSED"}),
        (auto_refund("1"), {"type": "AUTO_REFUND_STATUS_WEBHOOK", "refund_id": None}),
        (auto_refund("2"), {"type": "AUTO_REFUND_STATUS_WEBHOOK"}),
        (event("PAYMENT_LINK_EVENT", cf_link_id=1), {"type": "PAYMENT_LINK_EVENT"}),
        (event("PAYMENT_LINK_EVENT", cf_link_id=2), {"type": "PAYMENT_LINK_EVENT"}),
        (
            {**event("SETTLEMENT_SUCCESS"), "event_time": "2026-11-24T15:30:00+05:30"},
            {"provider_event_id": "SETTLEMENT_SUCCESS:2026-11-24T15:30:00+05:30:"},
        ),
    ]
