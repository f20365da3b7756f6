"""Modern Treasury.

Signature: https://docs.moderntreasury.com/platform/reference/webhooks and
Modern-Treasury/modern-treasury-python aaddd3d, ``tests/api_resources/test_webhooks.py``: hex over
the body. Events: https://docs.moderntreasury.com/platform/reference/payment-orders.

The id of a webhook and its topic are in headers that are not signed. So an event is its object,
what happened to it, and the object's last change, and the topic is that of the object. A payment
order takes money if its direction is ``debit``; one that pays out keeps its name. Put ``order_id``
into its metadata. That a bank returns a debit later undoes the charge.
"""

from .. import Provider

DEBIT = "data.direction=debit"
ENDS = ("failed", "denied", "cancelled", "returned", "reversed")


class Preset(Provider):
    """Modern Treasury signs the body."""

    docs = "https://docs.moderntreasury.com/platform/reference/webhooks"
    events = ("payment_order",)
    signature_header = "X-Signature"
    amount_unit = "minor"
    object_path = "data"
    fields = {
        "provider_event_id": "{.object}:{.id}:{event}:{.updated_at?}",
        "type": "{.object}.{event}",
        "occurred_at": (".updated_at", ".created_at"),
        "order_id": ".metadata.order_id",
        "payment_id": ".id",
        "amount": ".amount",
        "currency": ".currency",
    }
    types = {
        f"payment_order.completed {DEBIT}": "charge.succeeded",
        "|".join(f"payment_order.{end}" for end in ENDS) + f" {DEBIT}": "charge.failed",
    }
