"""PayPal.

Signature: https://developer.paypal.com/api/rest/webhooks/rest/#link-selfverificationmethod: RSA
with SHA-256 over the id and the time of the transmission, the id of your webhook and the CRC-32 of
the body. The certificate is where a header says, and must be PayPal's own. ``SECRETS`` are the ids
of your webhooks, from the dashboard; they are no secrets. Needs ``[rsa]``. The simulator signs for
everyone with the id ``WEBHOOK_ID``: never accept that. Events:
https://developer.paypal.com/api/rest/webhooks/event-names/. Resent for three days.

Give your order's number as ``invoice_id`` or ``custom_id`` of the purchase unit. A refund names its
capture only in a link, a dispute in its list of transactions. Subscriptions are still paid by sales
of the first version (paypal/PayPal-PHP-SDK, ``WebhookEvent``), whose numbers are ``invoice_number``
and ``custom``; a refund of one can be a negative sum. ``PAYMENT.SALE.REVERSED`` names no sale for
certain, and is not mapped.
"""

from .. import Provider
from ..certificates import CertificateSignature

RESOLVED = "CUSTOMER.DISPUTE.RESOLVED .dispute_outcome.outcome_code"


class Preset(CertificateSignature, Provider):
    """PayPal signs with a certificate that it names."""

    docs = "https://developer.paypal.com/api/rest/webhooks/"
    events = ("PAYMENT.CAPTURE.*", "CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.RESOLVED")
    resends_for = 3 * 24 * 60 * 60
    dashboard = "https://www.paypal.com/activity/payment/{payment_id}"
    signature_header = "PAYPAL-TRANSMISSION-SIG"
    content = "{PAYPAL-TRANSMISSION-ID}|{PAYPAL-TRANSMISSION-TIME}|{secret}|{crc32}"
    certificate_header = "PAYPAL-CERT-URL"
    certificate_address = r"https://api(\.sandbox)?\.paypal\.com/v1/notifications/certs/CERT-[\w-]+"
    certificate_owner = "messageverificationcerts.paypal.com"
    required_headers = {"PAYPAL-AUTH-ALGO": "SHA256withRSA"}
    object_path = "resource"
    fields = {
        "provider_event_id": "id",
        "type": "event_type",
        "occurred_at": "create_time",
        "order_id": (".invoice_id", ".custom_id", ".invoice_number", ".custom"),
        "payment_id": {
            "refund.*|*.REVERSED": (".links[rel=up].href ~ ([^/]+)$", ".sale_id"),
            "dispute.*": ".disputed_transactions.0.seller_transaction_id",
            "*": ".id",
        },
        "refund_id": {"refund.*": ".id"},
        "dispute_id": {"dispute.*": ".dispute_id"},
        "amount": (".amount.value", ".dispute_amount.value", ".amount.total ~ ^-?(.+)$"),
        "currency": (".amount.currency_code", ".dispute_amount.currency_code", ".amount.currency"),
    }
    types = {
        "PAYMENT.CAPTURE.COMPLETED|PAYMENT.SALE.COMPLETED": "charge.succeeded",
        "PAYMENT.CAPTURE.DENIED|PAYMENT.CAPTURE.DECLINED|PAYMENT.SALE.DENIED": "charge.failed",
        "PAYMENT.CAPTURE.REFUNDED|PAYMENT.CAPTURE.REVERSED .status=COMPLETED": "refund.created",
        "PAYMENT.CAPTURE.REFUNDED|PAYMENT.REFUND.PENDING .status=PENDING": "refund.pending",
        "PAYMENT.SALE.REFUNDED .state=completed": "refund.created",
        "PAYMENT.SALE.REFUNDED .state=pending": "refund.pending",
        "PAYMENT.REFUND.FAILED": "refund.failed",
        "CUSTOMER.DISPUTE.CREATED": "dispute.opened",
        f"{RESOLVED}=RESOLVED_SELLER_FAVOUR|CANCELED_BY_BUYER|DENIED": "dispute.won",
        f"{RESOLVED}=RESOLVED_BUYER_FAVOUR|ACCEPTED": "dispute.lost",
    }
