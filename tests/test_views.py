"""Every input gets the answer that is promised, and leaves in the database and the queue what is
promised.
"""

import asyncio
import datetime
import hashlib
import hmac
import io
import json
import logging
import threading
import time

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.http import HttpResponse
from django.test import Client, override_settings
from django.utils import timezone

from django_payment_webhooks import signals, views
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import Answered, WebhookRefused
from django_payment_webhooks.models import Event, EventManager
from django_payment_webhooks.publisher import process

from .factories import SECRET, PayloadFactory, sign
from .providers.samples import BatchProvider, BatchSample

PATH = "/v1/webhooks/payment"
LIMIT = 1024 * 1024
BODY = json.dumps(PayloadFactory(event_id="evt_1", data__order_id="A1")).encode()
GENUINE = sign(BODY)


def padded(size):
    """Return the body of a valid event, of this many bytes."""
    return BODY[:-1] + b" " * (size - len(BODY)) + b"}"


def check_refusal(answer, status):
    """Check that an answer is a JSON object with one sentence, and of this status."""
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"].endswith(".")


@pytest.fixture
def no_trace(published, received_signals):
    """Check that nothing happened but one signal; the database is not even asked, as the test has
    none.
    """

    def no_trace(status, reason, provider="default"):
        (facts,) = received_signals.of("webhook_rejected")
        assert facts.pop("seconds") >= 0
        assert facts.pop("sender") is views.receive_webhook
        error = facts.pop("error")
        assert isinstance(error, DatabaseError if reason == "database" else WebhookRefused)
        assert facts == {"status": status, "reason": reason, "provider": provider}
        assert received_signals.names() == ["webhook_rejected"]
        assert published() == []

    return no_trace


@pytest.fixture
def kept(transactional_db, published, received_signals):
    """Check that a webhook was kept as one failed event, which no worker is told of."""

    def kept(body):
        event = Event.objects.get()
        assert (event.status, event.type, event.order_id) == (Event.FAILED, "", "")
        assert bytes(event.body) == body
        assert event.provider_event_id.startswith("unparsed:")
        assert (event.due_at, event.enqueue_at) == (None, None)
        assert abs(event.finished_at - event.received_at) < datetime.timedelta(seconds=1)
        assert published() == []
        assert received_signals.names() == ["event_failed", "webhook_rejected"]
        return event

    return kept


@pytest.fixture
def stored(transactional_db, published, received_signals):
    """Check that a webhook was stored as one event that was published, and return it."""

    def stored(answer, body=None):
        event = Event.objects.get()
        assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
        assert answer.json() == {"status": "accepted", "event_id": event.provider_event_id}
        assert event.status == Event.RECEIVED
        assert body is None or bytes(event.body) == body
        assert published() == [event.pk]
        assert received_signals.names() == ["event_received", "webhook_received"]
        return event

    return stored


# ---- accepted


def test_a_genuine_webhook_is_answered_with_200_and_stored_and_published(
    webhook, stored, received_signals
):
    answer = webhook(event_id="evt_1", type="charge.succeeded", order_id="A1")
    event = stored(answer)
    assert (event.provider, event.provider_event_id, event.type, event.order_id) == (
        "default",
        "evt_1",
        "charge.succeeded",
        "A1",
    )
    assert (event.attempts, event.error, event.idempotency_key, event.finished_at) == (
        0,
        "",
        None,
        None,
    )
    assert event.received_at.timestamp() == pytest.approx(event.due_at, abs=1)
    assert event.enqueue_at - event.due_at == pytest.approx(30, abs=0.001)
    (facts,) = received_signals.of("webhook_received")
    assert (facts["provider"], facts["events"]) == ("default", [event])
    assert facts["events"][0].is_new


@pytest.mark.parametrize("path", ["payment", "payment/", "payment/default", "payment/default/"])
def test_every_form_of_the_address_is_answered(client, stored, path):
    answer = client.post("/v1/webhooks/" + path, BODY, "application/json", HTTP_X_SIGNATURE=GENUINE)
    stored(answer, BODY)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "image/png", "\u00e9"]
)
def test_valid_json_is_accepted_whatever_its_content_type(client, stored, content_type):
    stored(client.generic("POST", PATH, BODY, content_type, HTTP_X_SIGNATURE=GENUINE), BODY)


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "multipart/form-data"])
def test_valid_json_that_claims_to_be_multipart_is_accepted(client, stored, content_type):
    stored(client.generic("POST", PATH, BODY, content_type, HTTP_X_SIGNATURE=GENUINE), BODY)


def test_an_upper_case_signature_is_accepted(webhook, stored):
    stored(webhook(BODY, signature=GENUINE.upper()))


@pytest.mark.parametrize("encoding", ["identity"])
def test_the_content_encoding_identity_is_accepted(webhook, stored, encoding):
    stored(webhook(BODY, headers={"HTTP_CONTENT_ENCODING": encoding}))


def test_a_body_exactly_at_the_limit_is_accepted(webhook, stored):
    body = padded(LIMIT)
    stored(webhook(body), body)


@pytest.mark.parametrize(
    ("odd", "found"),
    [
        (b'"data": {"order_id": "A1"}, "event_id": "evt_2"', ["evt_2"]),
        (b'"data": {"order_id": "A1", "note": "\\u0000"}', ["evt_1"]),
        (b'"data": {"order_id": "A1", "note": "\\ud800"}', ["evt_1"]),
        (b'"data": {"order_id": "A1"}, "extra": [{"deep": {}}, null, true, -1.5e3]', ["evt_1"]),
        (b'"data": {"order_id": [1]}', ["evt_1"]),
        (b'"data": {"order_id": "' + b"x" * 300 + b'"}', ["evt_1"]),
        (b'"data": "no object"', ["evt_1"]),
        (b'"data": [1, 2]', ["evt_1"]),
    ],
    ids=[
        "duplicate keys",
        "NUL",
        "unpaired surrogate",
        "unknown fields",
        "order is a list",
        "order is too long",
        "no data",
        "data is a list",
    ],
)
def test_oddities_beside_the_point_are_stored_as_sent(webhook, stored, odd, found):
    body = b'{"event_id": "evt_1", "type": "charge.succeeded", %s}' % odd
    event = stored(webhook(body), body)
    assert [event.provider_event_id] == found


@pytest.mark.parametrize(
    "text",
    [
        "a\r\nforged line",
        "a\x1b[31mred",
        "a\u2028b",
        "<script>alert(1)</script>",
        "=1+1",
        "\U0001f600",
        "a\tb",
    ],
)
@pytest.mark.parametrize("field", ["event_id", "type", "order_id"])
def test_odd_characters_in_identifiers_are_stored_and_forge_no_line_in_the_log(
    webhook, stored, caplog, field, text
):
    caplog.set_level(logging.INFO)
    event = stored(webhook(**{field: text}))
    assert text in (event.provider_event_id, event.type, event.order_id)
    lines = [record.getMessage() for record in caplog.records]
    assert all(line.isprintable() for line in lines), lines


PAIRS = [
    ("evt_A", "evt_a"),
    ("evt_x", "evt_x "),
    ("evt_x", " evt_x"),
    ("evt_e", "evt_\u00e9"),
    ("evt_\u00e9", "evt_e\u0301"),
    ("evt_\U0001f600", "evt_\U0001f601"),
    ("evt_ss", "evt_\u00df"),
    ("evt_\u0131", "evt_i"),
    ("evt_1", "evt_\uff11"),
    ("evt_a", "evt_a\u200b"),
    ("x" * 254 + "a", "x" * 254 + "b"),
]


@pytest.mark.parametrize("pair", PAIRS, ids=[ascii(pair)[:30] for pair in PAIRS])
def test_ids_that_only_look_alike_are_different_events(transactional_db, webhook, published, pair):
    for event_id in pair:
        answer = webhook(event_id=event_id)
        assert (answer.status_code, answer.json()) == (
            200,
            {"status": "accepted", "event_id": event_id},
        )
    for event_id in pair:
        assert webhook(event_id=event_id).json()["status"] == "duplicate"
    assert sorted(Event.objects.values_list("provider_event_id", flat=True)) == sorted(pair)
    assert set(published()) == set(Event.objects.values_list("pk", flat=True))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_project_without_time_zones_is_served_too(
    order, webhook, stored, run_due, shop_state, zone
):
    with override_settings(USE_TZ=False, TIME_ZONE=zone):
        event = stored(webhook(BODY))
        assert abs(event.due_at - time.time()) < 10
        assert event.enqueue_at - event.due_at == pytest.approx(30, abs=0.001)
        assert abs(event.received_at - timezone.now()).total_seconds() < 10
        assert event.occurred_at == datetime.datetime(2026, 11, 23, 10 if zone == "UTC" else 5)
        run_due()
        assert Event.objects.get().status == Event.PROCESSED
        assert shop_state()["orders"] == {"A1": "paid"}


# ---- duplicates


def test_the_same_webhook_again_is_a_duplicate(webhook, stored, published, received_signals):
    event = stored(webhook(BODY))
    del received_signals[:]
    answer = webhook(BODY)
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "duplicate", "event_id": "evt_1"},
    )
    assert Event.objects.get().version == event.version
    assert received_signals.names() == ["webhook_received"]
    (facts,) = received_signals.of("webhook_received")
    assert facts["events"] == [event]
    assert not facts["events"][0].is_new


def test_a_duplicate_of_an_event_that_no_worker_took_yet_is_published_again(
    webhook, stored, published
):
    event = stored(webhook(BODY))
    webhook(BODY)
    assert published() == [event.pk]


def test_a_duplicate_of_a_finished_event_is_not_published(
    order, webhook, stored, published, run_due
):
    event = stored(webhook(BODY))
    run_due()
    assert webhook(BODY).json() == {"status": "duplicate", "event_id": "evt_1"}
    assert published() == []
    assert Event.objects.get().status == Event.PROCESSED
    assert Event.objects.get().pk == event.pk


def test_a_duplicate_costs_one_query(webhook, stored, django_assert_num_queries):
    stored(webhook(BODY))
    with django_assert_num_queries(1):
        assert webhook(BODY).json()["status"] == "duplicate"


def test_the_same_id_with_another_body_is_a_duplicate_and_the_conflict_is_reported(
    webhook, stored, received_signals
):
    event = stored(webhook(event_id="evt_1", amount="10.00", charge_id="ch_1"))
    del received_signals[:]
    answer = webhook(event_id="evt_1", amount="9999.00", charge_id="ch_1")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "duplicate", "event_id": "evt_1"},
    )
    assert received_signals.names() == ["event_conflicted", "webhook_received"]
    (facts,) = received_signals.of("event_conflicted")
    assert (facts["event"], facts["event"].data["amount"], facts["other"].data["amount"]) == (
        event,
        "10.00",
        "9999.00",
    )
    assert Event.objects.get().data["amount"] == "10.00"


def test_the_same_event_in_another_spelling_is_no_conflict(webhook, stored, received_signals):
    stored(webhook(BODY))
    del received_signals[:]
    assert (
        webhook(json.dumps(json.loads(BODY.decode()), indent=4).encode()).json()["status"]
        == "duplicate"
    )
    assert received_signals.names() == ["webhook_received"]


def test_the_same_id_from_another_provider_is_another_event(webhook, stored, post, published):
    first = stored(webhook(BODY))
    now = b"%d" % time.time()
    signature = "t=%s,v1=%s" % (
        now.decode(),
        sign(now + b"." + BODY, "a-secret-of-the-timed-partner!!!"),
    )
    answer = post(BODY, "timed", HTTP_X_SIGNATURE=signature)
    second = Event.objects.get(provider="timed")
    assert answer.json() == {"status": "accepted", "event_id": "evt_1"}
    assert (second.provider_event_id, published()) == (first.provider_event_id, [second.pk])


def test_an_unknown_type_is_accepted_and_ignored_by_the_worker(webhook, stored, run_due):
    stored(webhook(type="payout.paid"))
    run_due()
    assert Event.objects.get().status == Event.IGNORED


# ---- several events in one webhook


@pytest.fixture
def send_batch(settings, post):
    """Send these items as one webhook of the batch provider."""
    options = {
        "BACKEND": BatchProvider.__module__ + ".BatchProvider",
        "SECRETS": ["batch-secret-of-24-bytes"],
    }
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"batch": dict(options, ANSWER_BODY=None), "own": options}
    sample = BatchSample("batch")

    def send_batch(*events, provider="batch"):
        body = json.dumps(
            {
                "items": [
                    event if isinstance(event, dict) else sample.item(event) for event in events
                ]
            }
        )
        return post(body.encode(), provider, **sample.headers(None, body.encode(), None))

    return send_batch


def test_each_event_of_a_webhook_is_stored_and_published(transactional_db, send_batch, published):
    answer = send_batch("evt_1", "evt_2", "evt_1")
    assert answer.status_code == 200
    assert answer.json() == {
        "events": [
            {"status": "accepted", "event_id": "evt_1"},
            {"status": "accepted", "event_id": "evt_2"},
            {"status": "duplicate", "event_id": "evt_1"},
        ]
    }
    first, second = Event.objects.order_by("pk")
    assert (first.provider_event_id, second.provider_event_id) == ("evt_1", "evt_2")
    assert (first.payload["reference"], second.payload["reference"]) == ("evt_1", "evt_2")
    assert published() == [first.pk, second.pk, first.pk]


def test_an_event_that_comes_again_in_another_webhook_is_a_duplicate(
    transactional_db, send_batch, received_signals
):
    send_batch("evt_1", "evt_2")
    assert send_batch("evt_3", "evt_2").json()["events"][1] == {
        "status": "duplicate",
        "event_id": "evt_2",
    }
    assert Event.objects.count() == 3
    assert not received_signals.of("event_conflicted")


def test_a_webhook_with_one_bad_event_is_kept_as_a_whole(send_batch, kept):
    answer = send_batch("evt_1", {"event": {"reference": "evt_2"}})
    check_refusal(answer, 200)
    event = kept(
        json.dumps(
            {"items": [BatchSample("").item("evt_1"), {"event": {"reference": "evt_2"}}]}
        ).encode()
    )
    assert event.error == answer.json()["error"]


def test_the_provider_reads_the_answer_that_it_wants(transactional_db, send_batch):
    for _ in range(2):
        answer = send_batch("evt_1", provider="own")
        assert (answer.status_code, answer.content) == (200, b"[accepted]")
    assert Event.objects.count() == 1


# ---- refused before the signature is looked at


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
)
def test_any_other_method_is_answered_with_405_and_what_is_allowed(client, no_trace, method):
    answer = client.generic(method, PATH, BODY, "application/json", HTTP_X_SIGNATURE=GENUINE)
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    no_trace(405, "method")


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("name", ["nobody", "Default", "default2", "__class__", "0"])
def test_an_unknown_provider_is_answered_with_404(client, no_trace, method, name):
    answer = client.generic(
        method, PATH + "/" + name, BODY, "application/json", HTTP_X_SIGNATURE=GENUINE
    )
    check_refusal(answer, 404)
    assert name not in answer.json()["error"]
    no_trace(404, "unknown_provider", name)


@pytest.mark.parametrize(
    "encoding", ["gzip", "deflate", "br", "gzip, identity", "x-gzip", "x-unknown"]
)
def test_an_encoded_body_is_answered_with_415_and_not_inflated(webhook, no_trace, encoding):
    check_refusal(webhook(BODY, headers={"HTTP_CONTENT_ENCODING": encoding}), 415)
    no_trace(415, "content_encoding")


@pytest.mark.parametrize(
    "secrets",
    [
        [],
        [""],
        [" " * 20],
        ["fifteen-bytes-x"],
        [None],
        None,
        "a-text-instead-of-a-list",
        [b"bytes-instead-of-text"],
    ],
)
@pytest.mark.parametrize("key", [b"", b"fifteen-bytes-x", b"a-text-instead-of-a-list"])
def test_without_a_usable_secret_everything_is_answered_with_503(
    webhook, no_trace, settings, secrets, key
):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"SECRETS": secrets}}
    check_refusal(webhook(BODY, signature=hmac.new(key, BODY, hashlib.sha256).hexdigest()), 503)
    no_trace(503, "no_secret")


def test_without_the_option_secrets_everything_is_answered_with_503(webhook, no_trace, settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {}}
    check_refusal(webhook(BODY), 503)
    no_trace(503, "no_secret")


# ---- refused for its size


@pytest.fixture
def post_raw(client):
    """Post bytes with the environment of a WSGI server: nothing is added, and the bytes may be too
    few.
    """

    def post_raw(body, stream=None, **environ):
        environ.setdefault("HTTP_X_SIGNATURE", sign(body))
        environ.update({"wsgi.input": stream or io.BytesIO(body)})
        return client.generic("POST", PATH, b"", "application/json", **environ)

    return post_raw


def test_a_body_over_the_limit_by_one_byte_is_answered_with_413(webhook, no_trace):
    check_refusal(webhook(padded(LIMIT + 1)), 413)
    no_trace(413, "too_large")


def test_a_body_far_over_the_limit_is_not_read_to_its_end(post_raw, no_trace):
    stream = io.BytesIO(b"x" * 5 * LIMIT)
    check_refusal(post_raw(b"", stream, CONTENT_LENGTH=str(5 * LIMIT)), 413)
    assert stream.tell() <= LIMIT + 1
    no_trace(413, "too_large")


def test_the_limit_is_a_setting(webhook, stored, settings):
    settings.PAYMENT_WEBHOOKS_MAX_BODY_SIZE = len(BODY) - 1
    check_refusal(webhook(BODY), 413)
    settings.PAYMENT_WEBHOOKS_MAX_BODY_SIZE = len(BODY)
    assert webhook(BODY).status_code == 200


def test_the_limit_of_django_for_other_views_does_not_count(webhook, stored, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    stored(webhook(BODY))


@pytest.mark.parametrize("length", ["", "0"])
def test_an_empty_body_is_answered_with_400(post_raw, no_trace, length):
    check_refusal(post_raw(b"", CONTENT_LENGTH=length), 400)
    no_trace(400, "truncated")


@pytest.mark.parametrize("sent", [0, 1, len(BODY) - 1])
def test_a_body_that_is_shorter_than_its_length_is_refused_as_truncated(post_raw, no_trace, sent):
    answer = post_raw(BODY[:sent], CONTENT_LENGTH=str(len(BODY)), HTTP_X_SIGNATURE=GENUINE)
    check_refusal(answer, 400)
    no_trace(400, "truncated")


def test_a_body_that_is_longer_than_its_length_is_cut_and_then_not_genuine(post_raw, no_trace):
    check_refusal(
        post_raw(BODY + b"more", CONTENT_LENGTH=str(len(BODY) - 1), HTTP_X_SIGNATURE=GENUINE), 401
    )
    no_trace(401, "mismatch")


@pytest.mark.parametrize("length", ["abc", "-5", "-1", "1e3", "0x10", " "])
def test_a_length_that_is_no_number_is_answered_with_400(post_raw, no_trace, length):
    check_refusal(post_raw(BODY, CONTENT_LENGTH=length), 400)
    no_trace(400, "truncated")


class ServersOwnError(Exception):
    """What a server raises for chunks that make no sense, as gunicorn's InvalidChunkSize."""


class BrokenStream(io.BytesIO):
    """A connection that breaks while the body is read."""

    error = OSError

    def read(self, *_):
        """Raise what a server raises."""
        raise self.error("the client went away")


@pytest.mark.parametrize("error", [ConnectionResetError, TimeoutError, ServersOwnError, ValueError])
@pytest.mark.parametrize("length", ["", "100"])
def test_a_body_that_can_not_be_read_is_no_error_of_ours(post_raw, no_trace, length, error):
    stream, environ = BrokenStream(), {"CONTENT_LENGTH": length, "wsgi.input_terminated": True}
    stream.error = error
    check_refusal(post_raw(BODY, stream, **environ), 400)
    no_trace(400, "truncated")


@pytest.mark.parametrize("size", [len(BODY), LIMIT])
def test_a_chunked_body_is_read(post_raw, stored, size):
    body = padded(size)
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    stored(post_raw(body, **environ), body)


def test_a_chunked_body_over_the_limit_is_answered_with_413_and_not_read_to_its_end(
    post_raw, no_trace
):
    stream = io.BytesIO(b"x" * 5 * LIMIT)
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    check_refusal(post_raw(b"", stream, **environ), 413)
    assert stream.tell() <= LIMIT + 1
    no_trace(413, "too_large")


def test_a_chunked_body_that_is_empty_is_answered_with_400(post_raw, no_trace):
    check_refusal(post_raw(b"", **{"wsgi.input_terminated": True}), 400)
    no_trace(400, "truncated")


def test_a_chunked_body_that_the_server_does_not_end_is_not_waited_for(post_raw, no_trace):
    check_refusal(post_raw(BODY, HTTP_TRANSFER_ENCODING="chunked"), 400)
    no_trace(400, "truncated")


def asgi(chunks, **headers):
    """Send a request to the shop as an ASGI application; return status and body."""
    application = pytest.importorskip("django.core.asgi").get_asgi_application()
    async_to_sync = pytest.importorskip("asgiref.sync").async_to_sync
    names = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": names}
    scope.update(
        http_version="1.1", asgi={"version": "3.0"}, server=("testserver", 80), scheme="http"
    )
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent = []

    async def receive():
        if not messages:
            await asyncio.sleep(60)  # the client waits for the answer
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    async_to_sync(application)(scope, receive, send)
    return sent[0]["status"], json.loads(
        b"".join(message.get("body", b"") for message in sent[1:]).decode()
    )


def test_an_asgi_server_delivers_a_chunked_body_too(transactional_db, published):
    status, answer = asgi([BODY[:10], BODY[10:]], host="testserver", x_signature=GENUINE)
    assert (status, answer) == (200, {"status": "accepted", "event_id": "evt_1"})
    assert published() == [Event.objects.get().pk]


@pytest.mark.parametrize("headers", [{}, {"content_length": str(5 * LIMIT)}])
def test_an_asgi_server_delivers_a_body_over_the_limit_which_is_answered_with_413(
    no_trace, headers
):
    status, answer = asgi([b"x" * LIMIT] * 5, host="testserver", x_signature=GENUINE, **headers)
    assert (status, list(answer)) == (413, ["error"])
    no_trace(413, "too_large")


def test_an_asgi_server_joins_two_signatures_which_are_refused(no_trace):
    status, answer = asgi([BODY], host="testserver", x_signature=GENUINE + "," + GENUINE)
    assert (status, answer) == (401, {"error": "The signature does not match."})
    no_trace(401, "malformed_signature")


# ---- forged

SIGNATURES = {
    "missing": (None, "no_signature"),
    "empty": ("", "no_signature"),
    "1 MiB long": ("0" * 2**20, "malformed_signature"),
    "1 MiB of the right one": (GENUINE * 2**14, "malformed_signature"),
    "two of them": (GENUINE + "," + GENUINE, "malformed_signature"),
    "two of them, joined with a space": (GENUINE + ", " + GENUINE, "malformed_signature"),
    "non-ASCII": ("\u00e9" * 64, "malformed_signature"),
    "full-width digits": (
        GENUINE.translate({48 + n: 0xFF10 + n for n in range(10)}),
        "malformed_signature",
    ),
    "odd hex": (GENUINE[:-1], "malformed_signature"),
    "spaces in hex": (GENUINE[:32] + " " + GENUINE[32:], "malformed_signature"),
    "wrong prefix": ("sha256=" + GENUINE, "malformed_signature"),
    "prefix only": ("sha256=", "malformed_signature"),
    "name of another algorithm": (
        "md5=" + hmac.new(SECRET.encode(), BODY, "md5").hexdigest(),
        "malformed_signature",
    ),
    "another algorithm": (hmac.new(SECRET.encode(), BODY, "sha3_256").hexdigest(), "mismatch"),
    "another secret": (sign(BODY, "another-secret-of-some-length"), "mismatch"),
    "empty secret": (sign(BODY, ""), "mismatch"),
    "another body": (sign(BODY + b" "), "mismatch"),
    "zeros": ("0" * 64, "mismatch"),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_forged_webhook_is_answered_with_401_and_leaves_no_trace(webhook, no_trace, name):
    signature, reason = SIGNATURES[name]
    answer = webhook(BODY, signature=signature)
    check_refusal(answer, 401)
    assert answer.json() == {"error": "The signature does not match."}
    no_trace(401, reason)


NOW = int(time.time())
TIMES = {
    "missing": (None, "malformed_signature"),
    "empty": ("", "malformed_signature"),
    "negative": ("-1", "malformed_signature"),
    "NaN": ("NaN", "malformed_signature"),
    "with underscores": ("1_700_000_000", "malformed_signature"),
    "full-width digits": (
        str(NOW).translate({48 + n: 0xFF10 + n for n in range(10)}),
        "malformed_signature",
    ),
    "an exponent": ("1e9", "malformed_signature"),
    "milliseconds": (str(NOW * 1000), "malformed_signature"),
    "too old": (str(NOW - 86400), "stale"),
    "too far in the future": (str(NOW + 86400), "future"),
}


@pytest.mark.parametrize("name", TIMES)
def test_a_time_of_signing_that_can_not_be_is_answered_with_401(post, no_trace, name):
    timestamp, reason = TIMES[name]
    mac = sign(("%s." % (timestamp or "")).encode() + BODY, "a-secret-of-the-timed-partner!!!")
    header = "v1=" + mac if timestamp is None else "t=%s,v1=%s" % (timestamp, mac)
    check_refusal(post(BODY, "timed", HTTP_X_SIGNATURE=header), 401)
    no_trace(401, reason, "timed")


def test_a_forged_webhook_costs_no_query_and_its_body_is_not_parsed(
    transactional_db, webhook, monkeypatch, django_assert_num_queries
):
    def load_json(provider, body):
        raise AssertionError("An unverified body was parsed.")

    monkeypatch.setattr("django_payment_webhooks.providers.Provider.decode", load_json)
    with django_assert_num_queries(0):
        assert webhook(BODY, signature="0" * 64).status_code == 401
    assert not Event.objects.exists()


# ---- genuine, but not understood

UNPARSABLE = {
    "not JSON": (b"hello", "can't be read"),
    "a form": (b"event_id=evt_1&type=charge.succeeded", "can't be read"),
    "a list": (b'[{"event_id": "evt_1", "type": "x"}]', "not a JSON object"),
    "a scalar": (b"17", "not a JSON object"),
    "null": (b"null", "not a JSON object"),
    "no id": (b'{"type": "charge.succeeded"}', "event_id is missing"),
    "id is null": (b'{"event_id": null, "type": "t"}', "event_id is missing"),
    "id is a list": (b'{"event_id": ["e"], "type": "t"}', "event_id is missing"),
    "id is a fraction": (b'{"event_id": 1.5, "type": "t"}', "event_id is missing"),
    "id is true": (b'{"event_id": true, "type": "t"}', "event_id is missing"),
    "id is blank": (b'{"event_id": "  ", "type": "t"}', "event_id is blank"),
    "id is too long": (
        b'{"event_id": "%s", "type": "t"}' % (b"x" * 256),
        "event_id is blank, or longer than 255",
    ),
    "id with NUL": (b'{"event_id": "a\\u0000", "type": "t"}', "event_id contains a NUL"),
    "id with an unpaired surrogate": (
        b'{"event_id": "\\ud800", "type": "t"}',
        "event_id contains a NUL or an unpaired",
    ),
    "no type": (b'{"event_id": "evt_1"}', "type is missing"),
    "type is an object": (b'{"event_id": "evt_1", "type": {}}', "type is missing"),
    "type is empty": (b'{"event_id": "evt_1", "type": ""}', "type is blank"),
    "type is too long": (
        b'{"event_id": "evt_1", "type": "%s"}' % (b"x" * 256),
        "type is blank, or longer than 255",
    ),
    "time is no time": (
        b'{"event_id": "e", "type": "t", "created_at": 1712051212045}',
        "created_at is a number, but not a time of this century",
    ),
    "time is digits": (
        b'{"event_id": "e", "type": "t", "created_at": "1712051212"}',
        "created_at is not an ISO 8601 time",
    ),
    "not UTF-8": (BODY.replace(b"A1", b"\xff"), "can't be read"),
    "Latin-1": (BODY.replace(b"A1", b"\xe9"), "can't be read"),
    "UTF-16": (BODY.decode().encode("utf-16"), "can't be read"),
    "BOM": (b"\xef\xbb\xbf" + BODY, "can't be read"),
    "NaN": (BODY.replace(b'"10.00"', b"NaN"), "can't be read"),
    "Infinity": (BODY.replace(b'"10.00"', b"Infinity"), "can't be read"),
    "32 levels": (BODY.replace(b'"10.00"', b"[" * 30 + b"]" * 30), "more than 31 levels"),
    "100 000 levels": (
        BODY.replace(b'"10.00"', b"[" * 100000 + b"]" * 100000),
        "more than 31 levels",
    ),
    "50 001 values": (
        BODY.replace(b'"10.00"', b"[" + b",".join([b"0"] * 50000) + b"]"),
        "50000 values",
    ),
    "a megabyte of lists": (
        BODY.replace(b'"10.00"', b"[" + b",".join([b"[]"] * 340000) + b"]"),
        "50000 values",
    ),
    "4301 digits": (BODY.replace(b'"10.00"', b"1" * 4301), "4300"),
    "1e400": (BODY.replace(b'"10.00"', b"1e400"), "exponent"),
    "1e1000000": (BODY.replace(b'"10.00"', b"1e1000000"), "exponent"),
    "1e99999999999999999999": (
        BODY.replace(b'"10.00"', b"1e99999999999999999999"),
        "can't be read",
    ),
}


@pytest.mark.parametrize("name", UNPARSABLE)
def test_a_genuine_body_that_is_not_understood_is_answered_with_400_and_kept(webhook, kept, name):
    body, what = UNPARSABLE[name]
    answer = webhook(body)
    check_refusal(answer, 400)
    assert what in answer.json()["error"]
    assert kept(body).error == answer.json()["error"]


@pytest.mark.parametrize(
    "data", [{"event_id": "evt_1"}, {"event_id": "evt_1", "file": io.BytesIO(b"x")}]
)
def test_a_genuine_multipart_form_is_answered_with_400_and_kept(client, kept, data):
    body = (
        "".join(
            '--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\nv\r\n' % name for name in data
        )
        + "--x--"
    )
    content_type = "multipart/form-data; boundary=x"
    check_refusal(
        client.generic("POST", PATH, body, content_type, HTTP_X_SIGNATURE=sign(body.encode())), 400
    )
    kept(body.encode())


def test_the_same_unparsable_body_is_kept_once(webhook, kept):
    for _ in range(3):
        check_refusal(webhook(b"hello"), 400)
    assert Event.objects.count() == 1


def test_two_unparsable_bodies_are_two_failed_events(transactional_db, webhook):
    for body in (b"hello", b"hello "):
        check_refusal(webhook(body), 400)
    assert Event.objects.filter(status=Event.FAILED).count() == 2


def test_the_answer_to_an_unparsable_body_can_be_200(webhook, kept, settings):
    options = settings.PAYMENT_WEBHOOKS_PROVIDERS["default"]
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": dict(options, PARSE_ERROR_STATUS=200)}
    check_refusal(webhook(b"hello"), 200)
    kept(b"hello")


def test_no_answer_repeats_what_was_sent_or_what_is_secret(
    transactional_db, webhook, post, post_raw, settings
):
    canary = "4111111111111111"
    fields = json.dumps({"event_id": [canary], canary: canary})
    answers = [
        webhook(canary.encode() + b"?"),
        webhook(("[" + fields + "]").encode()),
        webhook(fields.encode()),
        webhook(fields.encode().replace(b"[", b"1e999999, ")),
        webhook(fields.encode(), signature=canary),
        webhook(fields.encode(), provider=canary),
        webhook(fields.encode(), headers={"HTTP_CONTENT_ENCODING": f"gzip, {canary}"}),
        post_raw(fields.encode(), CONTENT_LENGTH=canary),
    ]
    assert {answer.status_code for answer in answers} == {400, 401, 404, 415}
    for answer in answers:
        shown = answer.content.decode() + str(dict(answer.items()))
        assert canary not in shown
        assert SECRET not in shown
        assert settings.SECRET_KEY not in shown


# ---- middleware and transactions


def test_a_webhook_needs_no_csrf_token(stored):
    client = Client(enforce_csrf_checks=True)
    stored(client.post(PATH, BODY, "application/json", HTTP_X_SIGNATURE=GENUINE))


def test_a_webhook_needs_no_login(client, stored, settings):
    middleware = "django.contrib.auth.middleware"
    if not hasattr(pytest.importorskip(middleware), "LoginRequiredMiddleware"):
        pytest.skip("This Django has no LoginRequiredMiddleware.")
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, middleware + ".LoginRequiredMiddleware"]
    stored(client.post(PATH, BODY, "application/json", HTTP_X_SIGNATURE=GENUINE))


@pytest.fixture
def _atomic_requests():
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


@pytest.mark.usefixtures("_atomic_requests")
def test_the_view_has_no_transaction_around_it(webhook, stored, monkeypatch):
    blocks = []
    verify = BatchProvider.verify
    monkeypatch.setattr(
        "django_payment_webhooks.providers.Provider.verify",
        lambda *args: blocks.append(connection.in_atomic_block) or verify(*args),
    )
    stored(webhook(BODY))
    assert blocks == [False]


@pytest.mark.usefixtures("_atomic_requests")
def test_an_unparsable_body_is_kept_even_if_requests_are_transactions(webhook, kept):
    check_refusal(webhook(b"hello"), 400)
    kept(b"hello")


# ---- the database is not well


def check_unavailable(answer, received_signals, published):
    """Check that the provider is asked to send it again."""
    check_refusal(answer, 503)
    assert int(answer["Retry-After"]) > 0
    assert received_signals.of("webhook_rejected")[-1]["reason"] == "database"
    assert published() == []


def test_without_the_table_the_answer_is_503_and_nothing_is_lost(
    transactional_db, webhook, received_signals, published
):
    table = connection.ops.quote_name(Event._meta.db_table)
    away = connection.ops.quote_name("table_that_is_away")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE %s RENAME TO %s" % (table, away))
        try:
            for body in (BODY, b"hello"):
                check_unavailable(webhook(body), received_signals, published)
        finally:
            cursor.execute("ALTER TABLE %s RENAME TO %s" % (away, table))
    assert webhook(BODY).json() == {"status": "accepted", "event_id": "evt_1"}
    assert published() == [Event.objects.get().pk]


READ_ONLY = {
    "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
    "postgresql": (
        "SET default_transaction_read_only = on",
        "SET default_transaction_read_only = off",
    ),
    "mysql": ("SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE"),
}


def test_a_database_that_is_read_only_gives_503_and_still_knows_duplicates(
    webhook, stored, received_signals, published
):
    stored(webhook(event_id="evt_before"))
    lock, unlock = READ_ONLY[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(lock)
        try:
            for body in (BODY, b"hello"):
                check_unavailable(webhook(body), received_signals, published)
        finally:
            cursor.execute(unlock)
    assert Event.objects.count() == 1
    assert webhook(BODY).json() == {"status": "accepted", "event_id": "evt_1"}


@pytest.fixture
def failing_insert(monkeypatch):
    """Make this many INSERTs fail."""

    def failing_insert(*errors):
        errors, save = list(errors), Event.save

        def save_or_fail(self, **options):
            if errors:
                raise errors.pop(0)
            save(self, **options)

        monkeypatch.setattr(Event, "save", save_or_fail)
        return errors

    return failing_insert


def test_an_event_that_another_process_stores_at_the_same_moment_is_a_duplicate(
    webhook, stored, published, monkeypatch
):
    event, look_up, looks = stored(webhook(BODY)), EventManager.look_up, []

    def look_too_early(self, condition, values):
        looks.append((condition, values))
        return [] if len(looks) == 1 else look_up(self, condition, values)

    monkeypatch.setattr(EventManager, "look_up", look_too_early)
    assert webhook(BODY).json() == {"status": "duplicate", "event_id": "evt_1"}
    assert looks == [("dedup_key = %s", [event.dedup_key])] * 2
    monkeypatch.undo()
    assert Event.objects.get() == event
    assert published() == [event.pk]


@pytest.mark.parametrize(
    "error", [(1213, "Deadlock found"), (1205, "Lock wait timeout"), ("database is locked",)]
)
def test_a_short_storm_of_locks_is_not_noticed(webhook, stored, failing_insert, error):
    errors = failing_insert(OperationalError(*error), OperationalError(*error))
    stored(webhook(BODY))
    assert errors == []


@pytest.mark.parametrize(
    "error",
    [
        (1213, "Deadlock found"),
        ("database is locked",),
        ("database or disk is full",),
        (2006, "gone away"),
        (),
    ],
)
def test_an_insert_that_fails_for_good_gives_503(
    transactional_db, webhook, failing_insert, received_signals, published, error
):
    errors = failing_insert(*[OperationalError(*error)] * 20)
    check_unavailable(webhook(BODY), received_signals, published)
    assert not Event.objects.exists()
    del errors[:]
    assert webhook(BODY).json() == {"status": "accepted", "event_id": "evt_1"}


def test_what_the_database_says_is_not_repeated_to_the_sender(
    transactional_db, webhook, failing_insert
):
    failing_insert(OperationalError("password of shop@db is wrong"))
    answer = webhook(BODY)
    assert answer.json() == {"error": "It is not stored. Send it again."}


def test_a_mistake_in_the_code_is_not_hidden(transactional_db, webhook, monkeypatch):
    def save(self, **options):
        raise ZeroDivisionError

    monkeypatch.setattr(Event, "save", save)
    with pytest.raises(ZeroDivisionError):
        webhook(BODY)


# ---- the broker is not well


def test_a_silent_broker_does_not_delay_the_answer(
    transactional_db, webhook, published, monkeypatch, received_signals
):
    answered, apply_async, sent = threading.Event(), process.apply_async, []

    def wait(*args, **kwargs):
        answered.wait(10)
        sent.append(args)
        return apply_async(*args, **kwargs)

    monkeypatch.setattr(process, "apply_async", wait)
    answers = [webhook(event_id="evt_%d" % number) for number in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert sent == []
    answered.set()
    assert published() == list(Event.objects.order_by("pk").values_list("pk", flat=True))


def test_a_broker_that_is_down_changes_nothing_but_who_enqueues(
    order, webhook, published, monkeypatch, received_signals, run_due, shop_state
):
    def refuse(*args, **kwargs):
        raise ConnectionRefusedError("no broker")

    monkeypatch.setattr(process, "apply_async", refuse)
    answer = webhook(BODY)
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted", "event_id": "evt_1"})
    assert published() == []
    assert received_signals.names() == ["event_received", "webhook_received", "enqueue_failed"]
    assert isinstance(received_signals.of("enqueue_failed")[0]["error"], ConnectionRefusedError)
    event = Event.objects.get()
    assert event.status == Event.RECEIVED
    # The sweeper enqueues it after the grace.
    assert event.enqueue_at - event.due_at == pytest.approx(30, abs=0.001)
    run_due()
    assert shop_state()["orders"] == {"A1": "paid"}


def test_a_receiver_of_the_signals_that_raises_changes_nothing(webhook, stored, received_signals):
    def raise_error(**_):
        raise ZeroDivisionError

    for signal in (signals.webhook_received, signals.webhook_rejected, signals.event_received):
        signal.connect(raise_error)
    try:
        check_refusal(webhook(BODY, signature="0" * 64), 401)
        del received_signals[:]
        stored(webhook(BODY))
    finally:
        for signal in (signals.webhook_received, signals.webhook_rejected, signals.event_received):
            signal.disconnect(raise_error)


def test_a_provider_that_answers_by_itself_stores_nothing(
    db, post, monkeypatch, published, received_signals
):
    def answer(self, request):
        raise Answered(HttpResponse("pong"))

    monkeypatch.setattr(type(get_provider("default")), "read_body", answer)
    assert post(b"ping").content == b"pong"
    assert not Event.objects.exists()
    assert (published(), received_signals.names()) == ([], [])
