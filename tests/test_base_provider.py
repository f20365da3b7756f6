"""The interface of a provider: a class that leaves out a part of it can't be used."""

import pytest
from django.http import HttpResponse
from django.utils import timezone

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.receiving import BaseProvider

METHODS = ["answer", "parse", "payload", "read", "read_body", "verify"]


class Partner(BaseProvider):
    """A third-party provider that needs nothing of ours."""

    def __init__(self, name):
        self.name = name

    def read_body(self, request):
        return request.read(100)

    def verify(self, meta, body):
        if meta.get("HTTP_X_TOKEN") != "good":
            raise WebhookRefused(401, "mismatch", "Wrong token.")
        return "token"

    def parse(self, meta, body):
        event = Event(provider_event_id="evt_1", type="charge.succeeded", body=body)
        event.provider = self.name
        event.dedup_key = digest(self.name, event.provider_event_id)
        event.occurred_at = timezone.now()
        event.fingerprint = body.decode()
        return [event]

    def payload(self, body):
        return {"text": body.decode()}

    def read(self, payload):
        return {"length": len(payload["text"])}

    def answer(self, events):
        return HttpResponse("new" if events[0].is_new else "thank you")


def test_a_provider_has_six_methods():
    assert sorted(BaseProvider.__abstractmethods__) == METHODS
    assert Partner("partner").name == "partner"


@pytest.mark.parametrize("name", METHODS)
def test_a_provider_without_one_of_the_methods_can_not_be_made(name):
    incomplete = type("Incomplete", (Partner,), {name: getattr(BaseProvider, name)})
    with pytest.raises(TypeError, match=name):
        incomplete("partner")


def test_the_declarative_provider_is_one():
    assert issubclass(Provider, BaseProvider)
    assert not Provider.__abstractmethods__


def test_an_event_needs_no_order():
    (event,) = Partner("partner").parse({}, b"hello")
    assert (event.order_id, event.order_key) == ("", "")


def test_a_class_with_these_methods_is_all_that_the_core_needs(
    transactional_db, settings, post, published, received_signals
):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"partner": {"BACKEND": f"{__name__}.Partner"}}
    assert post(b"hello", "partner").status_code == 401
    assert not Event.objects.exists()
    assert post(b"hello", "partner", HTTP_X_TOKEN="good").content == b"new"
    event = Event.objects.get()
    assert (event.provider, event.verified_by, event.order_id) == ("partner", "token", "")
    assert (event.payload, event.data) == ({"text": "hello"}, {"length": 5})
    assert published() == [event.pk]
    assert post(b"hello", "partner", HTTP_X_TOKEN="good").content == b"thank you"
    assert received_signals.of("event_conflicted") == []
    assert post(b"other", "partner", HTTP_X_TOKEN="good").content == b"thank you"
    (conflict,) = received_signals.of("event_conflicted")
    assert (conflict["event"], conflict["other"].pk) == (event, None)
    assert Event.objects.count() == 1
