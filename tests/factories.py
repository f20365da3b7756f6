"""What the tests need to have: orders, what a provider sends about them, and its signature."""

import hashlib
import hmac
import json
import time

import factory
from django.utils import timezone
from shop.models import Order

from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.providers.comparison import find_fingerprint
from django_payment_webhooks.providers.payloads import load_json

SECRET = "a-secret-of-the-default-partner!"


def sign(body, secret=SECRET):
    """Return the default partner's signature of a body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class OrderFactory(factory.django.DjangoModelFactory):
    """An order of the shop that costs 10.00 EUR and is not paid."""

    class Meta:
        model = Order

    id = factory.Sequence("A{}".format)
    amount = "10.00"
    currency = "EUR"


class DataFactory(factory.DictFactory):
    """What an event of the default partner is about. Each event speaks of another charge."""

    order_id = "A1"
    charge_id = factory.Sequence("ch_{}".format)
    amount = "10.00"
    currency = "EUR"


class PayloadFactory(factory.DictFactory):
    """An event as the default partner sends it: what it is about is given as
    ``data__order_id="A7"``.
    """

    event_id = factory.Sequence("evt_{}".format)
    type = "charge.succeeded"
    created_at = "2026-11-23T10:00:00Z"
    data = factory.SubFactory(DataFactory)


def find_body_fingerprint(event):
    """Return the fingerprint of what an event's body says."""
    try:
        return find_fingerprint(load_json(event.body))
    except ValueError:
        return ""


class EventFactory(factory.django.DjangoModelFactory):
    """An event that was just stored and is due. Its body is made of the fields, or given as
    ``payload={...}``.
    """

    class Meta:
        model = Event

    class Params:
        data = {}
        payload = factory.LazyAttribute(
            lambda event: PayloadFactory(
                event_id=event.provider_event_id,
                type=event.type,
                **{
                    "data__" + name: value
                    for name, value in dict({"order_id": event.order_id}, **event.data).items()
                },
            )
        )

    provider = "default"
    provider_event_id = factory.Sequence("evt_stored_{}".format)
    dedup_key = factory.LazyAttribute(lambda event: digest(event.provider, event.provider_event_id))
    type = "charge.succeeded"
    order_id = "A1"
    order_key = factory.LazyAttribute(
        lambda event: digest(event.order_id) if event.order_id else ""
    )
    payment_id = factory.LazyAttribute(lambda event: str(event.data.get("charge_id") or ""))
    payment_key = factory.LazyAttribute(
        lambda event: digest(event.provider, event.payment_id) if event.payment_id else ""
    )
    occurred_at = factory.LazyFunction(timezone.now)
    received_at = factory.LazyFunction(timezone.now)
    body = factory.LazyAttribute(lambda event: json.dumps(event.payload).encode())
    fingerprint = factory.LazyAttribute(find_body_fingerprint)
    due_at = factory.LazyFunction(lambda: time.time())
    enqueue_at = factory.LazyAttribute(lambda event: event.due_at and event.due_at + 30)
