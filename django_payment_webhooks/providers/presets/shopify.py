"""Shopify.

Signature: https://shopify.dev/docs/apps/build/webhooks/subscribe/https and Shopify/shopify-api-js
9dd9284, ``packages/shopify-api/lib/webhooks``: an HMAC of the body with the app's client secret.
Objects: https://shopify.dev/docs/api/admin-rest/latest/resources/order, ``refund`` and ``dispute``.
Sent again eight times within four hours, and then the subscription is deleted: so a body that
can't be read is answered with 200, and kept.

No header is signed, and the topic is in one. It can't be left out: ``orders/updated`` has the same
body as ``orders/paid``, and may come first. So it is a part of an event's identity, and never
believed alone: even under ``orders/paid`` an order is paid only if its signed body says so, and is
no test. Whoever sends a genuine body again under another topic finds nothing to be had by it. The
ids of deliveries and the time in headers are not used.

Shopify's id of the order is the payment, which refunds and disputes name; the order is
``order_id`` among its note attributes, or else its name, such as ``#1001``. A refund is the sum of
its transactions that succeeded; one without them, of stock alone, is no refund.
"""

from __future__ import annotations

from typing import Any, Sequence

from .. import Provider
from ..money import read_number

REFUND = "refunds/create transactions[status=%s].kind=refund"


class Preset(Provider):
    """Shopify signs the body, and sends the topic beside it."""

    docs = "https://shopify.dev/docs/apps/build/webhooks"
    events = ("orders/paid", "refunds/create", "disputes/create", "disputes/update")
    resends_for = 2 * 24 * 60 * 60
    parse_error_status = 200
    signature_header = "X-Shopify-Hmac-Sha256"
    signature_encoding = "base64"
    fields = {
        "provider_event_id": "{header:X-Shopify-Topic}:{id}:{updated_at?}:"
        "{financial_status?}{status?}",
        "type": "header:X-Shopify-Topic",
        "occurred_at": {"orders/*": "updated_at", "refunds/*": ("processed_at", "created_at")},
        "order_id": {"orders/*": ("note_attributes[name=order_id].value", "name")},
        "payment_id": {"orders/*": "id", "*": "order_id"},
        "refund_id": {"refunds/*": "id"},
        "dispute_id": {"disputes/*": "id"},
        "amount": {
            "refunds/*": ("transactions[status=success].amount", "transactions.0.amount"),
            "disputes/*": "amount",
            "*": "total_price",
        },
        "currency": {"refunds/*": "transactions.0.currency", "*": "currency"},
    }
    types = {
        "orders/paid financial_status=paid|*refunded test=false|": "charge.succeeded",
        REFUND % "success": "refund.created",
        REFUND % "pending": "refund.pending",
        REFUND % "failure": "refund.failed",
        REFUND % "error": "refund.failed",
        "disputes/create status=needs_response|under_review": "dispute.opened",
        "disputes/update status=won": "dispute.won",
        "disputes/update status=lost|accepted|charge_refunded": "dispute.lost",
    }

    def read_field(self, name: str, payload: Any, types: Sequence[str] = ()) -> Any:
        """Return a field; of the amount of a refund the sum, as it can have several parts."""
        value = super().read_field(name, payload, types)
        if name != "amount" or value is None or "refund.created" not in types:
            return value
        done = [part for part in payload["transactions"] if part.get("status") == "success"]
        return sum(read_number(part.get("amount")) for part in done)
