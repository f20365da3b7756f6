"""Checkout.com.

Signature: https://www.checkout.com/docs/developer-resources/webhooks/manage-webhooks: hex over the
body. Events: https://www.checkout.com/docs/developer-resources/webhooks/webhook-event-types.
Currencies that it counts differently:
https://www.checkout.com/docs/payments/accept-payments/format-the-amount-value. Their networks
change: https://checkout.com/docs/public/files/ip-lists/webhooks-live.txt. Resent eight times in 30
hours, and manually.

A refund's event is about its payment: the refund is the action. Give your order's number as
``reference``. ``payment_approved`` is only authorized: nothing is paid until it is captured.
"""

from .. import Provider

DECLINED = "payment_declined|payment_capture_declined|payment_expired|payment_canceled"


class Preset(Provider):
    """Checkout.com signs the body."""

    docs = "https://www.checkout.com/docs/developer-resources/webhooks"
    events = ("payment_captured", "payment_declined", "payment_refunded", "dispute_*")
    dashboard = "https://dashboard.checkout.com/payments/all-payments/payment/{payment_id}"
    signature_header = "Cko-Signature"
    amount_unit = "minor"
    exponents = {"CLP": 2}
    object_path = "data"
    fields = {
        "provider_event_id": "id",
        "type": "type",
        "occurred_at": ("created_on", "timestamp"),
        "order_id": (".reference", ".payment_reference"),
        "payment_id": {"dispute*": ".payment_id", "*": ".id"},
        "refund_id": {"refund.*": ".action_id"},
        "dispute_id": {"dispute*": ".id"},
        "amount": ".amount",
        "currency": ".currency",
    }
    types = {
        "payment_captured": "charge.succeeded",
        f"{DECLINED}|payment_voided": "charge.failed",
        "payment_refunded": "refund.created",
        "payment_refund_pending": "refund.pending",
        "payment_refund_declined": "refund.failed",
        "dispute_received|dispute_evidence_required": "dispute.opened",
        "dispute_won|dispute_canceled|dispute_resolved|dispute_arbitration_won": "dispute.won",
        "dispute_lost|dispute_accepted|dispute_expired": "dispute.lost",
        "dispute_arbitration_lost": "dispute.lost",
    }
