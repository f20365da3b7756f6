"""Cashfree.

https://www.cashfree.com/docs/api-reference/payments/latest/payments/webhooks and
cashfree/cashfree-pg-sdk-python, ``PGVerifyWebhookSignature``: an HMAC of the time in milliseconds
and the body, with the client's secret. Refunds and disputes: ``refunds/webhooks`` and
``disputes/dispute-webhooks`` beside that page.

``x-idempotency-key`` is not signed, and newer versions have it alone. An event is its type, its
object and its state; one of another object, such as a settlement, is its type and its time. Amounts
are in major units. An automatic refund gives back what never became an order's payment: it keeps
its name.
"""

from .. import Provider

DISPUTE = "data.dispute.dispute_status"
IDS = "payment.cf_payment refund.cf_refund auto_refund.cf_refund dispute.cf_dispute dispute.dispute"
STATE = "{data.payment.payment_status?}{data.refund.refund_status?}{data.dispute.dispute_status?}"
EVENTS = tuple(f"{{type}}:{{data.{each}_id}}:{STATE}" for each in IDS.split())
OTHER = "{type}:{event_time}:{data.order.order_id?}{data.cf_link_id?}"
ORDERS = ("data.order", "data.refund", "data.dispute.order_details", "data.order_details")


class Preset(Provider):
    """Cashfree signs the time and the body, with nothing between them."""

    docs = "https://www.cashfree.com/docs/api-reference/payments/latest/webhooks/overview"
    events = ("Success payment", "Failed payment", "Refund", "Dispute")
    addresses = ("52.66.101.190", "3.109.102.144", "18.60.134.245", "18.60.183.142")
    signature_header = "x-webhook-signature"
    signature_encoding = "base64"
    content = "{timestamp}{body}"
    timestamp_header = "x-webhook-timestamp"
    timestamp_unit = "ms"
    fields = {
        "provider_event_id": (*EVENTS, OTHER),
        "type": "type",
        "occurred_at": "event_time",
        "order_id": tuple(f"{path}.order_id" for path in ORDERS),
        "payment_id": tuple(f"{path}.cf_payment_id" for path in ("data.payment", *ORDERS)),
        "refund_id": {"refund.*": ("data.refund.cf_refund_id", "data.refund.refund_id")},
        "dispute_id": {"dispute.*": ("data.dispute.cf_dispute_id", "data.dispute.dispute_id")},
        "amount": {
            "refund.*": "data.refund.refund_amount",
            "dispute.*": "data.dispute.dispute_amount",
            "*": ("data.payment.payment_amount", "data.order.order_amount"),
        },
        "currency": {
            "refund.*": "data.refund.refund_currency",
            "dispute.*": ("data.dispute.dispute_amount_currency", "=INR"),
            "*": ("data.payment.payment_currency", "data.order.order_currency"),
        },
    }
    types = {
        "PAYMENT_SUCCESS_WEBHOOK data.payment.payment_status=SUCCESS|": "charge.succeeded",
        "PAYMENT_FAILED_WEBHOOK|PAYMENT_USER_DROPPED_WEBHOOK": "charge.failed",
        "REFUND_STATUS_WEBHOOK data.refund.refund_status=SUCCESS": "refund.created",
        "REFUND_STATUS_WEBHOOK data.refund.refund_status=PENDING|ONHOLD": "refund.pending",
        "REFUND_STATUS_WEBHOOK data.refund.refund_status=CANCELLED|FAILED": "refund.failed",
        "DISPUTE_CREATED": "dispute.opened",
        f"DISPUTE_CLOSED {DISPUTE}=*_WON": "dispute.won",
        f"DISPUTE_CLOSED {DISPUTE}=*_LOST|*_ACCEPTED": "dispute.lost",
    }
