"""Square.

Signature: https://developer.squareup.com/docs/webhooks/step3validate and square/square-python-sdk
24302ba, ``tests/integration/test_webhooks_helper.py``: the address and the body. ``URL`` is the
notification URL exactly as it was given to Square. Events:
https://developer.squareup.com/reference/square/webhooks and square/connect-api-specification
5733f66. Resent for 24 hours, once for 72: https://developer.squareup.com/docs/webhooks/overview.

A payment is updated for many reasons, before and after it is paid, and a refund begins as pending:
what an event is depends on the status. Give your order's number as ``reference_id`` of the payment;
without it the order is that of Square. A refund has another order of Square's own, and finds yours
by its payment. Tips are not in the amount.
"""

from .. import Provider

PAYMENT = "payment.created|payment.updated .payment.status"
REFUND = "refund.created|refund.updated .refund.status"
DISPUTE = "dispute.state.updated|dispute.state.changed .dispute.state"


class Preset(Provider):
    """Square signs its notification URL and the body."""

    docs = "https://developer.squareup.com/docs/webhooks/overview"
    events = ("payment.updated", "refund.updated", "dispute.created", "dispute.state.updated")
    resends_for = 72 * 60 * 60
    dashboard = "https://squareup.com/dashboard/sales/transactions/{payment_id}"
    signature_header = "x-square-hmacsha256-signature"
    signature_encoding = "base64"
    content = "{url}{body}"
    amount_unit = "minor"
    object_path = "data.object"
    fields = {
        "provider_event_id": "event_id",
        "type": "type",
        "occurred_at": "created_at",
        "order_id": (".payment.reference_id", ".payment.order_id"),
        "payment_id": {
            "refund.*": ".refund.payment_id",
            "dispute.*": (".dispute.disputed_payment.payment_id", ".dispute.payment_id"),
            "*": ".payment.id",
        },
        "refund_id": {"refund.*": ".refund.id"},
        "dispute_id": {"dispute.*": (".dispute.id", ".dispute.dispute_id")},
        "amount": tuple(
            f".{name}.amount_money.amount" for name in ("payment", "refund", "dispute")
        ),
        "currency": tuple(
            f".{name}.amount_money.currency" for name in ("payment", "refund", "dispute")
        ),
    }
    types = {
        f"{PAYMENT}=COMPLETED": "charge.succeeded",
        f"{PAYMENT}=FAILED|CANCELED": "charge.failed",
        f"{REFUND}=COMPLETED": "refund.created",
        f"{REFUND}=PENDING": "refund.pending",
        f"{REFUND}=FAILED|REJECTED": "refund.failed",
        "dispute.created": "dispute.opened",
        f"{DISPUTE}=WON": "dispute.won",
        f"{DISPUTE}=LOST|ACCEPTED": "dispute.lost",
    }
