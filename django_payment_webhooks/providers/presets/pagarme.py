"""Pagar.me, version 4 of its API.

https://docs.pagar.me/v4/docs/gerenciando-postbacks and pagarme/pagarme-python df95f0e,
``tests/postback_test.py``: an HMAC-SHA1 of the form, with the API's key. Resent for 25 hours, and
manually at any time. Version 5 signs nothing: it has the Basic authentication of the webhook, as
Chargebee has.

A postback has no id: it is its object and the change of its state. Only ``current_status`` counts;
``desired_status`` is a wish. Amounts are in centavos of BRL, and of a refund the whole of what has
been refunded so far. The order is ``order_id`` in the metadata, or the ``reference_key``.
"""

from .. import Provider


class Preset(Provider):
    """Pagar.me sends a form whose names have brackets."""

    docs = "https://docs.pagar.me/v4/docs/gerenciando-postbacks"
    events = ("postback_url of each transaction",)
    signature_header = "X-Hub-Signature"
    signature_template = "sha1={signature}"
    digest = "sha1"
    body_format = "nested"
    amount_unit = "minor"
    fields = {
        "provider_event_id": "{id}:{event}:{old_status?}:{current_status}",
        "type": "{object}.{current_status}",
        "occurred_at": ("transaction.date_updated", "subscription.date_updated"),
        "order_id": ("transaction.metadata.order_id", "transaction.reference_key"),
        "payment_id": ("transaction.id", "id"),
        "refund_id": {"refund.*": "{id}:{transaction.refunded_amount?}"},
        "dispute_id": {"dispute.*": "id"},
        "amount": {
            "charge.succeeded": "transaction.paid_amount",
            "refund.created": "transaction.refunded_amount",
            "*": "transaction.amount",
        },
        "currency": "=BRL",
    }
    types = {
        "transaction.paid": "charge.succeeded",
        "transaction.refused": "charge.failed",
        "transaction.refunded": "refund.created",
        "transaction.pending_refund": "refund.pending",
        "transaction.chargedback": "dispute.opened",
    }
