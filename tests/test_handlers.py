"""Handlers: what they require, when they are ready, what their effect is called."""

from __future__ import annotations

import itertools

import pytest
from shop.models import Order

from django_payment_webhooks.exceptions import NothingToDo, PermanentFailure
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.operations.resolve import resolve
from django_payment_webhooks.publisher import process

from .doubles import Effect, OneEffect, PaidInFull, effect, handle
from .factories import EventFactory
from .rows import columns, effects, read

pytestmark = pytest.mark.django_db(transaction=True)


# ---- what makes ready


@pytest.mark.parametrize("status", [Event.RECEIVED, Event.IGNORED, Event.FAILED, Event.WAITING])
def test_what_was_not_applied_makes_nothing_ready(status, steps):
    steps("first", status=status, due_at=None)
    event = steps("second")
    process([event.pk])
    assert read(event).status == "waiting"


@pytest.mark.parametrize("status", [Event.APPLIED, Event.PROCESSED, Event.FAILED])
def test_what_was_applied_makes_ready_even_if_its_delivery_fails(status, steps):
    steps("first", status=status, idempotency_key="k", due_at=None)
    event = steps("second")
    process([event.pk])
    assert read(event).status == "processed"


def test_what_was_applied_to_another_order_makes_nothing_ready(steps):
    process([steps("first", order_id="A2").pk])
    event = steps("second")
    process([event.pk])
    assert read(event).status == "waiting"


def test_events_that_are_about_no_order_have_nothing_in_common(steps):
    process([steps("first", order_id="").pk])
    event = steps("second", order_id="")
    process([event.pk])
    assert read(event).status == "waiting"


def test_an_event_that_requires_two_waits_for_both(steps):
    process([steps("first").pk])
    event = steps("third")
    process([event.pk])
    assert (read(event).status, read(event).error) == ("waiting", "It waits for first, second.")


def test_a_handler_can_say_itself_whether_it_is_ready(settings, order, pass_time):
    handle(
        settings, parent=Effect, is_ready=lambda self, event: Order.objects.get().status == "packed"
    )
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, read(event).error) == ("waiting", "It waits for its handler.")
    Order.objects.update(status="packed")
    pass_time(30)
    process([event.pk])
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])


@pytest.mark.parametrize("status", [Event.RECEIVED, Event.WAITING, Event.IGNORED, Event.FAILED])
def test_an_effect_that_never_happened_makes_nothing_ready_and_a_duplicate_does(status, steps):
    first = steps("first", status=status, due_at=None)
    event = steps("second")
    process([event.pk])
    assert read(event).status == "waiting"
    Event.objects.filter(pk=first.pk).update(status=Event.DUPLICATE)
    Event.objects.filter(pk=event.pk).update(due_at=0)
    process([event.pk])
    assert read(event).status == "processed"


def test_an_event_does_not_make_itself_ready(settings, order):
    handle(settings, parent=Effect, requires=("charge.succeeded",))
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, effects()) == ("waiting", [])
    EventFactory(status=Event.PROCESSED, idempotency_key="k", due_at=None)
    Event.objects.filter(pk=event.pk).update(due_at=0)
    process([event.pk])
    assert read(event).status == "processed"


# ---- one effect under two types


@pytest.fixture
def shop_that_is_told_twice(settings, order):
    """Two types that say that an order is paid, and a refund that requires one of them."""

    def order_paid(self, event, order):
        effect(event)

    for name in ("charge.succeeded", "checkout.completed"):
        handle(settings, name, parent=PaidInFull, order_paid=order_paid)
    handle(settings, "refund.created", parent=Effect, requires=("charge.succeeded",))


PAID_TWICE = ("charge.succeeded", "checkout.completed", "refund.created")


@pytest.mark.parametrize("at_once", [True, False], ids=["one by one", "at the end"])
@pytest.mark.parametrize("types", list(itertools.permutations(PAID_TWICE)), ids=" ".join)
def test_a_duplicate_fulfils_what_waits_for_its_type_in_every_order(
    types, at_once, shop_that_is_told_twice, published
):
    for name in types:
        event = EventFactory(type=name, provider_event_id=name)
        if at_once:
            process([event.pk])
    if not at_once:
        process(list(Event.objects.values_list("pk", flat=True)))
    for _ in types:
        process(published())
    ends = {event.type: event.status for event in Event.objects.all()}
    assert ends.pop("refund.created") == "processed"
    assert sorted(ends.values()) == ["duplicate", "processed"]
    assert len(effects()) == 2
    assert "refund.created" in effects()
    assert Event.objects.filter(finished_at=None).count() == 0


@pytest.mark.parametrize("is_duplicate", [True, False])
def test_resolving_what_an_event_waits_for_releases_it(
    is_duplicate, shop_that_is_told_twice, published
):
    if is_duplicate:
        process([EventFactory(type="checkout.completed").pk])
    charge = EventFactory(status=Event.FAILED, due_at=None, provider_event_id="charge")
    refund = EventFactory(type="refund.created", provider_event_id="refund")
    process([refund.pk])
    assert read(refund).status == "waiting"
    assert resolve(read(charge), "Ada", "paid by bank transfer")
    assert read(charge).status == ("duplicate" if is_duplicate else "processed")
    assert published() == [refund.pk]
    process([refund.pk])
    assert read(refund).status == "processed"


# ---- nothing to do

VERBS = ["prepare", "idempotency_key", "is_ready", "apply"]


def do_nothing(self, event):
    """Say that the event has no effect."""
    effect(event)
    raise NothingToDo("The session is unpaid.")


@pytest.mark.parametrize("delivers", [False, True])
@pytest.mark.parametrize("verb", VERBS[1:])
def test_an_event_without_an_effect_is_ignored_and_claims_nothing(
    verb, delivers, settings, order, received_signals, published
):
    verbs = {verb: do_nothing}
    if delivers:
        verbs["deliver"] = lambda self, event: pytest.fail("there is nothing to deliver")
    if verb == "idempotency_key":
        # Not in the transaction: what it writes would stay.
        verbs[verb] = lambda self, event: raise_nothing_to_do()
    handle(settings, parent=Effect, **verbs)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.error, row.attempts) == ("ignored", "The session is unpaid.", 1)
    assert (row.idempotency_key, row.due_at, row.enqueue_at) == (None, None, None)
    assert effects() == []
    assert received_signals.names() == ["event_ignored"]
    assert published() == []


def raise_nothing_to_do():
    """Say that the event has no effect."""
    raise NothingToDo("The session is unpaid.")


def test_nothing_to_do_is_said_by_the_event_alone_before_anything_is_claimed(settings, order):
    handle(settings, parent=Effect, prepare=lambda self, event: raise_nothing_to_do())
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, read(event).error) == ("ignored", "The session is unpaid.")
    assert (read(event).version, effects()) == (2, [])


def test_nothing_to_deliver_ends_the_event_as_processed_with_the_reason(settings, order):
    handle(settings, parent=Effect, deliver=lambda self, event: raise_nothing_to_do())
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.error) == ("processed", "The session is unpaid.")
    assert row.idempotency_key == digest(f"event:{event.dedup_key}")
    assert effects() == [event.provider_event_id]


def test_an_ignored_event_does_not_make_ready(steps, settings):
    handle(settings, "first", prepare=lambda self, event: raise_nothing_to_do())
    process([steps("first").pk])
    event = steps("second")
    process([event.pk])
    assert read(event).status == "waiting"


@pytest.mark.parametrize("verb", ["prepare", "idempotency_key"])
@pytest.mark.parametrize("first", ["unpaid", "paid"])
def test_an_unpaid_event_and_a_paid_one_end_the_same_in_both_orders(
    first, verb, settings, order, received_signals
):
    """Asked before the claim, the unpaid one is ignored whether or not the effect was had."""

    def ask(self, event):
        if event.provider_event_id == "unpaid":
            raise_nothing_to_do()
        return "effect:A1"

    handle(settings, parent=OneEffect, **{verb: ask})
    names = sorted(["unpaid", "paid"], key=lambda name: name != first)
    events = {name: EventFactory(provider_event_id=name) for name in names}
    for name in names:
        process([events[name].pk])
    assert read(events["unpaid"]).status == "ignored"
    assert read(events["paid"]).status == "processed"
    assert effects() == ["paid"]
    assert received_signals.of("event_conflicted") == []


@pytest.mark.parametrize("verb", ["is_ready", "apply"])
def test_an_unpaid_event_does_not_keep_the_payment_that_follows_from_paying(verb, settings, order):
    def work(self, event):
        if event.provider_event_id == "unpaid":
            raise_nothing_to_do()
        if verb == "apply":
            effect(event)
        return True

    handle(settings, parent=OneEffect, **{verb: work})
    unpaid, paid = (EventFactory(provider_event_id=name) for name in ("unpaid", "paid"))
    process([unpaid.pk, paid.pk])
    assert [read(event).status for event in (unpaid, paid)] == ["ignored", "processed"]
    assert effects() == ["paid"]


# ---- the name of an effect


@pytest.mark.parametrize("name", ["", " ", None, 7, b"order-paid", ["order-paid"], object()])
def test_an_effect_without_a_name_fails_at_once_and_says_so(name, settings, order, published):
    handle(settings, parent=Effect, idempotency_key=lambda self, event: name)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, row.idempotency_key) == ("failed", 1, None)
    assert "idempotency_key()" in row.error
    assert effects() == []
    assert published() == []


# ---- methods that would do nothing in silence


async def do_async(self, event):
    effect(event)


def do_by_and_by(self, event):
    yield effect(event)


async def do_async_by_and_by(self, event):
    yield effect(event)


def wrapped(method):
    """Return a method as a decorator leaves it: not to be recognized from outside."""
    return lambda self, event: method(self, event)


UNFINISHED = [do_async, do_by_and_by, do_async_by_and_by]
UNFINISHED += [wrapped(method) for method in UNFINISHED]
NAMES = ["async", "generator", "async generator"]
NAMES += [f"{name} in a decorator" for name in NAMES]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("method", UNFINISHED, ids=NAMES)
@pytest.mark.parametrize("verb", [*VERBS, "deliver"])
def test_a_method_that_is_no_plain_function_fails_and_says_that_it_did_nothing(
    verb, method, settings, order
):
    handle(settings, parent=Effect, **{verb: method})
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts) == ("failed", 1)
    assert "async or a generator" in row.error
    applied = verb == "deliver"
    assert (row.idempotency_key is not None, len(effects())) == (applied, applied)


@pytest.mark.parametrize("verb", VERBS)
def test_a_handler_that_gives_up_gives_up_at_once_and_claims_nothing(verb, settings, order):
    def give_up(self, event):
        raise PermanentFailure("the order was deleted")

    handle(settings, parent=Effect, **{verb: give_up})
    event = EventFactory()
    process([event.pk])
    assert columns(event)["idempotency_key"] is None
    assert (read(event).status, effects()) == ("failed", [])
