"""Midtrans.

https://docs.midtrans.com/docs/https-notification-webhooks and Midtrans/midtrans-nodejs-client
dc13b08, ``examples/expressApp``: ``signature_key`` is the SHA-512 of the order, the status code,
the amount as it is written, and the server key. States:
https://docs.midtrans.com/docs/transaction-status-cycle. Resent about five times; no redirect is
followed.

What is signed does not say whether money moved: neither ``transaction_status`` nor ``fraud_status``
is in it, and the codes of a payment and of its cancellation are both 200. So ``CONFIRM`` names your
function, which gets the status of ``event.order_id``
(https://docs.midtrans.com/reference/get-transaction-status) and returns it as it is: it has the
form of a notification. A captured card pays only if fraud is ruled out. Times are those of Jakarta;
where no currency is said, it is IDR. An event is a transaction in a state; partial refunds share
it, and are distinguished by the key of the latest, and by what was given back.
"""

from .. import Provider

STATE = "{transaction_id}:{transaction_status}:{fraud_status?}:{refunds.-1.refund_key?}"


class Preset(Provider):
    """Midtrans signs three fields, and puts the signature among them."""

    docs = "https://docs.midtrans.com/docs/https-notification-webhooks"
    events = ("Payment notification URL",)
    resends_for = 24 * 60 * 60
    needs_confirmation = True
    proof = "hash"
    digest = "sha512"
    signature_field = "signature_key"
    content = "{json:order_id}{json:status_code}{json:gross_amount}{secret}"
    time_zone = "+07:00"
    fields = {
        "provider_event_id": {"refund.*": f"{STATE}:{{refund_amount?}}", "*": STATE},
        "type": "transaction_status",
        "occurred_at": {
            "refund.*": ("refunds.-1.created_at", "transaction_time"),
            "*": ("settlement_time", "transaction_time"),
        },
        "order_id": "order_id",
        "payment_id": "transaction_id",
        "refund_id": {"refund.*": ("refunds.-1.refund_key", "{transaction_id}:{refund_amount?}")},
        "dispute_id": {"dispute.*": "transaction_id"},
        "amount": {"refund.*": ("refunds.-1.refund_amount", "refund_amount"), "*": "gross_amount"},
        "currency": ("currency", "=IDR"),
    }
    types = {
        "capture status_code=200 fraud_status=accept": "charge.succeeded",
        "settlement status_code=200": "charge.succeeded",
        "deny|cancel|expire|failure": "charge.failed",
        "refund|partial_refund status_code=200": "refund.created",
        "chargeback|partial_chargeback": "dispute.opened",
    }
