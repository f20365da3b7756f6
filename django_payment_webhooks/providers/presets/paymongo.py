"""PayMongo, live.

https://developers.paymongo.com/docs/creating-webhook and
https://developers.paymongo.com/docs/securing-webhook: an HMAC of the time and the body with the
webhook's ``whsk_`` secret, as ``li`` for live and ``te`` for test. This preset reads ``li`` alone,
so that nothing in test mode pays an order; for tests there is the preset ``paymongo_test``. Events:
https://developers.paymongo.com/docs/developer-tools-webhooks-events. Resent twelve times within
three hours; after three such failures the webhook is disabled.

The resource of an event is a payment, a refund, or a checkout session with payments. Put
``order_id`` into its metadata; a description is meant for people, and is not read.
``payment.refunded`` has the payment, but does not say which refund: it keeps its name, and
``payment.refund.updated`` is read.
"""

from .. import Provider

RESOURCE = "data.attributes.data"


class Preset(Provider):
    """PayMongo signs the time and the body, apart for live and test."""

    docs = "https://developers.paymongo.com/docs/securing-webhook"
    events = ("payment.paid", "payment.failed", "payment.refund.updated")
    resends_for = 24 * 60 * 60
    parse_error_status = 200
    signature_header = "Paymongo-Signature"
    signature_template = "t={timestamp},te=,li={signature}"
    content = "{timestamp}.{body}"
    amount_unit = "minor"
    ignored_fields = ("data.attributes.updated_at", "data.attributes.pending_webhooks")
    object_path = RESOURCE
    fields = {
        "provider_event_id": "data.id",
        "type": "data.attributes.type",
        "occurred_at": "data.attributes.created_at",
        "order_id": (".attributes.metadata.order_id", ".attributes.reference_number"),
        "payment_id": (".attributes.payment_id", ".attributes.payments.0.id", ".id"),
        "refund_id": {"refund.*|*.refund.*": ".id"},
        "amount": (".attributes.amount", ".attributes.payments.0.attributes.amount"),
        "currency": (".attributes.currency", ".attributes.payments.0.attributes.currency"),
    }
    types = {
        "payment.paid .attributes.status=paid|": "charge.succeeded",
        "checkout_session.payment.paid": "charge.succeeded",
        "payment.failed": "charge.failed",
        "payment.refund.updated|refund.succeeded .attributes.status=succeeded": "refund.created",
        "payment.refund.updated .attributes.status=pending|processing": "refund.pending",
        "payment.refund.updated|refund.failed .attributes.status=failed": "refund.failed",
    }
