"""Orb.

Signature: https://docs.withorb.com/guides/integrations-and-exports/webhooks and orbcorp/orb-python
a9e3592, ``tests/api_resources/test_webhooks.py``: hex over the version, the time, which has no zone
and is in UTC, and the body; several are distinguished by spaces. Events are on the same page.
Amounts are in major units.

An invoice is the payment here. Put ``order_id`` into its metadata, or else its number is the order.
"""

from .. import Provider


class Preset(Provider):
    """Orb signs the time and the body."""

    docs = "https://docs.withorb.com/guides/integrations-and-exports/webhooks"
    events = ("invoice.payment_succeeded", "invoice.payment_failed")
    signature_header = "X-Orb-Signature"
    signature_template = "v1={signature}"
    content = "v1:{timestamp}:{body}"
    timestamp_header = "X-Orb-Timestamp"
    timestamp_unit = "iso"
    object_path = "invoice"
    fields = {
        "provider_event_id": "id",
        "type": "type",
        "occurred_at": "created_at",
        "order_id": (".metadata.order_id", ".invoice_number"),
        "payment_id": ".id",
        "amount": (".total", ".amount_due"),
        "currency": ".currency",
    }
    types = {
        "invoice.payment_succeeded": "charge.succeeded",
        "invoice.payment_failed": "charge.failed",
    }
