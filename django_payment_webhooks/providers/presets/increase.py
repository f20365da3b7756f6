"""Increase.

Signature: https://increase.com/documentation/webhooks and Increase/increase-python b78b8a6,
``tests/api_resources/test_events.py``: Standard Webhooks as they are. Events:
https://increase.com/documentation/events.

Increase is a bank: none of its events is a shop's charge, and types keep its names. An event says
only which object changed: fetch that in ``prepare``, or name a ``CONFIRM`` that adds what it
fetched as ``object``, with your ``order_id``; then its amount is read, in cents.
"""

from .standard_webhooks import Preset as StandardWebhooks


class Preset(StandardWebhooks):
    """Standard Webhooks, with an id in the body."""

    docs = "https://increase.com/documentation/webhooks"
    events = ("the categories that you handle",)
    amount_unit = "minor"
    object_path = "object"
    fields = {
        "provider_event_id": "id",
        "type": "category",
        "occurred_at": "created_at",
        "order_id": ".order_id",
        "payment_id": "associated_object_id",
        "amount": ".amount",
        "currency": ".currency",
    }
