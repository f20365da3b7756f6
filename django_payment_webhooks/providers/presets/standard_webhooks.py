"""Standard Webhooks: what many providers have agreed on.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, b2fa7b8.
The id and the time are in headers, and signed with the body; a secret is base64 after ``whsec_``.
It says nothing about payments: the types and the fields are usual ones, for you to override.
"""

from .. import Provider


class Preset(Provider):
    """Id, time and signature are in headers of their own."""

    docs = "https://www.standardwebhooks.com"
    key_encoding = "whsec"
    signature_header = "webhook-signature"
    signature_pattern = r"(?:^|\s)v1,(\S+)"
    signature_template = "v1,{signature}"
    signature_encoding = "base64"
    content = "{header:webhook-id}.{timestamp}.{body}"
    timestamp_header = "webhook-timestamp"
    object_path = "data"
    fields = {
        "provider_event_id": "header:webhook-id",
        "type": "type",
        "occurred_at": "timestamp",
        "order_id": (".metadata.order_id", ".order_id"),
        "payment_id": {
            "refund.*|dispute.*": ".payment_id",
            "*": (".payment_id", ".id"),
        },
        "refund_id": {"refund.*": (".refund_id", ".id")},
        "dispute_id": {"dispute.*": (".dispute_id", ".id")},
        "amount": ".amount",
        "currency": ".currency",
    }
