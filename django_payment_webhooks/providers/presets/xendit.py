"""Xendit.

https://docs.xendit.co/docs/handling-webhooks: each webhook has your *verification token* in
``x-callback-token``. That proves who sends, and nothing about what is sent: anyone who has seen one
webhook can write any other, so use https only, and change the token when it leaks. Payments:
https://docs.xendit.co/apidocs/payment-webhook-notification. Refunds:
https://docs.xendit.co/apidocs/refund-webhook-notification. Six times within 24 hours.

``webhook-id`` is not in every webhook. So an event is its kind, its object and its state, and of a
payment that is captured in parts the last part, as its sum is. Invoices of the older API have no
``event``: they are ``invoice.`` and their status, and the payment that their refunds name. Amounts
are in major units. A refund's ``reference_id`` is its own; it finds the order by its payment. In
the reference a refund is within a second ``data``: it is read in either place.
"""

from .. import Provider

# Where a refund is, and what it names.
REFUND = ("data", "data.data")
PAID = ("invoice_id", "payment_id", "payment_request_id")
CAPTURED = "data.captures.-1.capture_amount"


class Preset(Provider):
    """Xendit sends a token."""

    docs = "https://docs.xendit.co/docs/handling-webhooks"
    events = ("Payments", "Refunds", "Invoices paid")
    resends_for = 24 * 60 * 60
    proof = "token"
    signature_header = "x-callback-token"
    signature_encoding = "text"
    fields = {
        "provider_event_id": (
            "{event}:{data.id}:{data.status?}",
            "{event}:{data.data.id}:{data.data.status?}",
            "{event}:{data.payment_id}:{data.status?}:{data.captures.-1.capture_id?}",
            "{event}:{data.payment_request_id}:{data.status?}",
            "{id}:{status}",
        ),
        "type": ("event", "invoice.{status}"),
        "occurred_at": ("created", "paid_at", "updated"),
        "order_id": {
            "refund.*": ("data.metadata.order_id", "data.data.metadata.order_id"),
            "*": ("data.reference_id", "external_id"),
        },
        "payment_id": {
            "refund.*": tuple(f"{place}.{name}" for place in REFUND for name in PAID),
            "*": ("data.payment_id", "data.id", "data.payment_request_id", "id"),
        },
        "refund_id": {"refund.*": ("data.id", "data.data.id")},
        "amount": {
            "refund.*": ("data.amount", "data.data.amount"),
            "*": (CAPTURED, "data.request_amount", "data.amount", "paid_amount", "amount"),
        },
        "currency": ("data.currency", "data.data.currency", "currency"),
    }
    types = {
        "payment.capture|payment.succeeded data.status=SUCCEEDED": "charge.succeeded",
        "invoice.PAID|invoice.SETTLED": "charge.succeeded",
        "payment.failure|payment.failed|invoice.EXPIRED": "charge.failed",
        "refund.succeeded {data.status?}{data.data.status?}=SUCCEEDED|": "refund.created",
        "refund.failed": "refund.failed",
    }
