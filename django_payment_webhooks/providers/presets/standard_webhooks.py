"""Standard Webhooks: what many providers have agreed on.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md (b2fa7b8):
the id and the time are in headers and signed with the body; a secret is base64 after ``whsec_``.
The specification says nothing of payments: types and fields are usual ones, and yours to override.
"""

from .. import Provider


class Preset(Provider):
    """Id, time and signature are in headers of their own."""

    title = "Standard Webhooks"
    docs = "https://www.standardwebhooks.com"
    key_encoding = "whsec"
    signature_header = "webhook-signature"
    signature_pattern = r"(?:^|\s)v1,(\S+)"
    signature_template = "v1,{signature}"
    signature_encoding = "base64"
    content = "{header:webhook-id}.{timestamp}.{body}"
    timestamp_header = "webhook-timestamp"
    timestamp_pattern = r"\A([0-9]+)\Z"
    time_format = "iso"
    fields = {
        "provider_event_id": "header:webhook-id",
        "type": "type",
        "occurred_at": "timestamp",
        "order_id": ("data.metadata.order_id", "data.order_id"),
        "payment_id": {
            "refund.*|dispute.*": "data.payment_id",
            "*": ("data.payment_id", "data.id"),
        },
        "refund_id": {"refund.*": ("data.refund_id", "data.id")},
        "dispute_id": {"dispute.*": ("data.dispute_id", "data.id")},
        "amount": "data.amount",
        "currency": "data.currency",
    }
