"""Mollie: the webhooks of the older kind, which prove nothing and say only an id.

https://docs.mollie.com/reference/webhooks: "look at the payment of this id". Resent about ten times
within 26 hours. ``CONFIRM`` names your function, which fetches the payment of ``event.payment_id``
(https://docs.mollie.com/reference/get-payment) and returns it as Mollie writes it: what it says is
the event. Every delivery is an event of its own, because the next one, with the same id, can say
something else by then; an order is still paid once.

A refund or a chargeback calls the address, too, with the payment, which is ``paid`` as before: that
event ends as a duplicate. To see them, use the webhooks of the preset ``mollie``.
"""

from .. import Provider


class Preset(Provider):
    """Mollie posts a form with an id. All else is in the payment that is fetched."""

    docs = "https://docs.mollie.com/reference/webhooks"
    events = ("webhookUrl of each payment",)
    resends_for = 26 * 60 * 60
    dashboard = "https://my.mollie.com/dashboard/payments/{payment_id}"
    has_secrets = False
    needs_confirmation = True
    proof = "none"
    body_format = "form"
    test_mode = "mode=test"
    fields = {
        "provider_event_id": "{id}:{delivery:}",
        "type": ("status", "=payment.changed"),
        "occurred_at": ("paidAt", "createdAt"),
        "order_id": "metadata.order_id",
        "payment_id": "id",
        "amount": "amount.value",
        "currency": "amount.currency",
    }
    types = {
        "paid": "charge.succeeded",
        "failed|expired|canceled": "charge.failed",
    }
