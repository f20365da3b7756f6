"""Shopify.

Signature: https://shopify.dev/docs/apps/build/webhooks/subscribe/https and Shopify/shopify-api-js
9dd9284, ``packages/shopify-api/lib/webhooks``: an HMAC of the body with the app's client secret.
Objects: https://shopify.dev/docs/api/admin-rest/latest/resources/order, ``refund`` and ``dispute``.
Resent eight times within four hours, and then the subscription is deleted: so a body that can't be
read is answered with 200, and kept.

No header is signed: neither the topic, nor the ids, nor the time. Anyone who has seen the webhook
of a new order could resend it as ``orders/paid``. So nothing is read of them, and the body says
what it is: an order with its state, such as ``order.paid``, a dispute with its own, such as
``chargeback.won``, or a refund. The webhooks of one order in one state and second are one event.

Shopify's id of the order is the payment, which refunds and disputes name; the order is
``order_id`` among its note attributes, or else its name, such as ``#1001``. A refund is the sum of
its transactions that succeeded; one without them, of stock alone, is no refund.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Sequence

from .. import Provider
from ..money import read_number
from ..payloads import find

REFUND = "refund transactions[status=%s].kind=refund"
DONE = ("finalized_on", "updated_at", "processed_at")
PART = ("transactions[status=success].amount", "transactions.0.amount")


class Preset(Provider):
    """Shopify signs the body, and not the topic beside it."""

    docs = "https://shopify.dev/docs/apps/build/webhooks"
    events = ("orders/paid", "refunds/create", "disputes/create", "disputes/update")
    resends_for = 2 * 24 * 60 * 60
    parse_error_status = 200
    signature_header = "X-Shopify-Hmac-Sha256"
    signature_encoding = "base64"
    test_mode = "test=true"
    fields = {
        "provider_event_id": {
            "order.*": "order:{id}:{financial_status}:{updated_at?}",
            "dispute.*": "dispute:{id}:{status}",
            "*": "{id}:{updated_at?}{created_at?}",
        },
        "type": ("order.{financial_status}", "{type}.{status}", "transactions.0.kind", "=other"),
        "occurred_at": {"dispute.opened": "initiated_at", "*": DONE},
        "order_id": {"order.*": ("note_attributes[name=order_id].value", "name")},
        "payment_id": {"order.*": "id", "*": "order_id"},
        "refund_id": {"refund*": "id"},
        "dispute_id": {"dispute.*": "id"},
        "amount": {"refund*": PART, "*": ("total_price", "amount")},
        "currency": {"refund*": "transactions.0.currency", "*": "currency"},
    }
    types = {
        "order.paid|order.*refunded": "charge.succeeded",
        "order.voided": "charge.failed",
        REFUND % "success": "refund.created",
        REFUND % "pending": "refund.pending",
        REFUND % "failure": "refund.failed",
        REFUND % "error": "refund.failed",
        "*.needs_response|*.under_review": "dispute.opened",
        "*.won": "dispute.won",
        "*.lost|*.accepted|*.charge_refunded": "dispute.lost",
    }

    def read_field(self, name: str, payload: Any, types: Sequence[str] = ()) -> Any:
        """Return a field; of the amount of a refund the sum, as it can have several parts."""
        value = super().read_field(name, payload, types)
        if name != "amount" or value is None or "refund.created" not in types:
            return value
        amounts = [find(part, "amount") for part in payload["transactions"] if is_done(part)]
        with suppress(ValueError):
            return sum(map(read_number, amounts))
        return amounts  # which is no sum of money, and says so when it is read as one


def is_done(part: Any) -> bool:
    """Return whether a transaction of a refund gave money back."""
    return bool(find(part, "status") == "success")
