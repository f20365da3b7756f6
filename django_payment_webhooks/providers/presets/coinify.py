"""Coinify.

https://coinify.readme.io/docs/webhook-signature: an HMAC of the body with the shared secret of the
webhook. Events and their context: https://coinify.readme.io/docs/webhook-structure and
https://coinify.readme.io/reference/payment-intent-api-webhook-notifications.

``completed`` is not paid: too little may have come, which ``stateReason`` says as
``completed_underpaid``. Such an event keeps its name. Repetitions have the same id. The order is
the ``orderId`` that you gave. Amounts are decimal text.
"""

from .. import Provider

REASON = "context.stateReason"


class Preset(Provider):
    """Coinify signs the body."""

    docs = "https://coinify.readme.io/docs/webhooks"
    events = ("payment-intent.completed", "payment-intent.failed")
    signature_header = "x-coinify-webhook-signature"
    object_path = "context"
    fields = {
        "provider_event_id": "id",
        "type": "event",
        "occurred_at": "time",
        "order_id": (".orderId", ".context.orderId"),
        "payment_id": ".id",
        "amount": ".amount",
        "currency": ".currency",
    }
    types = {
        f"payment-intent.completed {REASON}=completed_exact_amount|completed_overpaid": (
            "charge.succeeded"
        ),
        "payment-intent.failed": "charge.failed",
    }
