"""The naive endpoint: compare the HMAC, insert a row, send a message."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from .tasks import process, process_with_orm

INSERT = """
    INSERT INTO naive_event (provider, event_id, type, order_id, body, received_at, status)
    VALUES ('default', %s, %s, %s, %s, %s, 'received')
    ON CONFLICT DO NOTHING RETURNING id
"""


@csrf_exempt
def receive(request: HttpRequest, task: Any = process) -> HttpResponse:
    """Store the event of a webhook, and send the worker a message about it."""
    if not is_genuine(request):
        return HttpResponse(status=401)
    store(json.loads(request.body.decode()), request.body, task)
    return JsonResponse({"status": "ok"})


@csrf_exempt
def receive_for_orm(request: HttpRequest) -> HttpResponse:
    """Do the same, for the worker that uses the ORM."""
    return receive(request, process_with_orm)


@csrf_exempt
def receive_many(request: HttpRequest) -> HttpResponse:
    """Store all events of a webhook, each with its own part of the body."""
    if not is_genuine(request):
        return HttpResponse(status=401)
    for event in json.loads(request.body.decode())["events"]:
        store(event, json.dumps(event).encode(), process)
    return JsonResponse({"status": "ok"})


def is_genuine(request: HttpRequest) -> bool:
    """Return whether the provider has signed the body."""
    secret = settings.PAYMENT_WEBHOOKS_PROVIDERS["default"]["SECRETS"][0]
    expected = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, request.META.get("HTTP_X_SIGNATURE", ""))


def store(event: dict, body: bytes, task: Any) -> None:
    """Insert the row of an event, and send its key if it is new."""
    values = [event["event_id"], event["type"], event["data"]["order_id"], body, timezone.now()]
    with connection.cursor() as cursor:
        cursor.execute(INSERT, values)
        row = cursor.fetchone()
    if row:
        task.delay(row[0])
