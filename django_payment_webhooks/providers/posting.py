"""Posts a webhook as a provider does, and reads the answer."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.urls import reverse

from .escaping import escape
from .sending import Webhook

MAX_ANSWER = 64 * 1024  # bytes
HEADERS = {"Content-Type": "application/json", "User-Agent": "django-payment-webhooks"}


class Answer(NamedTuple):
    """The answer to a webhook. Its texts are safe to show."""

    status: int
    outcomes: list[str]
    event_ids: list[str]
    error: str
    bytes: int
    seconds: float


def find_webhook_path(provider: str) -> str:
    """Return the path that a provider posts to. Raises ``NoReverseMatch`` if there is none."""
    if provider == "default":
        return str(reverse("payment_webhooks:receive"))
    return str(reverse("payment_webhooks:receive_from", args=[provider]))


def post(url: str, webhook: Webhook, timeout: float) -> Answer:
    """Post a webhook once, and return the answer. Follows no redirects, as providers do not.

    Raises ``OSError``, ``http.client.HTTPException`` or ``ValueError`` if there is no answer.
    """
    parts = urlsplit(url)
    query = "&".join(text for text in (parts.query, webhook.query) if text)
    path = f"{parts.path}?{query}" if query else parts.path
    connection = connect(parts.scheme, parts.netloc.rpartition("@")[2], timeout)
    started = time.monotonic()
    try:
        connection.request("POST", path, webhook.body, {**HEADERS, **webhook.headers})
        response = connection.getresponse()
        body = response.read(MAX_ANSWER)
    finally:
        connection.close()
    return read_answer(response.status, body, time.monotonic() - started)


def connect(scheme: str, address: str, timeout: float) -> http.client.HTTPConnection:
    """Return a connection, not yet opened."""
    if scheme == "https":
        return http.client.HTTPSConnection(address, timeout=timeout)
    return http.client.HTTPConnection(address, timeout=timeout)


def read_answer(status: int, body: bytes, seconds: float) -> Answer:
    """Return an answer, whatever its body."""
    document = read_object(body)
    events = list_events(document)
    return Answer(
        status=status,
        outcomes=[escape(event["status"]) for event in events if "status" in event],
        event_ids=[escape(event["event_id"]) for event in events if "event_id" in event],
        error=escape(document.get("error", "")),
        bytes=len(body),
        seconds=round(seconds, 4),
    )


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, or an empty one for any other body."""
    try:
        document = json.loads(body.decode())
    except (RecursionError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def list_events(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an answer's part for each event."""
    events = document.get("events")
    if not isinstance(events, list):
        return [document]
    return [event for event in events if isinstance(event, dict)]
