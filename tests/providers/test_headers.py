"""Headers are called by their usual names, although ``request.META`` has others."""

import pytest
from django.test import RequestFactory

from django_payment_webhooks.providers.headers import find_meta_name, list_headers, read_header


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("X-Signature", "HTTP_X_SIGNATURE"),
        ("x-signature", "HTTP_X_SIGNATURE"),
        ("Host", "HTTP_HOST"),
        ("Content-Type", "CONTENT_TYPE"),
        ("content-length", "CONTENT_LENGTH"),
        ("Content-Encoding", "HTTP_CONTENT_ENCODING"),
        ("X-Content-Type", "HTTP_X_CONTENT_TYPE"),
    ],
)
def test_a_header_has_the_name_that_django_gives_it(header, name):
    assert find_meta_name(header) == name


def test_headers_are_read_from_a_request_of_django():
    request = RequestFactory().post(
        "/", b"12345", content_type="text/csv", HTTP_X_SIGNATURE="abc", HTTP_X_EMPTY=""
    )
    headers = {name: read_header(request.META, name) for name in list_headers(request.META)}
    assert headers["X-Signature"] == "abc"
    assert (headers["Content-Type"], headers["Content-Length"]) == ("text/csv", "5")
    assert headers["X-Empty"] == ""
    assert not any("Wsgi" in name or "Server" in name for name in headers)


def test_a_header_is_text_whatever_a_test_client_makes_of_it():
    meta = {"CONTENT_LENGTH": 0, "HTTP_X_SIGNATURE": 17}
    assert [read_header(meta, name) for name in list_headers(meta)] == ["17", "0"]


@pytest.mark.parametrize("meta", [{}, {"HTTP_X_SIGNATURE": ""}, {"HTTP_X_SIGNATURE": None}])
def test_a_header_that_is_missing_is_empty(meta):
    assert read_header(meta, "X-Signature") == ""
