"""Worldline Connect, once Ingenico and GlobalCollect.

Signature: https://docs.connect.worldline-solutions.com/documentation/webhooks/ and
Worldline-Global-Collect/connect-sdk-python3 e5dfdc8, ``tests/resources/webhooks``: base64 over the
body; the header X-GCS-KeyId only says by which key. Events:
https://docs.connect.worldline-solutions.com/documentation/webhooks/event-types/. An endpoint is
verified by a GET with a value that must be repeated.

Amounts have two decimals, whatever the currency has (``AmountOfMoney`` in the same SDK). Give your
order's number as ``merchantReference`` or ``merchantOrderId``; ``paymentReference`` is theirs. A
payment is captured, and then paid: the first of the two counts. A refund names no payment
(``RefundResult`` in the same SDK): give it the number of the order, too. Disputes by their names
are your objections: a chargeback is an event of the payment, without an id, and known by it.
"""

from .. import Provider
from ..money import EXPONENTS

CHALLENGE = "header:X-GCS-Webhooks-Endpoint-Verification"
REFUSED = ("rejected", "rejected_capture", "cancelled", "reversed")


class Preset(Provider):
    """Worldline signs the body, and asks first whether the endpoint is yours."""

    docs = "https://docs.connect.worldline-solutions.com/documentation/webhooks/"
    events = ("payment", "refund", "dispute")
    challenge = CHALLENGE + r" ~ ^([\w.-]{1,200})\Z"
    signature_header = "X-GCS-Signature"
    signature_encoding = "base64"
    amount_unit = "minor"
    exponents = dict.fromkeys(EXPONENTS, 2)
    object_path = "payment.paymentOutput"
    fields = {
        "provider_event_id": "id",
        "type": "type",
        "occurred_at": "created",
        "order_id": (
            ".references.merchantReference",
            ".references.merchantOrderId",
            "refund.refundOutput.references.merchantReference",
            "refund.refundOutput.references.merchantOrderId",
        ),
        "payment_id": ("payment.id", "refund.paymentId", "dispute.paymentId"),
        "refund_id": "refund.id",
        "dispute_id": {"dispute.*": ("payment.id", "dispute.paymentId")},
        "amount": (".amountOfMoney.amount", "refund.refundOutput.amountOfMoney.amount"),
        "currency": (
            ".amountOfMoney.currencyCode",
            "refund.refundOutput.amountOfMoney.currencyCode",
        ),
    }
    types = {
        "payment.captured|payment.paid": "charge.succeeded",
        "|".join(f"payment.{end}" for end in REFUSED): "charge.failed",
        "refund.refunded|refund.captured": "refund.created",
        "refund.created|refund.pending_approval|refund.refund_requested": "refund.pending",
        "refund.rejected|refund.cancelled": "refund.failed",
        "payment.chargeback_notification": "dispute.opened",
        "dispute.success": "dispute.won",
        "payment.chargebacked": "dispute.lost",
    }
