"""Monnify.

https://developers.monnify.com/docs/webhooks: an HMAC-SHA512 of the body with the client's secret,
in ``monnify-signature``. Events: https://developers.monnify.com/docs/webhooks/event-types.

No event has an id: it is its type and its transaction, or its refund. Your order's number is the
``paymentReference``, which a refund does not have: it names the transaction. Amounts are in major
units, and a refund's are in NGN. Times are those of Lagos, and have two forms.
"""

from .. import Provider


class Preset(Provider):
    """Monnify signs the body."""

    docs = "https://developers.monnify.com/docs/webhooks"
    events = ("Transaction completion", "Refund completion")
    digest = "sha512"
    signature_header = "monnify-signature"
    time_format = "iso|%d/%m/%Y %I:%M:%S %p"
    time_zone = "+01:00"
    object_path = "eventData"
    fields = {
        "provider_event_id": "{eventType}:{.transactionReference?}:{.refundReference?}:"
        "{.reference?}",
        "type": "eventType",
        "occurred_at": (".paidOn", ".completedOn", ".createdOn"),
        "order_id": ".paymentReference",
        "payment_id": ".transactionReference",
        "refund_id": {"refund.*": ".refundReference"},
        "amount": {"refund.*": ".refundAmount", "*": ".amountPaid"},
        "currency": (".currency", "=NGN"),
    }
    types = {
        "SUCCESSFUL_TRANSACTION .paymentStatus=PAID|OVERPAID": "charge.succeeded",
        "SUCCESSFUL_REFUND": "refund.created",
        "FAILED_REFUND": "refund.failed",
    }
