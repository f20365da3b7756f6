"""Chargebee.

https://www.chargebee.com/docs/2.0/webhook_settings.html: what proves a webhook is the Basic
authentication that you set for it. A secret is ``user:password``, or that in base64. It proves who
sends, and nothing about what is sent: use https only. Events:
https://apidocs.chargebee.com/docs/api/events. Seven more attempts, the last two days after the one
before it.

The order is the invoice. A payment is its transaction, which a refund names as
``refunded_txn_id``; amounts are in minor units.
"""

from .. import Provider

REFUND = "refund.*|payment_refunded|refund_initiated"


class Preset(Provider):
    """Chargebee sends a name and a password."""

    docs = "https://www.chargebee.com/docs/2.0/webhook_settings.html"
    events = ("payment_succeeded", "payment_failed", "payment_refunded")
    resends_for = 4 * 24 * 60 * 60
    key_encoding = "basic"
    proof = "token"
    signature_header = "Authorization"
    signature_template = "Basic {signature}"
    signature_pattern = r"\A(?i:Basic) (\S+)\Z"
    signature_encoding = "text"
    amount_unit = "minor"
    ignored_fields = ("webhook_status", "webhooks")
    object_path = "content"
    fields = {
        "provider_event_id": "id",
        "type": "event_type",
        "occurred_at": "occurred_at",
        "order_id": (".invoice.id", ".transaction.linked_invoices.0.invoice_id"),
        "payment_id": {REFUND: ".transaction.refunded_txn_id", "*": ".transaction.id"},
        "refund_id": {"refund.*": ".transaction.id"},
        "amount": ".transaction.amount",
        "currency": ".transaction.currency_code",
    }
    types = {
        "payment_succeeded .transaction.status=success|": "charge.succeeded",
        "payment_failed": "charge.failed",
        "payment_refunded .transaction.status=success|": "refund.created",
        "refund_initiated": "refund.pending",
    }
