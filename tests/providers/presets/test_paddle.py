"""Paddle: an adjustment is a refund, a credit or a chargeback by its action."""

from .contract import Contract


def event(number, event_type, **data):
    """Return an event with the fields of Paddle."""
    ids = {"event_id": f"evt_{number}", "notification_id": f"ntf_{number}"}
    return {**ids, "event_type": event_type, "occurred_at": "2026-11-23T10:00:00.5Z", "data": data}


TRANSACTION = {
    "id": "txn_1",
    "custom_data": {"order_id": "A1"},
    "currency_code": "USD",
    "details": {"totals": {"total": "1000", "grand_total": "1000"}},
}


def adjustment(number, action, status, event_type="adjustment.updated"):
    """Return an event of an adjustment."""
    names = {"id": "adj_1", "transaction_id": "txn_1", "action": action, "status": status}
    return event(number, event_type, **names, currency_code="USD", totals={"total": "500"})


class TestPaddle(Contract):
    secret = "pdl_ntfset_of_the_made_shop"
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event(1, "transaction.completed", **TRANSACTION),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evt_1",
                "occurred_at": "2026-11-23T10:00:00.500000+00:00",
                "order_id": "A1",
                "payment_id": "txn_1",
                "money": "10.00 USD",
            },
        ),
        (
            event(2, "transaction.paid", **{**TRANSACTION, "custom_data": None}),
            {"type": "transaction.paid", "order_id": "", "payment_id": "txn_1"},
        ),
        (event(3, "transaction.payment_failed", **TRANSACTION), {"type": "charge.failed"}),
        (
            adjustment(4, "refund", "pending_approval", "adjustment.created"),
            {"type": "refund.pending", "payment_id": "txn_1", "refund_id": "adj_1"},
        ),
        (
            adjustment(5, "refund", "approved"),
            {
                "type": "refund.created",
                "payment_id": "txn_1",
                "refund_id": "adj_1",
                "money": "5.00 USD",
                "order_id": "",
            },
        ),
        (adjustment(6, "refund", "rejected"), {"type": "refund.failed"}),
        # The dispute is known by its transaction: its end is another adjustment.
        (
            adjustment(7, "chargeback", "approved", "adjustment.created"),
            {
                "type": "dispute.opened",
                "payment_id": "txn_1",
                "dispute_id": "txn_1",
                "refund_id": None,
            },
        ),
        (
            adjustment(8, "chargeback_reverse", "approved", "adjustment.created"),
            {"type": "dispute.won", "dispute_id": "txn_1"},
        ),
        (adjustment(9, "chargeback", "reversed"), {"type": "dispute.won"}),
        (
            adjustment(10, "chargeback_warning", "approved", "adjustment.created"),
            {"type": "adjustment.created", "payment_id": "txn_1", "refund_id": None},
        ),
        (
            adjustment(11, "credit", "approved", "adjustment.created"),
            {"type": "adjustment.created", "refund_id": None},
        ),
    ]
    ignored = {"notification_id": "ntf_2"}
