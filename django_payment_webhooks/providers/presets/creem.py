"""Creem.

Signature: https://docs.creem.io/code/webhooks: hex over the body. The same page has the events and
their objects, read in November 2026. Resent four times within an hour, and manually.

A payment is known by Creem's order, which refunds and disputes name. Give your order's number as
``request_id`` of the checkout, or put ``order_id`` into its metadata. What was paid is
``amount_paid``, with the taxes, where it is said. ``subscription.paid`` is the payment of a
renewal; its order is in its last transaction, and is not said: it is not mapped.
"""

from .. import Provider


class Preset(Provider):
    """Creem signs the body."""

    docs = "https://docs.creem.io/code/webhooks"
    events = ("checkout.completed", "refund.created", "dispute.created")
    signature_header = "creem-signature"
    time_format = "ms"
    amount_unit = "minor"
    object_path = "object"
    fields = {
        "provider_event_id": "id",
        "type": "eventType",
        "occurred_at": "created_at",
        "order_id": (
            ".request_id",
            ".metadata.order_id",
            ".checkout.request_id",
            ".checkout.metadata.order_id",
        ),
        "payment_id": (".order.id", ".transaction.order"),
        "refund_id": {"refund.*": ".id"},
        "dispute_id": {"dispute.*": ".id"},
        "amount": (".refund_amount", ".amount", ".order.amount_paid", ".order.amount"),
        "currency": (".refund_currency", ".currency", ".order.currency"),
    }
    types = {
        "checkout.completed .order.status=paid": "charge.succeeded",
        "refund.created .status=succeeded": "refund.created",
        "refund.created .status=pending": "refund.pending",
        "refund.created .status=failed|canceled": "refund.failed",
        "dispute.created": "dispute.opened",
    }
