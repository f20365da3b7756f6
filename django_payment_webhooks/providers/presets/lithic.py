"""Lithic.

Signature: https://docs.lithic.com/docs/events-api#verifying-webhooks: Standard Webhooks as they
are. Events and their objects: https://docs.lithic.com/docs/events-api and lithic-com/lithic-python
02f17d2, ``src/lithic/types/payment.py`` and ``financial_transaction.py``.

Lithic issues cards; what a shop is paid is an ACH debit, which is a payment there. Give your
order's number as its ``user_defined_id``. Money that a holder of your cards disputes is not yours:
these events keep their names.
"""

from .standard_webhooks import Preset as StandardWebhooks

DEBIT = "payment_transaction.* direction=DEBIT status"


class Preset(StandardWebhooks):
    """Standard Webhooks; the object is the body, with the type in it."""

    docs = "https://docs.lithic.com/docs/events-api"
    events = ("payment_transaction.created", "payment_transaction.updated")
    amount_unit = "minor"
    fields = {
        "provider_event_id": "header:webhook-id",
        "type": ("event_type", "type"),
        "occurred_at": ("updated", "created"),
        "order_id": "user_defined_id",
        "payment_id": "token",
        "amount": ("settled_amount", "amount"),
        "currency": "currency",
    }
    types = {
        f"{DEBIT}=SETTLED": "charge.succeeded",
        f"{DEBIT}=DECLINED|RETURNED": "charge.failed",
    }
