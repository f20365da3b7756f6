"""The webhook view: find the provider, read, verify, store, enqueue, answer."""

import time

from django.db import Error, connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from . import signals
from .conf import get_provider, settings
from .exceptions import Answered, WebhookRefused
from .receiving import receive_events

UNAVAILABLE = WebhookRefused(503, "database", "It is not stored. Send it again.", Retry_After="10")


@csrf_exempt
def receive_webhook(request: HttpRequest, provider: str = "default") -> HttpResponse:
    """Answer a webhook: 200 once its events are committed, else an error that says why not."""
    started = time.monotonic()
    try:
        if provider not in settings.PAYMENT_WEBHOOKS_PROVIDERS:
            raise WebhookRefused(404, "unknown_provider", "There is no such provider.")
        sender = get_provider(provider)
        body = sender.read_body(request)
        events = receive_events(sender, request.META, body, sender.verify(request.META, body))
        response = sender.answer(events)
    except Answered as ping:
        return ping.args[0]
    except (WebhookRefused, Error) as error:
        return refuse(provider, error, time.monotonic() - started)
    facts = {"provider": provider, "events": events, "seconds": time.monotonic() - started}
    signals.webhook_received.send_robust(receive_webhook, **facts)
    return response


# Set by hand: Django 1.11 lacks one decorator, and the other takes a single database.
receive_webhook.login_required = False
receive_webhook._non_atomic_requests = set(connections)


def refuse(provider: str, error: Exception, seconds: float) -> HttpResponse:
    """Report a refused webhook, and return the response to it."""
    refusal = error if isinstance(error, WebhookRefused) else UNAVAILABLE
    facts = {"provider": provider, "status": refusal.status, "reason": refusal.reason}
    signals.webhook_rejected.send_robust(receive_webhook, **facts, seconds=seconds, error=error)
    response = JsonResponse({"error": str(refusal)}, status=refusal.status)
    for name, value in refusal.headers.items():
        response[name.replace("_", "-")] = value
    return response
