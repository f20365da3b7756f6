"""GoCardless.

Signature: https://developer.gocardless.com/getting-started/staying-up-to-date-with-webhooks and
gocardless/gocardless-pro-python d5c83f3, ``tests/webhooks_test.py``: hex over the body, and a
webhook that is not genuine is answered with 498. Up to 250 events come at once, and all of them are
resent if one is not accepted. Events:
https://developer.gocardless.com/api-reference/#events-event-types.

An event says nothing about money, and a refund's event nothing about its payment. So ``CONFIRM``
names your function: it fetches the object,
https://developer.gocardless.com/api-reference/#payments-get-a-single-payment or
https://developer.gocardless.com/api-reference/#refunds-get-a-single-refund, and returns
``{**event.payload, "payment": ...}`` or ``{**event.payload, "refund": ...}`` with it. Put
``order_id`` into the payment's metadata. A refund is created long before it is paid. A chargeback
has no id: it is known by its payment.
"""

from .. import Provider


class Preset(Provider):
    """GoCardless signs a list of events."""

    docs = "https://developer.gocardless.com/api-reference/#appendix-webhooks"
    events = ("payments", "refunds")
    dashboard = "https://manage.gocardless.com/payments/{payment_id}"
    needs_confirmation = True
    signature_header = "Webhook-Signature"
    refusal_status = 498
    events_path = "events.*"
    amount_unit = "minor"
    fields = {
        "provider_event_id": "id",
        "type": "{resource_type}.{action}",
        "occurred_at": "created_at",
        "order_id": ("resource_metadata.order_id", "payment.metadata.order_id"),
        "payment_id": ("links.payment", "refund.links.payment"),
        "refund_id": "links.refund",
        "dispute_id": {"dispute.*": "links.payment"},
        "amount": ("refund.amount", "payment.amount"),
        "currency": ("refund.currency", "payment.currency"),
    }
    types = {
        "payments.confirmed": "charge.succeeded",
        "payments.failed|payments.cancelled|payments.customer_approval_denied": "charge.failed",
        "refunds.paid": "refund.created",
        "refunds.created": "refund.pending",
        "refunds.failed|refunds.funds_returned|refunds.bounced": "refund.failed",
        "payments.charged_back": "dispute.opened",
        "payments.chargeback_cancelled": "dispute.won",
    }
