"""The interface of a provider: a class that leaves out a part of it can't be used."""

import pytest
from django.http import HttpResponse
from django.utils import timezone
from django_payment_webhooks.interfaces import BaseProvider, ParsedEvent, Received

from django_payment_webhooks.models import Event
from django_payment_webhooks.providers import Provider

METHODS = ["answer", "load", "parse", "payload", "read", "verify"]


class Partner(BaseProvider):
    """A provider of somebody else's that needs nothing of ours."""

    def verify(self, meta, body):
        return "token"

    def parse(self, meta, body):
        return [ParsedEvent("evt_1", "charge.succeeded", timezone.now())]

    def load(self, body):
        return body.decode()

    def payload(self, document, path):
        return {"text": document}

    def read(self, payload):
        return payload

    def answer(self, received):
        return HttpResponse("thank you")


def test_a_provider_has_six_methods_and_a_name():
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


def test_an_event_needs_no_order_and_no_path():
    (event,) = Partner("partner").parse({}, b"")
    assert (event.order_id, event.payload_path) == ("", "")


def test_what_was_received_is_an_event_and_whether_it_is_new():
    event = Event(provider_event_id="evt_1")
    received = Received(event, True)
    assert (received.event, received.is_new) == (event, True)
    assert tuple(received) == (event, True)
