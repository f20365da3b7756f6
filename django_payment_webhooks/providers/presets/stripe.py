"""Stripe.

Signature: https://docs.stripe.com/webhooks/signature and stripe-python 6c6e373,
``stripe/_webhook.py``; the secret is used whole, with its ``whsec_``. Events and their objects:
https://docs.stripe.com/api/events/types. Sent again for three days, and by hand for 30:
https://docs.stripe.com/webhooks and https://docs.stripe.com/cli/events/resend. Currencies that
Stripe counts in another way than ISO 4217: https://docs.stripe.com/currencies.

A payment is known by its payment intent, which its charge, refunds and disputes name; by its charge
if it has none. Put ``order_id`` into the metadata of the payment intent: refunds and disputes find
the order by the payment. Of API versions from 2022-11-15 on ``charge.refunded`` does not say which
refund it is about, and is not mapped.
"""

from .. import Provider


class Preset(Provider):
    """Stripe signs the time and the body. Its object is a charge, a session, a refund, a dispute."""

    title = "Stripe"
    docs = "https://docs.stripe.com/webhooks"
    events = ("payment_intent.succeeded", "refund.*", "charge.dispute.created")
    events += ("charge.dispute.closed",)
    resends_for = 30 * 24 * 60 * 60
    dashboard = "https://dashboard.stripe.com/payments/{payment_id}"
    signature_header = "Stripe-Signature"
    signature_pattern = r"(?:^|,)\s*v1=([0-9A-Fa-f]+)"
    signature_template = "t={timestamp},v1={signature}"
    content = "{timestamp}.{body}"
    timestamp_pattern = r"(?:^|,)\s*t=([0-9]+)"
    time_format = "s"
    amount_unit = "minor"
    exponents = {"ISK": 2, "UGX": 2, "MGA": 0}
    ignored_fields = ("pending_webhooks",)
    fields = {
        "provider_event_id": "id",
        "type": "type",
        "occurred_at": "created",
        "order_id": ("data.object.metadata.order_id", "data.object.client_reference_id"),
        "payment_id": {
            "payment_intent.*": "data.object.id",
            "refund.*|dispute.*|checkout.*": ("data.object.payment_intent", "data.object.charge"),
            "*": ("data.object.payment_intent", "data.object.id"),
        },
        "refund_id": {
            "charge.refunded": "data.object.refunds.data.0.id",
            "refund.*": "data.object.id",
        },
        "dispute_id": {"dispute.*": "data.object.id"},
        "amount": {
            "payment_intent.succeeded": "data.object.amount_received",
            "charge.refunded": "data.object.refunds.data.0.amount",
            "checkout.*": "data.object.amount_total",
            "charge.captured": "data.object.amount_captured",
            "*": "data.object.amount",
        },
        "currency": "data.object.currency",
    }
    types = {
        "payment_intent.succeeded": "charge.succeeded",
        "charge.succeeded data.object.captured=true": "charge.succeeded",
        "charge.succeeded": "charge.authorized",
        "charge.captured": "charge.succeeded",
        "checkout.session.completed data.object.payment_status=paid": "charge.succeeded",
        "checkout.session.async_payment_succeeded": "charge.succeeded",
        "payment_intent.payment_failed": "charge.failed",
        "checkout.session.async_payment_failed": "charge.failed",
        "refund.created data.object.status=succeeded": "refund.created",
        "refund.created data.object.status=failed|canceled": "refund.failed",
        "refund.created": "refund.pending",
        "refund.updated data.object.status=succeeded": "refund.created",
        "refund.updated data.object.status=failed|canceled": "refund.failed",
        "refund.updated": "refund.pending",
        "charge.refund.updated data.object.status=succeeded": "refund.created",
        "charge.refund.updated data.object.status=failed|canceled": "refund.failed",
        "charge.refunded data.object.refunds.object=list": "refund.created",
        "charge.dispute.created": "dispute.opened",
        "charge.dispute.closed data.object.status=won|warning_closed": "dispute.won",
        "charge.dispute.closed data.object.status=lost": "dispute.lost",
    }
