"""Solidgate.

https://api-docs.solidgate.com/api/openapi/main/md/webhook-signatures: an HMAC-SHA512 of the public
key of the webhook, the body, and that key again, in hex, and that in base64. ``SECRETS`` are the
secret keys (``wh_sk_``); the public one comes in the header ``merchant``, and is signed. Eight more
attempts within 56 hours.

``solidgate-event-id`` and ``solidgate-event-type`` are not signed. An event is the order, its
state, and its transaction; its type is the state of the order, whose number is yours. ``settle_ok``
and ``approved`` are money, ``auth_ok`` is a hold. Whether an order that was partly refunded stays
``settle_ok`` is not documented: its transaction says what it is. Amounts are in minor units.
"""

from .. import Provider


class Preset(Provider):
    """Solidgate signs the body between two copies of a public key."""

    docs = "https://docs.solidgate.com/payments/integrate/webhooks/"
    events = ("card_gate.order.updated", "alt_gate.order.updated")
    resends_for = 3 * 24 * 60 * 60
    digest = "sha512"
    signature_header = "signature"
    signature_encoding = "hex_base64"
    content = "{header:merchant}{body}{header:merchant}"
    amount_unit = "minor"
    fields = {
        "provider_event_id": "{order.order_id}:{order.status}:{transaction.id?}:"
        "{order.refunded_amount?}",
        "type": "order.status",
        "occurred_at": ("transaction.created_at", "order.updated_at"),
        "order_id": "order.order_id",
        "payment_id": "order.order_id",
        "refund_id": {"refund.*": "{order.order_id}:{transaction.id?}:{order.refunded_amount?}"},
        "amount": {
            "refund.*": ("transaction.amount", "order.refunded_amount"),
            "*": "order.amount",
        },
        "currency": ("order.currency", "transaction.currency"),
    }
    types = {
        "refunded|partial_refunded": "refund.created",
        "settle_ok transaction.operation=refund transaction.status=success": "refund.created",
        "settle_ok|approved": "charge.succeeded",
        "auth_failed|declined": "charge.failed",
    }
