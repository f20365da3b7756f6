"""Rapyd.

Signature: https://docs.rapyd.net/en/webhook-authentication.html: the address, a salt, the time,
your access key, the secret and the body, as the base64 of a hex. ``URL`` is the address exactly as
it is in their portal, and ``ACCESS_KEY`` the access key, which does not come along. Events:
https://docs.rapyd.net/en/payment-completed-webhook.html,
https://docs.rapyd.net/en/refund-webhooks.html and
https://docs.rapyd.net/en/dispute-updated-webhook.html. They can be resent manually at any time,
with the time of the first: so the signing time is not compared with the present.

An event is known by its ``wh_`` number, which some carry as ``token`` beside another id; these have
no time but the signing time. Give your order's number as ``merchant_reference_id`` or ``order_id``
of the metadata. The ``merchant_reference_id`` of a refund is its own, and no order.
"""

from __future__ import annotations

from typing import Any, Mapping

from .. import Provider

SENT = "header:timestamp"
DISPUTE = "PAYMENT_DISPUTE_UPDATED data.status"


class Preset(Provider):
    """Rapyd signs the address and the body, among others."""

    docs = "https://docs.rapyd.net/en/webhooks-386194.html"
    events = ("PAYMENT_COMPLETED", "PAYMENT_FAILED", "REFUND_COMPLETED", "PAYMENT_DISPUTE_CREATED")
    access_key = ""
    signature_header = "signature"
    signature_encoding = "hex_base64"
    content = "{url}{header:salt}{timestamp}{header:access_key}{secret}{body}"
    timestamp_header = "timestamp"
    tolerance = None
    time_format = "s"
    ignored_fields = ("status", "attempts", "last_attempt_at", "next_attempt_at", SENT)
    object_path = "data"
    fields = {
        "provider_event_id": ("token", "id"),
        "type": "type",
        "occurred_at": ("created_at ~ ^([1-9].*)", SENT),
        "order_id": {
            "refund.*|*REFUND*": ".metadata.order_id",
            "*": (".merchant_reference_id", ".metadata.order_id"),
        },
        "payment_id": {
            "refund.*|*REFUND*": ".payment",
            "dispute.*|*DISPUTE*": ".original_transaction_id",
            "*": ".id",
        },
        "refund_id": {"refund.*": ".id"},
        "dispute_id": {"dispute.*": ".token"},
        "amount": ".amount",
        "currency": (".currency_code", ".currency"),
    }
    types = {
        "PAYMENT_COMPLETED data.status=CLO": "charge.succeeded",
        "PAYMENT_FAILED|PAYMENT_EXPIRED|PAYMENT_CANCELED|PAYMENT_REVERSED": "charge.failed",
        "REFUND_COMPLETED": "refund.created",
        "PAYMENT_REFUND_FAILED|PAYMENT_REFUND_REJECTED": "refund.failed",
        "PAYMENT_DISPUTE_CREATED": "dispute.opened",
        f"{DISPUTE}=WIN|REV": "dispute.won",
        f"{DISPUTE}=LOS": "dispute.lost",
    }

    def fill_content(
        self, meta: Mapping[str, Any], body: bytes, timestamp: str = "", key: bytes = b""
    ) -> bytes:
        """Return what is signed, with your access key."""
        own = {"HTTP_ACCESS_KEY": self.access_key} if self.access_key else {}
        return super().fill_content({**meta, **own}, body, timestamp, key)
