"""Pagar.me: a form whose names have brackets."""

from urllib.parse import urlencode

from .contract import Contract


def postback(status, **transaction):
    """Return a postback with the fields of Pagar.me."""
    made = {"id": 2727403, "event": "transaction_status_changed", "old_status": "processing"}
    made.update(current_status=status, desired_status="paid", object="transaction")
    known = {"id": 2727403, "amount": 1000, "paid_amount": 0, "refunded_amount": 0}
    known.update(date_updated="2026-11-23T10:00:00.000Z", **transaction)
    made.update({f"transaction[{name}]": value for name, value in known.items()})
    return urlencode({**made, "transaction[metadata][order_id]": "A1"})


class TestPagarme(Contract):
    events = [
        (
            postback("paid", paid_amount=1000),
            {
                "type": "charge.succeeded",
                "provider_event_id": "2727403:transaction_status_changed:processing:paid",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "2727403",
                "money": "10.00 BRL",
            },
        ),
        # It is only wished to be paid.
        (postback("waiting_payment"), {"type": "transaction.waiting_payment"}),
        (postback("refused"), {"type": "charge.failed", "money": "10.00 BRL"}),
        (
            postback("refunded", paid_amount=1000, refunded_amount=250),
            {"type": "refund.created", "refund_id": "2727403:250", "money": "2.50 BRL"},
        ),
        (postback("chargedback"), {"type": "dispute.opened", "dispute_id": "2727403"}),
    ]
