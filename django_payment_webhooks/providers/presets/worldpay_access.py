"""Worldpay, by the API Access.

Signature: https://developer.worldpay.com/products/access/events: hex over the body, after the name
of the key and of the digest; the secret is in hex. Seen in juspay/hyperswitch 0645f4a,
``crates/hyperswitch_connectors/src/connectors/worldpay.rs``, too. Events:
https://docs.worldpay.com/access/products/events/openapi. Their networks are on the same pages. Sent
again for up to a week; what is not taken holds up what follows.

Your ``transactionReference`` is all that the events of a payment have in common: it is the order
and the payment. A payment counts when its settlement is asked for, as ``settled`` and ``refunded``
do not come for every method; a refund that you asked for is pending, and if nothing more comes for
yours, map ``sentForRefund`` to ``refund.created``. Times have no zone, and are taken for UTC.
"""

from .. import Provider

REFUSED = "refused|error|expired|cancelled|settlementFailed"


class Preset(Provider):
    """Worldpay signs the body, and says by which key."""

    docs = "https://docs.worldpay.com/access/products/events"
    events = ("sentForSettlement", "refused", "refunded", "refundFailed", "chargedBack")
    resends_for = 7 * 24 * 60 * 60
    key_encoding = "hex"
    signature_header = "Event-Signature"
    signature_pattern = r"[^/,\s]+/(?i:sha-?256)/([0-9A-Fa-f]{64})(?=$|[,\s])"
    signature_template = "1/SHA256/{signature}"
    amount_unit = "minor"
    object_path = "eventDetails"
    fields = {
        "provider_event_id": "eventId",
        "type": ".type",
        "occurred_at": "eventTimestamp",
        "order_id": ".transactionReference",
        "payment_id": ".transactionReference",
        "refund_id": {"refund.*": (".reference", ".downstreamReference")},
        "dispute_id": {"dispute.*": (".downstreamReference", ".transactionReference")},
        "amount": ".amount.value",
        "currency": ".amount.currencyCode",
    }
    types = {
        "sentForSettlement|settled": "charge.succeeded",
        REFUSED: "charge.failed",
        "refunded": "refund.created",
        "sentForRefund": "refund.pending",
        "refundFailed": "refund.failed",
        "chargedBack": "dispute.opened",
    }
