"""Coinbase Commerce.

Signature: https://docs.cdp.coinbase.com/commerce/api-architecture/webhooks-security and
coinbase/coinbase-commerce-python 91af61a, ``tests/test_webhook.py``: hex over the body. Fields:
https://docs.cdp.coinbase.com/commerce/api-arcitecture/webhooks-fields. Resent for three days.

The id at the top is that of a delivery, and the attempts are counted beside it; the event is
inside. Put ``order_id`` into the metadata of the charge. What an event says is the price of the
charge in your currency; a charge without a price has none. Nothing can be refunded or disputed:
``charge:resolved`` is a decision of yours about too much or too little, and is not mapped.
"""

from .. import Provider


class Preset(Provider):
    """Coinbase Commerce signs the body, which is a delivery of an event."""

    docs = "https://docs.cdp.coinbase.com/commerce/introduction/payment-status"
    events = ("charge:confirmed", "charge:failed")
    resends_for = 3 * 24 * 60 * 60
    signature_header = "X-CC-Webhook-Signature"
    ignored_fields = ("id", "attempt_number", "scheduled_for")
    object_path = "event.data"
    fields = {
        "provider_event_id": "event.id",
        "type": "event.type",
        "occurred_at": "event.created_at",
        "order_id": ".metadata.order_id",
        "payment_id": (".id", ".code"),
        "amount": ".pricing.local.amount",
        "currency": ".pricing.local.currency",
    }
    types = {"charge:confirmed": "charge.succeeded", "charge:failed": "charge.failed"}
