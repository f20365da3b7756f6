"""Juspay.

https://juspay.io/resources-global/docs/common-resources/webhooks and
``webhook-events-and-sample-payloads`` beside it: what proves a webhook is the Basic authentication
that you set for it. A secret is ``user:password``, or that in base64. It proves who sends, and
nothing about what is sent: use https only.

The whole order is in the event, as it is then. ``ORDER_SUCCEEDED`` must have the status
``CHARGED``. A refund's event has all refunds of the order, and does not say which it is about: the
last is read. If an order can have several, compare the whole list of the payload. A dispute is
known by the last of the order's ``chargebacks``, or by the payment if none is there. Amounts are in
major units.
"""

from .. import Provider


class Preset(Provider):
    """Juspay sends a name and a password."""

    docs = "https://juspay.io/resources-global/docs/common-resources/webhooks"
    events = ("ORDER_SUCCEEDED", "ORDER_FAILED", "ORDER_REFUNDED", "ORDER_REFUND_FAILED")
    resends_for = 24 * 60 * 60
    key_encoding = "basic"
    proof = "token"
    signature_header = "Authorization"
    signature_template = "Basic {signature}"
    signature_pattern = r"\A(?i:Basic) (\S+)\Z"
    signature_encoding = "text"
    object_path = "content.order"
    fields = {
        "provider_event_id": "id",
        "type": "event_name",
        "occurred_at": "date_created",
        "order_id": ".order_id",
        "payment_id": (".txn_id", ".id"),
        "refund_id": {"refund.*": (".refunds.-1.unique_request_id", ".refunds.-1.id")},
        "dispute_id": {"dispute.*": (".chargebacks.-1.id", ".txn_id", ".id")},
        "amount": {
            "refund.*": ".refunds.-1.amount",
            "dispute.*": (".chargebacks.-1.amount", ".amount"),
            "*": ".amount",
        },
        "currency": ".currency",
    }
    types = {
        "ORDER_SUCCEEDED .status=CHARGED|": "charge.succeeded",
        "ORDER_FAILED": "charge.failed",
        "ORDER_REFUNDED .refunds.-1.status=SUCCESS|": "refund.created",
        "ORDER_REFUND_FAILED": "refund.failed",
        "CHARGEBACK_RECEIVED": "dispute.opened",
        "CHARGEBACK_RESOLVED_IN_MERCHANT_FAVOUR|CHARGEBACK_CANCELED": "dispute.won",
        "CHARGEBACK_RESOLVED_IN_CUSTOMER_FAVOUR|CHARGEBACK_EXPIRED": "dispute.lost",
    }
