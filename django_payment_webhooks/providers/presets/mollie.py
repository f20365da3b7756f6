"""Mollie: the webhooks that are signed.

Signature: https://docs.mollie.com/reference/webhooks-new and mollie/mollie-api-php 53e49e7,
``src/Webhooks/SignatureValidator.php``; several while a secret is being changed. Events:
https://docs.mollie.com/reference/webhook-events. Webhooks of the older kind, which are not signed,
are the preset ``mollie_classic``.

A refund finds its order by its payment. ``payment-link.paid`` names the link alone, so switch on
``payment.paid``, too.
"""

from .. import Provider


class Preset(Provider):
    """Mollie signs the body, and sends the whole object if the webhook asks for its payload."""

    docs = "https://docs.mollie.com/reference/webhooks-new"
    events = ("payment.paid", "payment-link.paid", "refund.*")
    resends_for = 26 * 60 * 60
    dashboard = "https://my.mollie.com/dashboard/payments/{payment_id}"
    signature_header = "X-Mollie-Signature"
    signature_pattern = r"(?:^|[\s,])(?:sha256=)?([0-9a-f]{64})(?=$|[\s,])"
    signature_template = "sha256={signature}"
    test_mode = ".mode=test"
    object_path = "_embedded.entity"
    fields = {
        "provider_event_id": "id",
        "type": "type",
        "occurred_at": "createdAt",
        "order_id": ".metadata.order_id",
        "payment_id": {"refund.*|dispute.*": ".paymentId", "*": "entityId"},
        "refund_id": {"refund.*": "entityId"},
        "dispute_id": {"dispute.*": "entityId"},
        "amount": ".amount.value",
        "currency": ".amount.currency",
    }
    types = {
        "payment.paid|payment-link.paid": "charge.succeeded",
        "payment.failed|payment.canceled|payment.expired": "charge.failed",
        "refund.refunded": "refund.created",
        "refund.queued|refund.pending|refund.processing": "refund.pending",
        "refund.failed|refund.canceled": "refund.failed",
        "chargeback.received": "dispute.opened",
        "chargeback.reversed": "dispute.won",
    }
