"""What is fuzzed: functions of bytes that return whatever they are given, and raise if a promise is
broken.

Each has seeds, from which a fuzzer starts. It puts in words, too, which it would not find by
itself.
"""

import io
import json

from django.test import RequestFactory

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.payloads import ParseError
from django_payment_webhooks.views import receive_webhook

from ..factories import SECRET, PayloadFactory, sign

BODY = json.dumps(PayloadFactory(event_id="evt_1", data__order_id="A1")).encode()
MAC = sign(BODY).encode()


def check_refusal(error, status):
    """Check that what is refused is refused with this status and one short sentence."""
    assert error.status == status
    assert str(error).endswith(".") and len(str(error)) < 500


def parser(data):
    """Parse a body that was signed: it gives events that every database can store, or one that has
    failed and is answered with a sentence.
    """
    provider = get_provider("default")
    events = provider.parse({}, data)
    for event in events:
        for name in ("provider_event_id", "type", "order_id"):
            check_text(getattr(event, name), 255)
        check_text(event.fingerprint, 32)
        check_text(event.error, 500)
        assert event.provider_event_id.strip()
        assert 1 < event.occurred_at.year < 9999
    if not events[0].type:
        check_unparsed(provider, events, data)
        return
    for event in events:
        assert event.type.strip() and event.status == Event.RECEIVED and event.fingerprint
        payload = provider.payload(bytes(event.body))
        provider.read(payload)
        json.dumps(payload, default=str)


def check_text(text, longest):
    """Check that a text can be stored."""
    text.encode("utf-8")
    assert len(text) <= longest and "\0" not in text


def check_unparsed(provider, events, data):
    """Check that a body that makes no sense is one event, which is kept and refused."""
    (event,) = events
    assert (event.status, bytes(event.body)) == (Event.FAILED, data)
    assert event.finished_at and event.error
    try:
        provider.answer(events)
    except ParseError as error:
        check_refusal(error, 400)
    else:
        raise AssertionError("It was answered as if it made sense.")


TIMED = {"timestamp_pattern": r"(?:\A|,)t=([^,]*)", "content": "{timestamp}.{x-id}.{body}"}
SCHEMES = [
    Provider("default", SECRETS=[SECRET]),
    Provider(
        "timed",
        SECRETS=[SECRET],
        SIGNATURE_PATTERN=r"(?:\A|,)v1=([0-9a-f]{64})(?=,|\Z)",
        TOLERANCE=1e12,
    ),
    Provider(
        "base64",
        SECRETS=[SECRET],
        SIGNATURE_ENCODING="base64",
        SIGNATURE_PATTERN=r"(?:\A| )v1,(\S+)",
    ),
    Provider("permissive", SECRETS=[SECRET], SIGNATURE_PATTERN=r"(.+)", DIGEST="sha512"),
]
vars(SCHEMES[1]).update(TIMED)


def signature(data):
    """Verify any headers and any body under each scheme: what has no signature by the key is
    refused with 401.
    """
    header, other, body = (data.split(b"\n", 2) + [b"", b""])[:3]
    meta = {
        "HTTP_X_SIGNATURE": header.decode("latin-1"),
        "HTTP_X_ID": other.decode("utf-8", "surrogateescape"),
    }
    for scheme in SCHEMES:
        try:
            scheme.verify(meta, body)
        except WebhookRefused as error:
            check_refusal(error, 401)
        else:
            key = scheme.keys()[0]
            genuine = scheme.sign(key, meta, body, scheme.read_timestamp(meta) or "")
            assert genuine.lower() in meta["HTTP_X_SIGNATURE"].lower()


HEADERS = [
    "HTTP_X_SIGNATURE",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "HTTP_CONTENT_ENCODING",
    "HTTP_TRANSFER_ENCODING",
]


def view(data):
    """Send a request that nobody signed: it gets one of the answers that are promised, and one
    sentence.
    """
    head, _, body = data.partition(b"\n\n")
    # No server passes a NUL on in a header (RFC 9110, 5.5), and Django itself does not expect one.
    lines = [line.decode("latin-1") for line in head.replace(b"\0", b"").split(b"\n")]
    meta = {name: line for name, line in zip(HEADERS, lines) if line}
    if meta.get("HTTP_X_SIGNATURE", "").encode("latin-1").lower() == sign(body).encode():
        return
    meta.update({"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True})
    answer = receive_webhook(RequestFactory().generic("POST", "/v1/webhooks/payment", b"", **meta))
    assert answer.status_code in (400, 401, 413, 415), answer
    assert list(json.loads(answer.content.decode())) == ["error"]


SEEDS = {
    parser: [
        BODY,
        b'{"event_id": 1, "type": "t", "created_at": 1e3, "data": {"order_id": "\\ud800"}}',
        b"[" * 40,
    ],
    signature: [
        MAC + b"\n\n" + BODY,
        b"t=1,v1=" + MAC + b"\nid\n" + BODY,
        b"v1," + MAC + b" v1,x\n\n" + BODY,
    ],
    view: [
        MAC + b"\n10\napplication/json\ngzip\nchunked\n\n" + BODY,
        b"0\n-1\ntext/x; charset=\xff\n\n" + BODY,
    ],
}

WORDS = [
    b'"event_id":',
    b'"type":',
    b'"created_at":',
    b'"data":',
    b'"order_id":',
    b"NaN",
    b"-Infinity",
    b"null",
    b"{}",
]
WORDS += [
    b"\\u0000",
    b"\\ud800",
    b"\\udfff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"1e309",
    b"1e-9999999",
    b"0" * 300,
    b"[" * 32,
]
WORDS += [
    b"9" * 4301,
    b"-62135596801",
    b"0001-01-01T00:00:00",
    b"9999-12-31T23:59:59-12:00",
    b"+99:99",
    b"t=",
    b"v1=",
    b"v1,",
]
WORDS += [
    b"gzip",
    b"identity",
    b"chunked",
    b"multipart/form-data; boundary=",
    b"application/x-www-form-urlencoded",
    b"charset=",
]
