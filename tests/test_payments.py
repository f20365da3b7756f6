"""The abstract handlers: what they require, what they call an effect, what a host must write."""

import inspect

import pytest

from django_payment_webhooks.exceptions import PermanentFailure
from django_payment_webhooks.handlers import Handler
from django_payment_webhooks.models import Event
from django_payment_webhooks.payments import (
    DisputeOpenedHandler,
    OrderPaidHandler,
    RefundCreatedHandler,
    require,
)
from django_payment_webhooks.publisher import process

from .doubles import handle
from .factories import EventFactory

BUSINESS = [
    (OrderPaidHandler, "order_paid", ()),
    (RefundCreatedHandler, "refund_created", ("charge.succeeded",)),
    (DisputeOpenedHandler, "dispute_opened", ("charge.succeeded",)),
]


def concrete(parent, **members):
    """Return a handler that is complete."""
    hooks = {name: lambda self, event: None for name in parent.__abstractmethods__}
    return type("Concrete", (parent,), dict(hooks, **members))()


def event_about(**data):
    """Return an event that is not stored."""
    order_id = data.pop("order_id", "A1")
    return EventFactory.build(order_id=order_id, data=data)


def test_apply_is_all_that_must_be_written():
    assert Handler.__abstractmethods__ == {"apply"}
    with pytest.raises(TypeError):
        Handler()
    assert concrete(Handler).requires == ()


@pytest.mark.parametrize("parent, hook, requires", BUSINESS)
def test_a_business_handler_knows_all_but_its_effect(parent, hook, requires):
    assert parent.__abstractmethods__ == {hook}
    assert inspect.isabstract(parent)
    assert parent.requires == requires
    seen = []
    concrete(parent, **{hook: lambda self, event: seen.append(event)}).apply("the event")
    assert seen == ["the event"]


def test_an_effect_is_the_events_own_unless_the_handler_says_otherwise():
    handler = concrete(Handler)
    first, second = EventFactory.build(), EventFactory.build()
    assert handler.idempotency_key(first) == "event:" + first.dedup_key
    assert handler.idempotency_key(first) != handler.idempotency_key(second)


def test_an_order_is_paid_once_whoever_says_it():
    handler = concrete(OrderPaidHandler)
    assert handler.idempotency_key(event_about(order_id="A1")) == "order-paid:A1"
    other = EventFactory.build(order_id="A1", provider="timed", data={"charge_id": "another"})
    assert handler.idempotency_key(other) == "order-paid:A1"


@pytest.mark.parametrize(
    "parent, name", [(RefundCreatedHandler, "refund"), (DisputeOpenedHandler, "dispute")]
)
def test_a_refund_or_a_dispute_has_its_providers_name_for_it(parent, name):
    handler, field = concrete(parent), name + "_id"
    assert handler.idempotency_key(event_about(**{field: "x_1"})) == name + ":default:x_1"
    assert handler.idempotency_key(event_about(**{field: 17})) == name + ":default:17"
    assert handler.idempotency_key(event_about(**{field: 0})) == name + ":default:0"
    other = EventFactory.build(provider="timed", data={field: "x_1"})
    assert handler.idempotency_key(other) == name + ":timed:x_1"


@pytest.mark.parametrize(
    "parent, field", [(RefundCreatedHandler, "refund_id"), (DisputeOpenedHandler, "dispute_id")]
)
@pytest.mark.parametrize("missing", [{}, {"it": None}, {"it": ""}, {"it": "x_1", "order_id": ""}])
def test_an_event_without_its_id_or_its_order_is_a_permanent_failure(parent, field, missing):
    data = {field if name == "it" else name: value for name, value in missing.items()}
    with pytest.raises(PermanentFailure, match="has no (order_id|%s)" % field):
        concrete(parent).idempotency_key(event_about(**data))


def test_a_payment_without_an_order_is_a_permanent_failure():
    with pytest.raises(PermanentFailure, match="has no order_id"):
        concrete(OrderPaidHandler).idempotency_key(event_about(order_id=""))


def test_a_required_field_is_returned_as_text():
    event = event_about(refund_id=17, charge_id="ch_1")
    assert [require(event, name) for name in ("refund_id", "charge_id", "order_id")] == [
        "17",
        "ch_1",
        "A1",
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parent, hook, requires", BUSINESS)
def test_an_event_that_lacks_what_names_its_effect_fails_and_changes_nothing(
    parent, hook, requires, settings, received_signals, published
):
    handle(settings, "some.type", parent=parent, **{hook: lambda self, event: 1 / 0})
    event = EventFactory(type="some.type", order_id="")
    process([event.pk])
    row = Event.objects.get()
    assert (row.status, row.attempts, row.due_at, row.idempotency_key) == ("failed", 1, None, None)
    assert "The event has no order_id." in row.error
    assert received_signals.names() == ["event_failed"]
    assert published() == []


@pytest.mark.django_db(transaction=True)
def test_hooks_that_are_not_written_do_nothing(settings, received_signals):
    handle(settings)
    event = EventFactory()
    process([event.pk])
    row = Event.objects.get()
    assert (row.status, row.attempts) == ("processed", 1)
    assert received_signals.names() == ["event_processed"]


def wait(self, event):
    """Do nothing, as nobody asks for the first value. A coroutine would be the same, and warn."""
    yield


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parent, hook, requires", BUSINESS)
def test_a_hook_that_is_a_generator_fails_and_is_not_taken_for_done(
    parent, hook, requires, settings, received_signals
):
    members = {hook: wait, "is_ready": lambda self, event: True}
    handle(settings, "some.type", parent=parent, **members)
    event = EventFactory(type="some.type", data={"refund_id": "re_1", "dispute_id": "dp_1"})
    process([event.pk])
    row = Event.objects.get()
    assert (row.status, row.attempts, row.idempotency_key) == ("failed", 1, None)
    assert "async" in row.error
    assert received_signals.names() == ["event_failed"]
