"""Reads a webhook's request: its method, its encoding, and its raw body, of a bounded size."""

from __future__ import annotations

from appconf import AppConf
from django.http import HttpRequest

from ..conf import settings
from ..exceptions import WebhookRefused

# Values of Content-Encoding that change no byte. RFC 9110, 8.4.1 has identity, and names are
# case-insensitive; the others are charsets and transfer encodings in the wrong header.
HARMLESS = {"", "identity", "none", "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1"}
HARMLESS |= {"7bit", "8bit", "binary"}


class WebhookConf(AppConf):
    """The limits of a webhook: in bytes, events, and levels and values of JSON."""

    MAX_BODY_SIZE = 1024 * 1024
    MAX_EVENTS = 1000
    MAX_JSON_DEPTH = 31
    MAX_JSON_VALUES = 50000

    class Meta:
        prefix = "payment_webhooks"


def read_body(request: HttpRequest) -> bytes:
    """Return the raw body of a POST. Raises ``WebhookRefused`` if it can't be a webhook.

    The body stays available to middleware that reads it later, as a stream can't be read twice.
    """
    check_request(request)
    limit = settings.PAYMENT_WEBHOOKS_MAX_BODY_SIZE
    length = str(request.META.get("CONTENT_LENGTH") or "").strip()
    body = read_stream(request, length, limit + 1)
    leave_body(request, body)
    if len(body) > limit:
        raise WebhookRefused(413, "too_large", f"The body has more than {limit} bytes.")
    if not body or (length.isdecimal() and len(body) < int(length)):
        text = "The body is empty, or shorter than its Content-Length."
        raise WebhookRefused(400, "truncated", text)
    return body


def check_request(request: HttpRequest) -> None:
    """Raise ``WebhookRefused`` for a method other than POST, and for a compressed body."""
    if request.method != "POST":
        raise WebhookRefused(405, "method", "A webhook is sent with POST.", Allow="POST")
    codings = request.META.get("HTTP_CONTENT_ENCODING", "").lower().split(",")
    if not HARMLESS.issuperset(coding.strip() for coding in codings):
        text = "The body must come uncompressed: without such a Content-Encoding."
        raise WebhookRefused(415, "content_encoding", text)


def read_stream(request: HttpRequest, length: str, most: int) -> bytes:
    """Return as much of the body as can be read, or nothing if it makes no sense."""
    if length.startswith("-"):
        return b""  # not every server refuses it, and Django's reader then has no bounds
    # Django treats a body without Content-Length as empty; the server knows where a chunked one
    # ends.
    is_chunked = not length and request.META.get("wsgi.input_terminated")
    stream = request.META["wsgi.input"] if is_chunked else request
    try:
        return bytes(stream.read(most))
    except Exception:
        return b""  # the client disconnected, for which each server has its own errors


def leave_body(request: HttpRequest, body: bytes) -> None:
    """Set ``request.body`` to what was read, and ``request.POST`` to empty: parsing may raise."""
    request._body = body
    if not hasattr(request, "_post"):
        request._mark_post_parse_error()
