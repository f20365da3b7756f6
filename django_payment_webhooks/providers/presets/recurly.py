"""Recurly: the webhooks in JSON.

https://docs.recurly.com/recurly-subscriptions/docs/webhooks: ``recurly-signature`` has the time in
milliseconds, and after it one or several HMACs of the time and the body. Webhooks in XML are not
signed. Events: ``charge-invoice-notifications`` and ``payment-notifications`` beside that page. Ten
more attempts within seven days.

A webhook says an id and what became of it, and neither sum nor order. So ``CONFIRM`` names your
function, which fetches the invoice or the transaction of ``event.payload["id"]`` and returns
``{**event.payload, "object": fetched}``. Your order's number is the ``po_number`` of the invoice,
or else the invoice's own. ``recurly-notification-id`` is not signed: an event is its object, what
became of it, and when.
"""

from .. import Provider


class Preset(Provider):
    """Recurly signs the time and the body, which says little."""

    docs = "https://docs.recurly.com/recurly-subscriptions/docs/webhooks"
    events = ("charge_invoice.paid", "charge_invoice.failed", "refund.success")
    resends_for = 7 * 24 * 60 * 60
    needs_confirmation = True
    signature_header = "recurly-signature"
    signature_template = "{timestamp},{signature}"
    timestamp_pattern = r"^\s*([0-9]+),"
    timestamp_unit = "ms"
    content = "{timestamp}.{body}"
    object_path = "object"
    fields = {
        "provider_event_id": "{object_type}.{event_type}:{id}:{event_time}",
        "type": "{object_type}.{event_type}",
        "occurred_at": "event_time",
        "order_id": (".po_number", ".invoice.number", ".number"),
        "payment_id": (".original_transaction_id", ".transactions.0.id", "id"),
        "refund_id": {"refund.*": "id"},
        "amount": (".total", ".amount"),
        "currency": ".currency",
    }
    types = {
        "charge_invoice.paid .state=paid|": "charge.succeeded",
        "payment.success .status=success|": "charge.succeeded",
        "charge_invoice.failed|payment.failed": "charge.failed",
        "refund.success": "refund.created",
    }
