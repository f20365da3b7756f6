"""FastSpring.

https://developer.fastspring.com/docs/message-security: an HMAC of the body, which is a list of
events, with the secret of the webhook. Events: https://developer.fastspring.com/docs/ordercompleted
and https://developer.fastspring.com/docs/returncreated. An automatic repetition keeps the id; a
manual one has another, and its order is still paid once.

Orders of the test mode come to the same address, and are not ``live``. Give your order's
number as the tag ``order_id``; without it the order is FastSpring's own reference. A return names
the order that it is of, and its sum; amounts are in major units, times in milliseconds.
"""

from .. import Provider


class Preset(Provider):
    """FastSpring signs a list of events."""

    docs = "https://developer.fastspring.com/docs/webhooks-overview"
    events = ("order.completed", "order.failed", "return.created")
    signature_header = "X-FS-Signature"
    signature_encoding = "base64"
    events_path = "events.*"
    time_format = "ms"
    ignored_fields = ("processed",)
    test_mode = "live=false"
    object_path = "data"
    fields = {
        "provider_event_id": "id",
        "type": "type",
        "occurred_at": "created",
        "order_id": {
            "refund.*": (".original.tags.order_id", ".original.reference"),
            "*": (".tags.order_id", ".reference"),
        },
        "payment_id": {"refund.*": (".original.order", ".original.id"), "*": (".order", ".id")},
        "refund_id": {"refund.*": (".return", ".id")},
        "amount": {"refund.*": ".totalReturn", "*": ".total"},
        "currency": ".currency",
    }
    types = {
        "order.completed .completed=true|": "charge.succeeded",
        "order.failed": "charge.failed",
        "return.created": "refund.created",
    }
