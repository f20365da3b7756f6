"""Polar.

Signature: https://polar.sh/docs/integrate/webhooks/delivery and polarsource/polar-python 4adc73b,
``src/polar_sdk/webhooks.py``: Standard Webhooks, but the secret is used as it is shown. Events:
https://polar.sh/docs/api-reference/webhooks/order.paid and their models in the same SDK. Sent again
ten times; the endpoint is switched off after ten failures in a row.

An order of Polar is the payment here. Put ``order_id`` into the metadata of the checkout, which
become those of the order. The amount of a refund is without its tax, which is in ``tax_amount``.
``order.refunded`` repeats what ``refund.updated`` says, and is not mapped.
"""

from .standard_webhooks import Preset as StandardWebhooks

REFUND = "refund.created|refund.updated .status"


class Preset(StandardWebhooks):
    """Standard Webhooks with a secret that is text."""

    docs = "https://polar.sh/docs/integrate/webhooks/endpoints"
    events = ("order.paid", "refund.created", "refund.updated")
    addresses = (
        "3.134.238.10",
        "3.129.111.220",
        "52.15.118.168",
        "74.220.50.0/24",
        "74.220.58.0/24",
    )
    key_encoding = "text"
    amount_unit = "minor"
    fields = {
        **StandardWebhooks.fields,
        "order_id": ".metadata.order_id",
        "payment_id": {"refund.*": ".order_id", "*": ".id"},
        "refund_id": {"refund.*": ".id"},
        "dispute_id": {"refund.*": ".dispute.id"},
        "amount": {"refund.*": ".amount", "*": ".total_amount"},
    }
    types = {
        "order.paid": "charge.succeeded",
        f"{REFUND}=succeeded": "refund.created",
        f"{REFUND}=pending": "refund.pending",
        f"{REFUND}=failed|canceled": "refund.failed",
    }
