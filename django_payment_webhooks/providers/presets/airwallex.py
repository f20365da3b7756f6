"""Airwallex.

Signature: https://www.airwallex.com/docs/developer-tools/webhooks/listen-for-webhook-events: the
time in milliseconds and the body; the secret is used whole, with its ``whsec_``. Events:
https://www.airwallex.com/docs/payments/reference/payments-webhooks. Sent again for about three
days.

Give your order's number as ``merchant_order_id``. Amounts are in major units. A refund is received,
accepted, and settled in the end.
"""

from .. import Provider

FAILED = "payment_intent.cancelled|payment_attempt.authorization_failed"
ENDS = ("lost", "accepted", "expired")


class Preset(Provider):
    """Airwallex signs the time and the body."""

    docs = "https://www.airwallex.com/docs/developer-tools/webhooks"
    events = ("payment_intent.succeeded", "payment_attempt.*", "refund.*", "payment_dispute.*")
    signature_header = "x-signature"
    content = "{timestamp}{body}"
    timestamp_header = "x-timestamp"
    timestamp_unit = "ms"
    object_path = "data.object"
    fields = {
        "provider_event_id": "id",
        "type": "name",
        "occurred_at": "created_at",
        "order_id": ".merchant_order_id",
        "payment_id": {"payment_intent.*": ".id", "*": (".payment_intent_id", ".id")},
        "refund_id": {"refund.*": ".id"},
        "dispute_id": {"dispute.*": ".id"},
        "amount": {"charge.succeeded": (".captured_amount", ".amount"), "*": ".amount"},
        "currency": ".currency",
    }
    types = {
        "payment_intent.succeeded .status=SUCCEEDED": "charge.succeeded",
        f"{FAILED}|payment_attempt.capture_failed": "charge.failed",
        "refund.settled": "refund.created",
        "refund.received|refund.accepted": "refund.pending",
        "refund.failed": "refund.failed",
        "payment_dispute.requires_response": "dispute.opened",
        "payment_dispute.won|payment_dispute.reversed": "dispute.won",
        "|".join(f"payment_dispute.{end}" for end in ENDS): "dispute.lost",
    }
