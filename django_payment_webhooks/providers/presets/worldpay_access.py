"""Worldpay, by the API Access.

Signature: https://developer.worldpay.com/products/access/events: hex over the body, after the name
of the key and of the digest; the secret is in hex. Seen in juspay/hyperswitch 0645f4a,
``crates/hyperswitch_connectors/src/connectors/worldpay.rs``, too. Events:
https://docs.worldpay.com/access/products/events/openapi. Their networks:
https://developer.worldpay.com/products/events, read in November 2026. Resent for up to a week; an
event that is not accepted holds up those that follow.

Your ``transactionReference`` is all that the events of a payment have in common: it is the order
and the payment. A payment counts when its settlement is asked for, as ``settled`` and ``refunded``
do not come for every method; a refund that you asked for is pending, and if nothing more comes for
yours, map ``sentForRefund`` to ``refund.created``. Times have no zone, and are taken for UTC.
"""

from .. import Provider

ADDRESSES = """
    34.246.73.11 52.215.22.123 52.31.61.0 18.130.125.132 35.176.91.145 52.56.235.128 18.185.7.67
    18.185.134.117 18.185.158.215 52.48.6.187 34.243.65.63 3.255.13.18 3.251.36.74 63.32.208.6
    52.19.45.138 3.11.50.124 3.11.213.43 3.14.190.43 3.121.172.32 3.125.11.252 3.126.98.120
    3.139.153.185 3.139.255.63 13.200.51.10 13.200.56.25 13.232.151.127 34.236.63.10
    34.253.172.98 35.170.209.108 35.177.246.6 52.4.68.25 52.51.12.88 108.129.30.203
"""
REFUSED = "refused|error|expired|cancelled|settlementFailed"


class Preset(Provider):
    """Worldpay signs the body, and says by which key."""

    docs = "https://docs.worldpay.com/access/products/events"
    events = ("sentForSettlement", "refused", "refunded", "refundFailed", "chargedBack")
    resends_for = 7 * 24 * 60 * 60
    addresses = ADDRESSES.split()
    key_encoding = "hex"
    signature_header = "Event-Signature"
    signature_pattern = r"(?:^|[,\s])[^/,\s]+/(?i:sha-?256)/([0-9A-Fa-f]{64})(?=$|[,\s])"
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
