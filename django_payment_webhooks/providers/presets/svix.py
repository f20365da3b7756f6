"""Svix, which sends the webhooks of many others.

Signature: https://docs.svix.com/receiving/verifying-payloads/how-manual: that of Standard Webhooks,
with headers of its own names. Resent for about 28 hours, and manually:
https://docs.svix.com/retries. What is in the body is up to the company that sends with Svix:
override the types and the fields.
"""

from .standard_webhooks import Preset as StandardWebhooks


class Preset(StandardWebhooks):
    """Standard Webhooks by the names that Svix gave their headers."""

    docs = "https://docs.svix.com/receiving/introduction"
    signature_header = "svix-signature"
    content = "{header:svix-id}.{timestamp}.{body}"
    timestamp_header = "svix-timestamp"
    fields = {
        **StandardWebhooks.fields,
        "provider_event_id": "header:svix-id",
        "type": ("type", "event_type", "eventType"),
    }
