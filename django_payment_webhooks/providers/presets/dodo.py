"""Dodo Payments.

Signature: https://docs.dodopayments.com/developer-resources/webhooks: Standard Webhooks as they
are. Events:
https://docs.dodopayments.com/developer-resources/webhooks/intents/webhook-events-guide, and their
objects in dodopayments/dodopayments-python 373fd8c, ``src/dodopayments/types``. Resent eight times
within 28 hours, and manually.

Put ``order_id`` into the metadata of the payment. Amounts are in minor units, that of a dispute as
text.
"""

from .standard_webhooks import Preset as StandardWebhooks


class Preset(StandardWebhooks):
    """Standard Webhooks as they are."""

    docs = "https://docs.dodopayments.com/developer-resources/webhooks"
    events = ("payment.succeeded", "payment.failed", "refund.*", "dispute.*")
    amount_unit = "minor"
    fields = {
        **StandardWebhooks.fields,
        "order_id": ".metadata.order_id",
        "payment_id": ".payment_id",
        "refund_id": {"refund.*": ".refund_id"},
        "dispute_id": {"dispute.*": ".dispute_id"},
        "amount": (".total_amount", ".amount"),
    }
    types = {
        "payment.succeeded": "charge.succeeded",
        "payment.failed|payment.cancelled": "charge.failed",
        "refund.succeeded": "refund.created",
        "refund.failed": "refund.failed",
        "dispute.opened": "dispute.opened",
        "dispute.won|dispute.cancelled": "dispute.won",
        "dispute.lost|dispute.accepted|dispute.expired": "dispute.lost",
    }
