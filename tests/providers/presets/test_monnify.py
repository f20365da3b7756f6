"""Monnify: times of two forms, and payments of less than was asked for."""

from .contract import Contract


def event(event_type, **data):
    """Return an event with the fields of Monnify."""
    return {"eventType": event_type, "eventData": {"transactionReference": "MNFY|1", **data}}


PAID = {"paymentReference": "A1", "amountPaid": 78000, "currency": "NGN"}
PAID["paidOn"] = "2026-11-23 11:00:00.615"
REFUND = {"refundReference": "ref_1", "refundAmount": 100, "completedOn": "23/11/2026 11:00:00 AM"}


class TestMonnify(Contract):
    events = [
        (
            event("SUCCESSFUL_TRANSACTION", paymentStatus="PAID", **PAID),
            {
                "type": "charge.succeeded",
                "provider_event_id": "SUCCESSFUL_TRANSACTION:MNFY|1::",
                "occurred_at": "2026-11-23T10:00:00.615000+00:00",
                "order_id": "A1",
                "payment_id": "MNFY|1",
                "money": "78000.00 NGN",
            },
        ),
        (
            event(
                "SUCCESSFUL_TRANSACTION",
                paymentStatus="PARTIALLY_PAID",
                **dict(PAID, transactionReference="MNFY|2"),
            ),
            {"type": "SUCCESSFUL_TRANSACTION", "payment_id": "MNFY|2"},
        ),
        (
            event("SUCCESSFUL_REFUND", **REFUND),
            {
                "type": "refund.created",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "payment_id": "MNFY|1",
                "refund_id": "ref_1",
                "order_id": "",
                "money": "100.00 NGN",
            },
        ),
        (event("FAILED_REFUND", **REFUND), {"type": "refund.failed"}),
        (
            event("SUCCESSFUL_DISBURSEMENT", reference="d1"),
            {"type": "SUCCESSFUL_DISBURSEMENT", "money": ""},
        ),
    ]
