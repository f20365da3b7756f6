"""What each provider sends, written without the code that is tested.

A new provider is one more :class:`Sample` in ``SAMPLES``.
"""

import base64
import hashlib
import hmac
import json

from django_payment_webhooks.providers import Provider

from ..factories import PayloadFactory, sign


class BatchProvider(Provider):
    """An invented provider who sends several events at once, and wants to read ``[accepted]``."""

    signature_header = "X-Batch-Signature"
    signature_encoding = "base64"
    signature_pattern = r"\A([\w+/]{43}=)\Z"
    events_path = "items.*.event"
    fields = {
        "provider_event_id": "reference",
        "type": "code",
        "occurred_at": "at",
        "order_id": "merchantReference",
        "charge_id": "payment",
        "amount": "amount.value",
        "currency": "amount.currency",
    }
    types = {"AUTHORISATION": "charge.succeeded", "REFUND": "refund.created"}
    answer_body = "[accepted]"
    parse_error_status = 200


class Sample:
    """How a provider sends an event, written without the code that is tested."""

    has_time = False
    is_json_answer = True

    def __init__(self, provider, **options):
        self.name = provider
        self.options = options

    def set_up(self, settings):
        """Have the provider in the settings, unless the shop's own have it."""
        if self.options:
            providers = {**settings.PAYMENT_WEBHOOKS_PROVIDERS, self.name: self.options}
            settings.PAYMENT_WEBHOOKS_PROVIDERS = providers

    def body(self, event_id, charge_id="ch_1"):
        """Return the body with one event: 10.00 EUR were paid for the order A1."""
        fields = {"order_id": "A1", "charge_id": charge_id, "amount": "10.00", "currency": "EUR"}
        payload = PayloadFactory(
            event_id=event_id, created_at="2026-11-23T12:00:00+02:00", data=fields
        )
        return json.dumps(payload).encode()

    def headers(self, event_id, body, now):
        """Return the headers that make it genuine."""
        return {"HTTP_X_SIGNATURE": sign(body)}


class TimedSample(Sample):
    """Signs ``timestamp.body``."""

    has_time = True

    def headers(self, event_id, body, now):
        """Return time and signature in one header."""
        mac = sign(b"%d.%s" % (now, body), "a-secret-of-the-timed-partner!!!")
        return {"HTTP_X_SIGNATURE": "t=%d,v1=%s" % (now, mac)}


class BatchSample(Sample):
    """Signs the body in base64; it is a list of events."""

    is_json_answer = False

    def item(self, event_id, charge_id="ch_1", code="AUTHORISATION"):
        """Return one item of the list."""
        event = {"reference": event_id, "code": code, "at": 1795428000, "merchantReference": "A1"}
        return {
            "event": dict(event, payment=charge_id, amount={"value": "10.00", "currency": "EUR"})
        }

    def body(self, event_id, charge_id="ch_1"):
        """Return a list of one event."""
        return json.dumps({"items": [self.item(event_id, charge_id)]}).encode()

    def headers(self, event_id, body, now):
        """Return the signature."""
        mac = hmac.new(b"batch-secret-of-24-bytes", body, hashlib.sha256)
        return {"HTTP_X_BATCH_SIGNATURE": base64.b64encode(mac.digest()).decode()}


class StandardSample(Sample):
    """Signs ``id.timestamp.body`` in base64 with a base64 key, the id being a header: as Standard
    Webhooks says.
    """

    has_time = True

    def body(self, event_id, charge_id="ch_1"):
        """Return the body, which has no id."""
        data = {"order_id": "A1", "charge_id": charge_id, "amount": "10.00", "currency": "EUR"}
        return json.dumps(
            {"type": "charge.succeeded", "timestamp": "2026-11-23T10:00:00Z", "data": data}
        ).encode()

    def headers(self, event_id, body, now):
        """Return id, time and two signatures, the second with the key."""
        mac = hmac.new(
            bytes(range(24)), b"%s.%d.%s" % (event_id.encode(), now, body), hashlib.sha256
        ).digest()
        signatures = "v1,%s v1,%s" % (
            base64.b64encode(b"0" * 32).decode(),
            base64.b64encode(mac).decode(),
        )
        return {
            "HTTP_WEBHOOK_ID": event_id,
            "HTTP_WEBHOOK_TIMESTAMP": str(now),
            "HTTP_WEBHOOK_SIGNATURE": signatures,
        }


SAMPLES = [
    Sample("default"),
    TimedSample("timed"),
    BatchSample("batch", BACKEND=__name__ + ".BatchProvider", SECRETS=["batch-secret-of-24-bytes"]),
    StandardSample(
        "standard",
        SECRETS=["whsec_" + base64.b64encode(bytes(range(24))).decode()],
        KEY_ENCODING="base64",
        KEY_PREFIX="whsec_",
        SIGNATURE_HEADER="webhook-signature",
        SIGNATURE_PATTERN=r"(?:\A| )v1,([\w+/]{43}=)(?= |\Z)",
        SIGNATURE_ENCODING="base64",
        SIGNATURE_TEMPLATE="v1,{signature}",
        CONTENT="{webhook-id}.{timestamp}.{body}",
        TIMESTAMP_HEADER="webhook-timestamp",
        TIMESTAMP_PATTERN=r"\A([0-9]+)\Z",
        FIELDS={"provider_event_id": "header:webhook-id", "occurred_at": "timestamp"},
    ),
]
