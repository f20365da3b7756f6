"""Razorpay.

Signature: https://razorpay.com/docs/webhooks/validate-test/ and razorpay/razorpay-python,
``razorpay/utility/utility.py``; the secret is that of the webhook, not of the API. Events:
https://razorpay.com/docs/webhooks/payloads/ and razorpay/markdown-docs ab3bda5, ``webhooks/``.
Resent for 24 hours, then the webhook is disabled.

Razorpay sends its id of an event in the header ``x-razorpay-event-id``, which is not signed: anyone
who has seen a webhook could resend it as another. So an event is identified by its signed body: its
type, its objects and its time. Put ``order_id`` into the notes of the payment. A payment that was
never captured is returned automatically (https://razorpay.com/docs/webhooks/refunds). Here, that is
not a refund.
"""

from .. import Provider

OBJECTS = ("refund", "dispute", "payment", "order", "payment_link")
ENTITIES = [f"payload.{name}.entity" for name in OBJECTS]
CAPTURED = "payload.payment.entity.captured=true|"
IDS = "".join(f"{{{entity}.id?}}:" for entity in ENTITIES)


class Preset(Provider):
    """Razorpay signs the body. A refund's event has its payment beside it."""

    docs = "https://razorpay.com/docs/webhooks/"
    events = ("payment.captured", "payment.failed", "refund.*", "payment.dispute.*")
    resends_for = 24 * 60 * 60
    dashboard = "https://dashboard.razorpay.com/app/payments/{payment_id}"
    signature_header = "X-Razorpay-Signature"
    amount_unit = "minor"
    fields = {
        "provider_event_id": "{event}:" + IDS + "{created_at}",
        "type": "event",
        "occurred_at": "created_at",
        "order_id": "payload.payment.entity.notes.order_id",
        "payment_id": (
            "payload.payment.entity.id",
            "payload.refund.entity.payment_id",
            "payload.dispute.entity.payment_id",
        ),
        "refund_id": "payload.refund.entity.id",
        "dispute_id": "payload.dispute.entity.id",
        "amount": tuple(f"{entity}.amount" for entity in ENTITIES),
        "currency": tuple(f"{entity}.currency" for entity in ENTITIES),
    }
    types = {
        "payment.captured": "charge.succeeded",
        "payment.failed": "charge.failed",
        f"refund.created payload.refund.entity.status=processed {CAPTURED}": "refund.created",
        f"refund.created {CAPTURED}": "refund.pending",
        f"refund.processed {CAPTURED}": "refund.created",
        f"refund.failed {CAPTURED}": "refund.failed",
        "payment.dispute.created": "dispute.opened",
        "payment.dispute.won": "dispute.won",
        "payment.dispute.lost": "dispute.lost",
    }
