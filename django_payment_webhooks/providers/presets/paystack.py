"""Paystack.

Signature: https://paystack.com/docs/payments/webhooks/: SHA-512 in hex over the body; the secret is
the secret key of the API. The same page has the events, the addresses, and how often they are sent:
every three minutes at first, then each hour for 72 hours. Objects: PaystackOSS/doc-code-snippets
94af513. Every currency is counted in hundredths, also the francs, which have none.

There is no id of an event: it is its name, its object, and what it says of that. So two refunds of
one amount and one payment can't be distinguished while they have no reference. A refund's event has
no time. A payment is known by its reference, as that is all that a refund names; the order is
``order_id`` of the metadata, or else the reference. A dispute's resolution says how it ended:
``declined`` if you won.
"""

from .. import Provider

RESOLVE = "charge.dispute.resolve .resolution"
STATE = "{.refund_reference?}:{.amount?}:{.status?}:{.updated_at?}"


class Preset(Provider):
    """Paystack signs the body with the secret key."""

    docs = "https://paystack.com/docs/payments/webhooks/"
    events = ("all of them are sent",)
    resends_for = 73 * 60 * 60
    addresses = ("52.31.139.75", "52.49.173.169", "52.214.14.220")
    signature_header = "x-paystack-signature"
    digest = "sha512"
    amount_unit = "minor"
    exponents = {"XOF": 2, "RWF": 2}
    test_mode = ".domain=test"
    object_path = "data"
    fields = {
        "provider_event_id": "{event}:{.id?}:{.reference?}{.transaction_reference?}:" + STATE,
        "type": "event",
        "occurred_at": (".updated_at", ".paid_at", ".created_at"),
        "order_id": (".metadata.order_id", ".reference"),
        "payment_id": (".transaction.reference", ".transaction_reference", ".reference"),
        "refund_id": {"refund.*": (".refund_reference", ".id")},
        "dispute_id": {"*dispute.*": ".id"},
        "amount": {"*dispute.*": ".refund_amount", "*": ".amount"},
        "currency": ".currency",
    }
    types = {
        "charge.success .status=success": "charge.succeeded",
        "refund.processed": "refund.created",
        "refund.pending|refund.processing": "refund.pending",
        "refund.failed": "refund.failed",
        "charge.dispute.create": "dispute.opened",
        f"{RESOLVE}=declined": "dispute.won",
        f"{RESOLVE}=merchant-accepted|auto-accepted": "dispute.lost",
    }
