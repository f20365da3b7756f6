"""A form can be an envelope: one field is the document, another its signature."""

import base64
import hashlib
import hmac
from urllib.parse import urlencode

import pytest

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers.envelopes import FormEnvelope

KEY = "a-secret-of-the-posting-partner!"
EVENT = b'{"event_id": "evt_1", "type": "charge.succeeded", "data": {"order_id": "A1"}}'


def make(**options):
    return FormEnvelope("posting", SECRETS=[KEY], **options)


def write(payload, signature=None):
    """Return a form as a provider posts it, written without the code that is tested."""
    mac = hmac.new(KEY.encode(), payload.rstrip().encode(), hashlib.sha256).hexdigest()
    return urlencode({"sign": signature or mac, "payload": payload}).encode()


@pytest.fixture
def provider():
    return make(SIGNATURE_FIELD="sign", CONTENT="{form:payload}")


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
def test_what_is_in_the_form_is_signed_and_is_the_event(provider, encode):
    body = write(encode(EVENT).decode())
    assert provider.verify({}, body)
    (event,) = provider.parse({"REQUEST_METHOD": "POST"}, body)
    assert (event.provider_event_id, event.order_id) == ("evt_1", "A1")
    assert bytes(event.body) == body


def test_another_document_with_the_same_signature_is_refused(provider):
    genuine = write(base64.b64encode(EVENT).decode())
    signature = genuine.partition(b"sign=")[2].partition(b"&")[0].decode()
    forged = base64.b64encode(EVENT.replace(b"A1", b"B1")).decode()
    with pytest.raises(WebhookRefused) as raised:
        provider.verify({}, write(forged, signature))
    assert raised.value.reason == "mismatch"


@pytest.mark.parametrize("body", [b"", b"{}", b"payload=1", b"sign=1&sign=2", b"\xff", b"sign="])
def test_what_is_no_such_form_is_refused(provider, body):
    with pytest.raises(WebhookRefused) as raised:
        provider.verify({}, body)
    assert raised.value.status == 401


@pytest.mark.parametrize("payload", ["*", "", base64.b64encode(b"no json").decode()])
def test_a_document_that_can_not_be_read_is_kept_as_failed(db, provider, payload):
    (event,) = provider.parse({"REQUEST_METHOD": "POST"}, write(payload))
    assert (event.status, event.type) == (Event.FAILED, "")


def test_a_document_is_written_as_it_is_read(provider):
    document = provider.decode(write(base64.b64encode(EVENT).decode()))
    assert provider.decode(provider.encode({**document, "sign": "1"})) == document
