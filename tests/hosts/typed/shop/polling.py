"""What the host receives on another road, and what it hears of its events."""

from __future__ import annotations

import json
import logging
from typing import Any, assert_type

from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from django_payment_webhooks import signals, testing
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event
from django_payment_webhooks.receiving import BaseProvider, receive_events
from django_payment_webhooks.views import receive_webhook

log = logging.getLogger(__name__)


def receive_fetched(fetched: dict[str, Any]) -> bool:
    provider = get_provider("default")
    assert_type(provider, BaseProvider)
    (stored,) = receive_events(provider, {}, json.dumps(fetched).encode(), verified_by="polling")
    assert_type(stored, Event)
    assert_type(stored.is_new, bool)
    return stored.is_new


def count_failed() -> int:
    event = Event.objects.filter(status=Event.FAILED).order_by("pk").first()
    assert_type(event, Event | None)
    assert_type(Event.objects.get(pk=1), Event)
    return Event.objects.filter(status=Event.FAILED).count()


@receiver(signals.event_failed)
def alarm(sender: type[Event], event: Event, error: Exception | None, **kwargs: Any) -> None:
    log.error("%s: %s", event.order_id, error)


signals.webhook_rejected.connect(alarm)


def at_an_address_of_our_own(request: HttpRequest) -> HttpResponse:
    return receive_webhook(request, "acquirer")


def test_an_order_is_paid() -> None:
    with testing.without_broker():
        answer = testing.post_event("charge.succeeded", order_id="A1", amount="10.00")
        assert answer.status_code == 200
        assert_type(testing.run_due(), list[Event])
