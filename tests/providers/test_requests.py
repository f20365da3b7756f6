"""A webhook's request: what is refused unread, and that its body is read within bounds."""

import gzip
import io
import json

import pytest
from django.test import RequestFactory

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers.requests import read_body

from ..factories import PayloadFactory, sign

PATH = "/v1/webhooks/payment"
BODY = json.dumps(PayloadFactory(event_id="evt_1", data__order_id="A1")).encode()
LIMIT = 1024 * 1024
CHUNKED = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
FORMS = [
    "application/json",
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=latin-1",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
]


def make_request(body=BODY, method="POST", stream=None, **environ):
    """Return a request as a WSGI server makes it: nothing is added to what is given."""
    environ.setdefault("CONTENT_LENGTH", str(len(body)))
    environ["wsgi.input"] = stream or io.BytesIO(body)
    return RequestFactory().generic(method, PATH, b"", "application/json", **environ)


def refuse(request):
    """Return the refusal of a request."""
    with pytest.raises(WebhookRefused) as raised:
        read_body(request)
    return raised.value


# ---- the method


def test_a_provider_reads_its_body_like_this():
    assert get_provider("default").read_body(make_request()) == BODY


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "POSTS"])
def test_any_other_method_is_refused_with_what_is_allowed(method):
    refusal = refuse(make_request(method=method))
    assert (refusal.status, refusal.reason) == (405, "method")
    assert refusal.headers == {"Allow": "POST"}


# ---- the coding


@pytest.mark.parametrize(
    "coding", ["", " ", "identity", "Identity", "identity, ", "utf-8", "UTF-8", "none", ",", "utf8"]
)
def test_a_coding_that_compresses_nothing_is_accepted(coding):
    assert read_body(make_request(HTTP_CONTENT_ENCODING=coding)) == BODY


@pytest.mark.parametrize(
    "coding",
    [
        "gzip",
        "GZIP",
        " gzip ",
        "x-gzip",
        "identity, gzip",
        "gzip, identity",
        "gzip,",
        "utf-8,gzip",
        "deflate",
        "Deflate",
        "compress",
        "x-compress",
        "br",
        "zstd",
        "dcb",
        "dcz",
        "exi",
        "pack200-gzip",
        "aes128gcm",
    ],
)
def test_a_coding_that_changes_the_bytes_is_refused_and_nothing_is_read(coding):
    stream = io.BytesIO(gzip.compress(BODY))
    refusal = refuse(make_request(stream=stream, HTTP_CONTENT_ENCODING=coding))
    assert (refusal.status, refusal.reason) == (415, "content_encoding")
    assert stream.tell() == 0


# ---- the size


@pytest.mark.parametrize("size", [1, LIMIT - 1, LIMIT])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_of_as_many_bytes_as_the_limit_is_read(size, is_chunked):
    body = b"x" * size
    request = make_request(body, **CHUNKED) if is_chunked else make_request(body)
    assert read_body(request) == body


@pytest.mark.parametrize("size", [LIMIT + 1, 5 * LIMIT])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_of_one_byte_more_is_refused_and_not_read_to_its_end(size, is_chunked):
    stream = io.BytesIO(b"x" * size)
    environ = CHUNKED if is_chunked else {"CONTENT_LENGTH": str(size)}
    refusal = refuse(make_request(stream=stream, **environ))
    assert (refusal.status, refusal.reason) == (413, "too_large")
    assert str(refusal) == f"The body has more than {LIMIT} bytes."
    assert stream.tell() == LIMIT + 1


@pytest.mark.parametrize("limit", [1, 100, 2 * LIMIT])
def test_the_limit_is_a_setting(settings, limit):
    settings.PAYMENT_WEBHOOKS_MAX_BODY_SIZE = limit
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1  # Django's, for other views
    assert len(read_body(make_request(b"x" * limit))) == limit
    assert refuse(make_request(b"x" * (limit + 1))).status == 413


# ---- the length


@pytest.mark.parametrize(
    "length", ["0", "", None, "-1", " -1", "-1000000", "x", "0x10", "1e3", " "]
)
def test_a_length_without_a_meaning_is_refused_and_nothing_is_read(length):
    stream = io.BytesIO(BODY)
    refusal = refuse(make_request(stream=stream, CONTENT_LENGTH=length))
    assert (refusal.status, refusal.reason) == (400, "truncated")
    assert stream.tell() == 0


@pytest.mark.parametrize("missing", [1, len(BODY) - 1, len(BODY)])
def test_a_body_that_is_shorter_than_its_length_is_refused(missing):
    body = BODY[: len(BODY) - missing]
    refusal = refuse(make_request(body, CONTENT_LENGTH=str(len(BODY))))
    assert (refusal.status, refusal.reason) == (400, "truncated")


def test_a_body_is_not_read_beyond_its_length():
    stream = io.BytesIO(BODY + b"the next request")
    assert read_body(make_request(stream=stream)) == BODY
    assert stream.tell() == len(BODY)


def test_a_chunked_body_that_the_server_does_not_end_is_not_waited_for():
    stream = io.BytesIO(BODY)
    refusal = refuse(make_request(stream=stream, CONTENT_LENGTH=""))
    assert (refusal.status, refusal.reason) == (400, "truncated")
    assert stream.tell() == 0


class BrokenStream(io.BytesIO):
    """A connection that breaks while the body is read, each server with an error of its own."""

    def read(self, *_):
        raise self.error("the client went away")


@pytest.mark.parametrize("error", [ConnectionResetError, TimeoutError, ValueError, RuntimeError])
@pytest.mark.parametrize("environ", [{}, CHUNKED])
def test_a_client_that_goes_away_is_no_error_of_ours(error, environ):
    stream = BrokenStream()
    stream.error = error
    refusal = refuse(make_request(stream=stream, **environ))
    assert (refusal.status, refusal.reason) == (400, "truncated")


# ---- what is left for others


@pytest.fixture
def seen(settings):
    """Have a middleware that looks at every request after the view, and return what it saw."""
    settings.MIDDLEWARE = [f"{__name__}.Onlooker", *settings.MIDDLEWARE]
    Onlooker.seen = []
    return Onlooker.seen


class Onlooker:
    """A middleware that reads a request once it is answered, as one that logs requests does."""

    seen = []

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        self.seen.append((request.body, dict(request.POST), dict(request.FILES)))
        return response


@pytest.mark.parametrize("content_type", FORMS)
def test_a_middleware_can_look_at_an_accepted_webhook(transactional_db, client, seen, content_type):
    answer = client.generic("POST", PATH, BODY, content_type, HTTP_X_SIGNATURE=sign(BODY))
    assert (answer.status_code, Event.objects.count()) == (200, 1)
    assert seen == [(BODY, {}, {})]


@pytest.mark.parametrize("content_type", FORMS)
def test_a_middleware_can_look_at_a_webhook_of_too_many_fields(
    transactional_db, client, seen, content_type
):
    body = b"&".join([b"a=1"] * 2000)
    answer = client.generic("POST", PATH, body, content_type, HTTP_X_SIGNATURE=sign(body))
    assert (answer.status_code, Event.objects.get().status) == (400, Event.FAILED)
    assert seen == [(body, {}, {})]


@pytest.mark.parametrize("content_type", FORMS)
def test_a_middleware_can_look_at_a_webhook_that_is_too_large(db, client, seen, content_type):
    body = b"a=1&" * LIMIT
    assert client.generic("POST", PATH, body, content_type).status_code == 413
    assert seen == [(body[: LIMIT + 1], {}, {})]


@pytest.mark.parametrize("content_type", FORMS)
@pytest.mark.parametrize("sent", [b"", b"a=1", BODY[:-1]])
def test_a_middleware_can_look_at_a_webhook_that_is_truncated(db, client, seen, content_type, sent):
    environ = {"CONTENT_LENGTH": str(len(BODY)), "wsgi.input": io.BytesIO(sent)}
    assert client.generic("POST", PATH, b"", content_type, **environ).status_code == 400
    assert seen == [(sent, {}, {})]


def test_a_middleware_can_look_at_a_webhook_whose_client_went_away(db, client, seen):
    stream = BrokenStream()
    stream.error = ConnectionResetError
    environ = {"CONTENT_LENGTH": "100", "wsgi.input": stream}
    assert client.generic("POST", PATH, b"", FORMS[1], **environ).status_code == 400
    assert seen == [(b"", {}, {})]


def test_a_body_that_a_middleware_has_read_before_is_read_again():
    request = make_request()
    assert request.body == BODY
    assert read_body(request) == BODY


def test_a_form_that_a_middleware_has_read_before_is_left_to_it():
    request = make_request(b"a=1", CONTENT_TYPE="application/x-www-form-urlencoded")
    assert request.POST.dict() == {"a": "1"}
    assert read_body(request) == b"a=1"
    assert request.POST.dict() == {"a": "1"}
