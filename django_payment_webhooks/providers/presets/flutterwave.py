"""Flutterwave, the fourth version of its API.

Signature: https://developer.flutterwave.com/docs/webhooks: base64 over the body; the secret is the
"secret hash" that you choose in the dashboard. Some sites say hex, and some that the header is the
secret itself; four of five public implementations say base64, read in November 2026. The body is
that of the page's samples: ``webhook_id``, and a time in milliseconds. Resent three times, if that
is enabled.

``charge.completed`` says that a charge has ended, not how: that is its status. Put ``order_id``
into the meta of the charge, or else its reference is the order; a refund finds the order by its
charge. A refund says no currency: if all your charges have the same, name it in ``FIELDS``, such as
``{"currency": [".currency", "=NGN"]}``.
"""

from .. import Provider

CHARGE, REFUND = "charge.completed data.status", "refund.completed data.status"


class Preset(Provider):
    """Flutterwave signs the body."""

    docs = "https://developer.flutterwave.com/docs/webhooks"
    events = ("charge.completed", "refund.completed", "chargeback.created")
    signature_header = "flutterwave-signature"
    signature_encoding = "base64"
    time_format = "ms|s|iso"
    object_path = "data"
    fields = {
        "provider_event_id": ("webhook_id", "id", "{type}:{.id}:{.status?}"),
        "type": "type",
        "occurred_at": ("timestamp", ".created_datetime"),
        "order_id": {"charge.*": (".meta.order_id", ".reference"), "*": ".meta.order_id"},
        "payment_id": {"charge.*": ".id", "*": ".charge_id"},
        "refund_id": {"refund.*": ".id"},
        "dispute_id": {"dispute.*": ".id"},
        "amount": {"refund.*": (".amount_refunded", ".amount"), "*": ".amount"},
        "currency": ".currency",
    }
    types = {
        f"{CHARGE}=succeeded|successful": "charge.succeeded",
        f"{CHARGE}=failed": "charge.failed",
        f"{REFUND}=succeeded|successful|completed": "refund.created",
        f"{REFUND}=pending|new": "refund.pending",
        f"{REFUND}=failed": "refund.failed",
        "chargeback.created": "dispute.opened",
    }
