"""Flutterwave, the third version of its API.

https://developer.flutterwave.com/v3.0/docs/webhooks: the header has the "secret hash" that you
choose in the dashboard. It proves who sends, and nothing about the body, so choose a long one, and
keep it out of logs. They advise to ask for the transaction before you give value: ``CONFIRM`` can
name your function, which calls https://developer.flutterwave.com/v3.0/reference/verify-transaction
and returns ``{"event": ..., "data": ...}`` as the webhook has them. Resent three times, if that is
enabled.

There is no id of an event: it is its name, its transaction and the status. ``charge.completed``
says that a charge has ended, not how. Your order's number is ``tx_ref``. A refund says no currency:
if all your charges have the same, name it in ``FIELDS``, such as
``{"currency": [".currency", "=NGN"]}``. Its status can be followed by how it was paid, as
``completed-momo``; some say that plain ``completed`` may still have to be paid out.
"""

from .. import Provider

CHARGE = "charge.completed data.status"
PAYMENTS = (".transaction_id", ".charge_id", ".tx_id", ".TransactionId")


class Preset(Provider):
    """Flutterwave sends a token."""

    docs = "https://developer.flutterwave.com/v3.0/docs/webhooks"
    events = ("charge.completed", "refund.completed", "chargeback.created")
    proof = "token"
    signature_header = "verif-hash"
    signature_encoding = "text"
    object_path = "data"
    fields = {
        "provider_event_id": "{event?}{type?}:{.id}:{.status?}",
        "type": ("event", "type"),
        "occurred_at": (".created_at", ".created_datetime", ".createdAt"),
        "order_id": (".tx_ref", ".meta.order_id", ".reference"),
        "payment_id": {"charge.*": ".id", "*": PAYMENTS},
        "refund_id": {"refund.*": ".id"},
        "dispute_id": {"dispute.*": ".id"},
        "amount": {"refund.*": (".amount_refunded", ".AmountRefunded", ".amount"), "*": ".amount"},
        "currency": ".currency",
    }
    types = {
        f"{CHARGE}=successful|succeeded": "charge.succeeded",
        f"{CHARGE}=failed": "charge.failed",
        "refund.completed data.status=completed|completed-*|successful|succeeded": "refund.created",
        "refund.completed data.status=failed": "refund.failed",
        "chargeback.created": "dispute.opened",
    }
