"""YooKassa.

https://yookassa.ru/developers/using-api/webhooks: nothing is signed. A webhook is genuine if it
came from one of their networks, or if the object says the same when it is fetched: ``CONFIRM``
names your function, which fetches the payment or refund of ``event.payload["object"]["id"]`` and
returns ``{"event": ..., "object": ...}`` as the webhook has them. Networks: the same page, and the
SDK for Python, ``yookassa/domain/common/security_helper.py``; they are checked once
``TRUSTED_PROXIES`` is set. Resent for 24 hours.

There is no id of an event: the same payment is in ``payment.waiting_for_capture`` and in
``payment.succeeded``. Put ``order_id`` into the payment's metadata.
"""

from .. import Provider

NETWORKS = ("185.71.76.0/27", "185.71.77.0/27", "77.75.153.0/25", "77.75.154.128/25")


class Preset(Provider):
    """YooKassa proves nothing. Its object is a payment or a refund."""

    docs = "https://yookassa.ru/developers/using-api/webhooks"
    events = ("payment.succeeded", "payment.canceled", "refund.succeeded")
    resends_for = 24 * 60 * 60
    addresses = (*NETWORKS, "77.75.156.11", "77.75.156.35", "2a02:5180::/32")
    has_secrets = False
    needs_confirmation = True
    proof = "none"
    test_mode = "object.test=true"
    fields = {
        "provider_event_id": "{event}:{object.id}",
        "type": "event",
        "occurred_at": ("object.captured_at", "object.created_at"),
        "order_id": "object.metadata.order_id",
        "payment_id": {"refund.*": "object.payment_id", "*": "object.id"},
        "refund_id": {"refund.*": "object.id"},
        "amount": "object.amount.value",
        "currency": "object.amount.currency",
    }
    types = {
        "payment.succeeded object.status=succeeded": "charge.succeeded",
        "payment.canceled": "charge.failed",
        "refund.succeeded object.status=succeeded": "refund.created",
    }
