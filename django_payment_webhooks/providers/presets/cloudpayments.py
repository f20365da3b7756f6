"""CloudPayments.

Notifications, and their ``Content-HMAC`` over the raw body, with the API's secret as the key:
https://developers.cloudpayments.ru/#uvedomleniya and platmart/cloud_payments 54b52c9,
``spec/cloud_payments/webhooks_spec.rb``. ``X-Content-HMAC`` beside it covers the decoded form, and
is not used. The fields of each: drforse/aiocloudpayments 3357e01, ``types/notifications``.

The kind of notification is only in the address, which is not signed; so the type is read from
the body. A payment in two stages is ``Authorized`` before it is ``Completed``. Never give *Check*
this address: it comes before the money, and its body has all that a *Pay* must have. A refund says
no currency: it is RUB, unless you set another in ``FIELDS``. The order is the ``InvoiceId``, which
a refund may lack; it always names its payment. Test mode is that of a whole site, which has a
secret of its own. If the format is JSON, set ``BODY_FORMAT``.
"""

from .. import Provider


class Preset(Provider):
    """CloudPayments sends a form, and sends it again until it reads the code 0."""

    docs = "https://developers.cloudpayments.ru/#uvedomleniya"
    events = ("Pay", "Fail", "Confirm", "Refund", "Cancel", "but not Check")
    addresses = (
        *("91.142.84.0/27", "87.251.91.160/27", "185.98.81.0/28"),
        *("130.193.70.192", "185.98.85.109"),
    )
    signature_header = "Content-HMAC"
    signature_encoding = "base64"
    body_format = "form"
    answer_body = '{"code":0}'
    answer_type = "application/json"
    fields = {
        "provider_event_id": (
            "{TransactionId}:{OperationType?}:{Status?}",
            "{Id}:{Status}:{SuccessfulTransactionsNumber}:{FailedTransactionsNumber}",
        ),
        "type": ("OperationType", "Status", "=Cancel"),
        "occurred_at": ("DateTime", "LastTransactionDate"),
        "order_id": "InvoiceId",
        "payment_id": ("PaymentTransactionId", "TransactionId"),
        "refund_id": {"refund.*": "TransactionId"},
        "amount": "Amount",
        "currency": ("Currency", "=RUB"),
    }
    types = {
        "Payment|Completed Status=Completed": "charge.succeeded",
        "Payment ReasonCode=5*|6*": "charge.failed",
        "Refund": "refund.created",
        "Cancel": "charge.failed",
    }
