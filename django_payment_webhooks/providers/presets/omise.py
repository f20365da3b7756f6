"""Omise, now Opn Payments.

https://docs.omise.co/api-webhooks: an HMAC of the time and the body; the secret is in base64, and
while it is being changed there are two signatures. Events and their objects:
https://docs.omise.co/events-api.

A charge is paid if its status is ``successful``, whichever event says so: a card without a bank's
page is in ``charge.create`` already. Put ``order_id`` into the metadata of the charge; refunds and
disputes name the charge.
"""

from .. import Provider


class Preset(Provider):
    """Omise signs the time and the body."""

    docs = "https://docs.omise.co/api-webhooks"
    events = ("charge.complete", "refund.create", "dispute.create", "dispute.close")
    key_encoding = "base64"
    signature_header = "Omise-Signature"
    content = "{timestamp}.{body}"
    timestamp_header = "Omise-Signature-Timestamp"
    signature_pattern = r"(?:^|[,\s])([0-9A-Fa-f]{64})(?=$|[,\s])"
    amount_unit = "minor"
    test_mode = "livemode=false"
    object_path = "data"
    fields = {
        "provider_event_id": "id",
        "type": "key",
        "occurred_at": ("created_at", "created"),
        "order_id": ".metadata.order_id",
        "payment_id": {"refund.*|dispute.*": ".charge", "*": ".id"},
        "refund_id": {"refund.*": ".id"},
        "dispute_id": {"dispute.*": ".id"},
        "amount": ".amount",
        "currency": ".currency",
    }
    types = {
        "charge.complete|charge.create|charge.capture .status=successful": "charge.succeeded",
        "charge.complete|charge.create|charge.expire .status=failed|expired": "charge.failed",
        "refund.create .status=closed|": "refund.created",
        "refund.create .status=pending": "refund.pending",
        "dispute.create": "dispute.opened",
        "dispute.close .status=won": "dispute.won",
        "dispute.close .status=lost": "dispute.lost",
    }
