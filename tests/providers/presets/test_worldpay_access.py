"""Worldpay: the merchant's own reference is all that the events of a payment have in common."""

from .contract import Contract


def event(number, event_type, **details):
    """Return an event with the fields of Worldpay."""
    amount = {"value": 1000, "currencyCode": "GBP"}
    made = {"classification": "payment", "transactionReference": "A1", "amount": amount}
    made = {**made, "downstreamReference": "33", "type": event_type, **details}
    return {
        "eventId": f"evt_{number}",
        "eventTimestamp": "2026-11-23T10:00:00.407",
        "eventDetails": made,
    }


class TestWorldpayAccess(Contract):
    events = [
        (
            event(1, "sentForSettlement"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evt_1",
                "occurred_at": "2026-11-23T10:00:00.407000+00:00",
                "order_id": "A1",
                "payment_id": "A1",
                "money": "10.00 GBP",
            },
        ),
        (event(2, "settled"), {"type": "charge.succeeded"}),
        (event(3, "authorized"), {"type": "authorized"}),
        (event(4, "refused"), {"type": "charge.failed"}),
        (
            event(5, "refunded", reference="r1"),
            {"type": "refund.created", "payment_id": "A1", "refund_id": "r1"},
        ),
        (event(6, "sentForRefund", reference="r1"), {"type": "refund.pending", "refund_id": "r1"}),
        (event(7, "refundFailed", reference="r1"), {"type": "refund.failed", "refund_id": "r1"}),
        (
            event(8, "chargedBack"),
            {"type": "dispute.opened", "payment_id": "A1", "dispute_id": "33"},
        ),
    ]
