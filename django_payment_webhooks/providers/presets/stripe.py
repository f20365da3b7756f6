"""Stripe.

Signature: https://docs.stripe.com/webhooks/signature and stripe-python 6c6e373,
``stripe/_webhook.py``; the secret is used whole, with its ``whsec_``. Events and their objects:
https://docs.stripe.com/api/events/types. Resent for three days, and manually for 30:
https://docs.stripe.com/webhooks and https://docs.stripe.com/cli/events/resend. Currencies that
Stripe counts differently than ISO 4217: https://docs.stripe.com/currencies.

A payment is known by its payment intent, which its charge, refunds and disputes name; by its charge
if it has none. Put ``order_id`` into the metadata of the payment intent: refunds and disputes find
the order by the payment. Of API versions from 2022-11-15 on ``charge.refunded`` does not say which
refund it is about, and is not mapped.

A live endpoint of Connect gets events of test mode, too:
https://docs.stripe.com/connect/webhooks.
"""

from .. import Provider

PAID = (".amount_total", ".amount_received", ".amount_captured", ".amount")


class Preset(Provider):
    """Stripe signs the time and the body."""

    docs = "https://docs.stripe.com/webhooks"
    events = ("payment_intent.succeeded", "refund.*", "charge.dispute.created and .closed")
    resends_for = 30 * 24 * 60 * 60
    dashboard = "https://dashboard.stripe.com/payments/{payment_id}"
    signature_header = "Stripe-Signature"
    signature_template = "t={timestamp},v1={signature}"
    content = "{timestamp}.{body}"
    amount_unit = "minor"
    exponents = {"ISK": 2, "UGX": 2, "MGA": 0}
    # Its API can list an event with others of these than its webhook had.
    ignored_fields = ("pending_webhooks", "request", "api_version")
    test_mode = "livemode=false"
    object_path = "data.object"
    fields = {
        "provider_event_id": "id",
        "type": "type",
        "occurred_at": "created",
        "order_id": (".metadata.order_id", ".client_reference_id"),
        "payment_id": (".payment_intent", ".charge", ".id"),
        "refund_id": {"charge.refunded": ".refunds.data.0.id", "refund.*": ".id"},
        "dispute_id": {"dispute.*": ".id"},
        "amount": {
            "charge.refunded": ".refunds.data.0.amount",
            "charge.succeeded": PAID,
            "*": ".amount",
        },
        "currency": ".currency",
    }
    types = {
        "payment_intent.succeeded|charge.captured": "charge.succeeded",
        "checkout.session.async_payment_succeeded": "charge.succeeded",
        "charge.succeeded .captured=true": "charge.succeeded",
        "checkout.session.completed .payment_status=paid": "charge.succeeded",
        "payment_intent.payment_failed|charge.failed|*.async_payment_failed": "charge.failed",
        "refund.*|charge.refund.updated .status=succeeded": "refund.created",
        "refund.*|charge.refund.updated .status=failed|canceled": "refund.failed",
        "refund.*|charge.refund.updated .status=pending|requires_action": "refund.pending",
        "charge.refunded .refunds.object=list .refunds.data.0.status=succeeded|": "refund.created",
        "charge.dispute.created": "dispute.opened",
        "charge.dispute.closed .status=won|warning_closed": "dispute.won",
        "charge.dispute.closed .status=lost": "dispute.lost",
    }
