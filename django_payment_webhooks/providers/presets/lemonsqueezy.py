"""Lemon Squeezy.

Signature: https://docs.lemonsqueezy.com/help/webhooks/signing-requests: hex over the body. You
choose the secret, of 6 to 40 characters there; here it has 16 or more. Events:
https://docs.lemonsqueezy.com/help/webhooks/event-types. Resent three times within three minutes,
and manually. Lemon Squeezy is the merchant of record, and passes no disputes on.

There is no id of an event, and the header with its name is not signed: an event is its name, its
object and the time of its last change. Orders and invoices of subscriptions are numbered apart, so
a payment is its kind and its number. Put ``order_id`` into the custom data of the checkout. What a
refund's event says is all that has been refunded of its payment so far, not the last part: take
``RefundTotalHandler``. The first payment of a subscription is an order and an invoice, and so may
its refund be: switch on the events of one of them.
"""

from .. import Provider

NAMES = "{meta.event_name}:{data.type}:{data.id}"


class Preset(Provider):
    """Lemon Squeezy signs the body."""

    docs = "https://docs.lemonsqueezy.com/help/webhooks"
    events = ("order_created", "order_refunded", "subscription_payment_*")
    signature_header = "X-Signature"
    amount_unit = "minor"
    test_mode = ".test_mode=true"
    object_path = "data.attributes"
    fields = {
        "provider_event_id": NAMES + ":{.updated_at?}:{.refunded_amount?}",
        "type": "meta.event_name",
        "occurred_at": (".updated_at", ".created_at"),
        "order_id": "meta.custom_data.order_id",
        "payment_id": "{data.type}:{data.id}",
        "refund_id": {"refund.*": "{data.type}:{data.id}:{.refunded_amount?}"},
        "amount": {"refund.*": (".refunded_amount", ".total"), "*": ".total"},
        "currency": ".currency",
    }
    types = {
        "order_created|subscription_payment_success .status=paid": "charge.succeeded",
        "order_created .status=failed": "charge.failed",
        "subscription_payment_failed": "charge.failed",
        "order_refunded|subscription_payment_refunded": "refund.created",
    }
