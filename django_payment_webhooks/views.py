"""The webhook's view: find the provider, read, verify, store and enqueue, answer."""

import time

from django.db import Error, connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from . import signals
from .conf import get_provider, settings
from .exceptions import WebhookRefused
from .processing import receive_events

UNAVAILABLE = WebhookRefused(
    503, "database", "The events could not be stored. Send them again.", Retry_After="10"
)


@csrf_exempt
def receive_webhook(request: HttpRequest, provider: str = "default") -> HttpResponse:
    """Answer a webhook: 200 once its events are committed, or a JSON object that says what is wrong with it."""
    started = time.monotonic()
    try:
        sender = find_provider(request, provider)
        body = read_body(request)
        outcomes = receive_events(
            sender, request.META, body, verified_by=sender.verify(request.META, body)
        )
        response, signal, facts = (
            sender.answer(outcomes),
            signals.webhook_received,
            {"outcomes": outcomes},
        )
    except (WebhookRefused, Error) as error:
        refusal = error if isinstance(error, WebhookRefused) else UNAVAILABLE
        response = JsonResponse({"error": str(refusal)}, status=refusal.status)
        signal, facts = (
            signals.webhook_rejected,
            {"status": refusal.status, "reason": refusal.reason},
        )
        for name, value in refusal.headers.items():
            response[name.replace("_", "-")] = value
    signal.send_robust(
        receive_webhook, provider=provider, seconds=time.monotonic() - started, **facts
    )
    return response


# Set by hand, as the decorators came later than Django 1.11, or name one database only.
receive_webhook.login_required = False
receive_webhook._non_atomic_requests = set(connections)


def find_provider(request: HttpRequest, name: str):
    """Return the provider. Raises ``WebhookRefused`` for a request that can't be one of its webhooks."""
    if name not in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        raise WebhookRefused(404, "unknown_provider", "There is no such provider.")
    if request.method != "POST":
        raise WebhookRefused(405, "method", "A webhook is sent with POST.", Allow="POST")
    if request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise WebhookRefused(
            415, "content_encoding", "The body must come without a Content-Encoding."
        )
    return get_provider(name)


def read_body(request: HttpRequest) -> bytes:
    """Return the raw body. Raises ``WebhookRefused`` if it is empty, incomplete or too large."""
    limit, length = (
        settings.PAYMENT_WEBHOOKS_MAX_BODY_SIZE,
        str(request.META.get("CONTENT_LENGTH") or ""),
    )
    # Django takes a body without Content-Length for empty; the server knows where a chunked one
    # ends.
    chunked = not length and request.META.get("wsgi.input_terminated")
    try:
        # Not every server refuses a negative length, and Django's reader has no bounds then.
        body = (
            b""
            if length.startswith("-")
            else (request.META["wsgi.input"] if chunked else request).read(limit + 1)
        )
    except Exception:
        body = b""  # the client went away, or its chunks make no sense: each server has errors of its own for that
    if len(body) > limit:
        raise WebhookRefused(413, "too_large", "The body has more than %d bytes." % limit)
    if not body or length.isdecimal() and len(body) < int(length):
        raise WebhookRefused(
            400, "truncated", "The body is empty, or shorter than its Content-Length."
        )
    return body
