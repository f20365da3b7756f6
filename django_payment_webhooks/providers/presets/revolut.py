"""Revolut, the Merchant API.

Signature: https://developer.revolut.com/docs/guides/accept-payments/tutorials/work-with-webhooks
("Verify the payload signature"): the time in milliseconds and the body. Events, and the addresses
of both worlds: https://developer.revolut.com/docs/api/merchant/operations/webhook-webhook-event.
Resent three times, ten minutes apart.

A webhook names the order of Revolut and yours, and no sum; and a refund is an order, too, which is
completed like a payment. So ``CONFIRM`` names your function, which fetches the order of
``event.payment_id`` (https://developer.revolut.com/docs/merchant/retrieve-order) and returns
``{**event.payload, "order": ...}``; of a refund or a dispute it adds ``payment_id``, the order that
was paid. An event has no id and no time: it is its name and its object, and its time is that of the
delivery.
"""

from .. import Provider

SANDBOX = ("35.242.130.242", "35.242.162.241")
DELIVERY = "header:Revolut-Request-Timestamp"
PAID = "order.state=completed|COMPLETED order.type=payment|PAYMENT"
STATE = "{event}:{data.id}:{data.new_state?}"
REFUNDED = "order.state=completed|COMPLETED order.type=refund|REFUND"


class Preset(Provider):
    """Revolut signs the time and the body."""

    docs = "https://developer.revolut.com/docs/merchant/webhooks"
    events = ("ORDER_COMPLETED", "ORDER_PAYMENT_FAILED", "DISPUTE_*")
    resends_for = 60 * 60
    addresses = ("35.246.21.235", "34.89.70.170", *SANDBOX)
    needs_confirmation = True
    signature_header = "Revolut-Signature"
    signature_template = "v1={signature}"
    content = "v1.{timestamp}.{body}"
    timestamp_header = "Revolut-Request-Timestamp"
    timestamp_unit = "ms"
    time_format = "ms|iso"
    amount_unit = "minor"
    ignored_fields = (DELIVERY,)
    fields = {
        "provider_event_id": ("{event}:{dispute_id}", "{event}:{order_id}", STATE),
        "type": "event",
        "occurred_at": ("timestamp", DELIVERY),
        "order_id": ("merchant_order_ext_ref", "order.merchant_order_data.reference"),
        "payment_id": ("payment_id", "order_id"),
        "refund_id": {"refund.*": "order_id"},
        "dispute_id": "dispute_id",
        "amount": ("order.amount", "order.order_amount.value"),
        "currency": ("order.currency", "order.order_amount.currency"),
    }
    types = {
        f"ORDER_COMPLETED {PAID}": "charge.succeeded",
        f"ORDER_COMPLETED {REFUNDED}": "refund.created",
        "ORDER_CANCELLED|ORDER_FAILED": "charge.failed",
        "ORDER_PAYMENT_DECLINED|ORDER_PAYMENT_FAILED": "charge.failed",
        "DISPUTE_ACTION_REQUIRED": "dispute.opened",
        "DISPUTE_WON": "dispute.won",
        "DISPUTE_LOST": "dispute.lost",
    }
