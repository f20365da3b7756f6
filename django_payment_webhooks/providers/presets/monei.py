"""MONEI.

https://docs.monei.com/guides/verify-signature/ and
https://docs.monei.com/apis/graphql/types/objects/webhook/: an HMAC of the time and the body with
the API's key. The payment and its states: https://docs.monei.net/docs/payments-api/. The
``callbackUrl`` of a payment gets the payment itself, and a webhook gets it as ``object``: both are
read.

No event has an id of its own in both, so it is the payment, its state, and what has been refunded
so far. Put your order's number into ``orderId``. Amounts are in minor units, times in Unix seconds.
"""

from .. import Provider


class Preset(Provider):
    """MONEI signs the time and the body, which is the payment."""

    docs = "https://docs.monei.com/guides/verify-signature/"
    events = ("callbackUrl of each payment", "or a webhook for payments")
    signature_header = "MONEI-Signature"
    signature_template = "t={timestamp},v1={signature}"
    content = "{timestamp}.{body}"
    amount_unit = "minor"
    fields = {
        "provider_event_id": (
            "{object.id}:{object.status}:{object.refundedAmount?}",
            "{id}:{status}:{refundedAmount?}",
        ),
        "type": ("object.status", "status"),
        "occurred_at": ("object.updatedAt", "object.createdAt", "updatedAt", "createdAt"),
        "order_id": ("object.orderId", "orderId"),
        "payment_id": ("object.id", "id"),
        "refund_id": {
            "refund.*": ("{object.id}:{object.refundedAmount}", "{id}:{refundedAmount}"),
        },
        "amount": {
            "refund.*": ("object.lastRefundAmount", "lastRefundAmount"),
            "*": ("object.amount", "amount"),
        },
        "currency": ("object.currency", "currency"),
    }
    types = {
        "SUCCEEDED": "charge.succeeded",
        "FAILED|CANCELED|EXPIRED": "charge.failed",
        "REFUNDED|PARTIALLY_REFUNDED": "refund.created",
    }
