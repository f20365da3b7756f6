"""PayU in Europe (the REST API).

https://developers.payu.com/europe/docs/payment-flows/lifecycle/ and PayU-EMEA/openpayu_php 7628e2d,
``lib/OpenPayU/Util.php``: a digest of the body with the *second key* after it. The header names the
digest; here it is what ``DIGEST`` says, which is PayU's own first choice, MD5, and never what a
header asks for. Ask PayU for SHA-256, and set ``{"DIGEST": "sha256"}``. Resent up to twenty times
within three days. Addresses, also of the sandbox: the same page.

An event is an order of PayU in a state, or a refund in one. ``COMPLETED`` alone is money;
``WAITING_FOR_CONFIRMATION`` is a hold. Amounts are in the hundredth part, as text. Your order is
``extOrderId``, and PayU's ``orderId`` is the payment, which refunds name.
"""

from .. import Provider


class Preset(Provider):
    """PayU signs the body with a plain digest."""

    docs = "https://developers.payu.com/europe/docs/payment-flows/lifecycle/"
    events = ("notifyUrl of each order",)
    resends_for = 3 * 24 * 60 * 60
    addresses = (
        *("185.68.12.10", "185.68.12.11", "185.68.12.12"),
        *("185.68.12.26", "185.68.12.27", "185.68.12.28"),
        *("185.68.14.10", "185.68.14.11", "185.68.14.12"),
        *("185.68.14.26", "185.68.14.27", "185.68.14.28"),
    )
    proof = "hash"
    digest = "md5"
    signature_header = "OpenPayu-Signature"
    signature_template = "sender=checkout;signature={signature};content=DOCUMENT"
    content = "{body}{secret}"
    amount_unit = "minor"
    fields = {
        "provider_event_id": {
            "refund.*": "{orderId}:{refund.refundId}:{refund.status}",
            "*": "{order.orderId}:{order.status}",
        },
        "type": ("order.{order.status}", "refund.{refund.status}"),
        "occurred_at": {
            "refund.*": ("refund.statusDateTime", "refund.refundDate"),
            "*": ("localReceiptDateTime", "order.orderCreateDate"),
        },
        "order_id": {"refund.*": "extOrderId", "*": "order.extOrderId"},
        "payment_id": {"refund.*": "orderId", "*": "order.orderId"},
        "refund_id": {"refund.*": "refund.refundId"},
        "amount": {"refund.*": "refund.amount", "*": "order.totalAmount"},
        "currency": {"refund.*": "refund.currencyCode", "*": "order.currencyCode"},
    }
    types = {
        "order.COMPLETED": "charge.succeeded",
        "order.CANCELED": "charge.failed",
        "refund.FINALIZED": "refund.created",
        "refund.PENDING": "refund.pending",
        "refund.CANCELED": "refund.failed",
    }
