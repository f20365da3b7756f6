"""Polar.

Signature: https://polar.sh/docs/integrate/webhooks/delivery and polar-sdk 1.0.2,
``polar/webhooks.py``: Standard Webhooks. Of a secret that was made before 8 September 2026 the key
is the text as it is shown, of a later one what it decodes to
(https://github.com/polarsource/polar/pull/14117): either is accepted. Events:
https://polar.sh/docs/api-reference/webhooks/order.paid and their models in the same SDK. Resent ten
times; the endpoint is disabled after ten failures in a row.

An order of Polar is the payment here. Put ``order_id`` into the metadata of the checkout, which
become those of the order. The amount of a refund is without its tax, which is in ``tax_amount``.
``order.refunded`` repeats what ``refund.updated`` says, and is not mapped.
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from ..signatures import DECODERS
from .standard_webhooks import Preset as StandardWebhooks

REFUND = "refund.created|refund.updated .status"


class Preset(StandardWebhooks):
    """Standard Webhooks with a secret that is text, or base64."""

    docs = "https://polar.sh/docs/integrate/webhooks/endpoints"
    events = ("order.paid", "refund.created", "refund.updated")
    addresses = (
        "3.134.238.10",
        "3.129.111.220",
        "52.15.118.168",
        "74.220.50.0/24",
        "74.220.58.0/24",
    )
    key_encoding = "text"
    amount_unit = "minor"
    fields = {
        **StandardWebhooks.fields,
        "order_id": ".metadata.order_id",
        "payment_id": {"refund.*": ".order_id", "*": ".id"},
        "refund_id": {"refund.*": ".id"},
        "dispute_id": {"refund.*": ".dispute.id"},
        "amount": {"refund.*": ".amount", "*": ".total_amount"},
    }
    types = {
        "order.paid": "charge.succeeded",
        f"{REFUND}=succeeded": "refund.created",
        f"{REFUND}=pending": "refund.pending",
        f"{REFUND}=failed|canceled": "refund.failed",
    }

    def list_ways(
        self, key: bytes, meta: Mapping[str, Any]
    ) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
        """Yield the secret as text, and decoded."""
        try:
            decoded = DECODERS["whsec"](key.decode())
        except ValueError:
            decoded = b""
        # What is too short could be guessed: nothing at all is left of some texts.
        keys = [each for each in (key, decoded) if len(each) >= self.min_key_length]
        yield from [(each, meta) for each in keys]
