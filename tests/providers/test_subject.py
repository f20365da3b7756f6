"""What an event is about: its order or its payment, by which it waits, and learns its order."""

from __future__ import annotations

import itertools

import pytest

from django_payment_webhooks import retrying
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.providers.subject import (
    find_by_event,
    find_by_order,
    find_by_payment,
    find_order,
    find_related,
)
from django_payment_webhooks.publisher import process
from django_payment_webhooks.sweeper import sweep
from django_payment_webhooks.testing import post_event

from ..doubles import Effect, handle
from ..factories import SECRET, EventFactory
from ..rows import effects, read

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def handlers(settings, order):
    """A charge, and a refund that requires one; each leaves an entry in the ledger."""
    seen = []

    def apply(self, event):
        seen.append((event.type, event.order_id))

    handle(settings, "charge.succeeded", apply=apply)
    handle(settings, "refund.created", apply=apply, requires=("charge.succeeded",))
    return seen


def charge(**fields):
    return EventFactory(payment_id="pay_1", **fields)


def refund(**fields):
    """Return a refund that names the payment alone."""
    values = {"type": "refund.created", "order_id": "", "payment_id": "pay_1", **fields}
    return EventFactory(**values)


# ---- waits for it, and is released by it


def test_a_refund_that_names_only_the_payment_waits_for_its_charge(handlers):
    event = refund()
    process([event.pk])
    row = read(event)
    assert (row.status, row.error) == ("waiting", "It waits for charge.succeeded.")
    assert (row.order_id, handlers) == ("", [])


@pytest.mark.parametrize("first", ["charge", "refund"])
def test_a_refund_that_names_only_the_payment_finds_its_order_in_both_orders_of_arrival(
    first, handlers, published
):
    make = [refund, charge] if first == "refund" else [charge, refund]
    for build in make:
        process([build().pk])
        process(published())
    row = Event.objects.get(type="refund.created")
    assert (row.status, row.order_id, row.order_key) == ("processed", "A1", digest("A1"))
    assert handlers == [("charge.succeeded", "A1"), ("refund.created", "A1")]
    assert Event.objects.filter(finished_at=None).count() == 0


@pytest.mark.parametrize("names", list(itertools.permutations(["charge", "payment", "order"])))
def test_refunds_by_the_order_and_by_the_payment_end_the_same_in_every_order(
    names, handlers, published
):
    build = {
        "charge": charge,
        "payment": lambda: refund(data={"refund_id": "re_1"}),
        "order": lambda: refund(order_id="A1", payment_id="", data={"refund_id": "re_2"}),
    }
    for name in names:
        process([build[name]().pk])
        process(published())
    assert set(Event.objects.values_list("status", "order_id")) == {("processed", "A1")}
    assert len(handlers) == 3


def test_a_charge_that_names_only_the_payment_fulfils_who_names_the_payment(handlers, published):
    process([charge(order_id="").pk])
    event = refund(order_id="A1")
    process([event.pk])
    assert read(event).status == "processed"


def test_the_charge_of_another_payment_neither_fulfils_nor_names_its_order(handlers):
    process([EventFactory(payment_id="pay_2").pk])
    event = refund()
    process([event.pk])
    assert (read(event).status, read(event).order_id) == ("waiting", "")


def test_the_same_payment_id_at_another_account_is_another_payment(handlers):
    process([charge(provider="timed").pk])
    event = refund()
    process([event.pk])
    assert (read(event).status, read(event).order_id) == ("waiting", "")


def test_events_that_are_about_nothing_have_nothing_in_common(handlers):
    process([EventFactory(order_id="").pk])
    event = refund(payment_id="")
    process([event.pk])
    assert read(event).status == "waiting"
    assert list(find_related(event)) == []


def test_a_refund_learns_its_order_from_a_charge_applied_while_it_is_prepared(
    handlers, monkeypatch
):
    """It comes after the refund has looked for its order, and before it is applied."""
    came, learn_order = [], retrying.learn_order

    def learn_too_early(event):
        learn_order(event)
        if not came:
            came.append(charge(status=Event.PROCESSED, idempotency_key="k", due_at=None))

    monkeypatch.setattr(retrying, "learn_order", learn_too_early)
    event = refund()
    process([event.pk])
    assert (read(event).status, read(event).order_id) == ("processed", "A1")
    assert handlers == [("refund.created", "A1")]


def test_the_sweeper_finds_what_was_not_released(handlers, pass_time):
    event = refund()
    process([event.pk])
    charge(status=Event.PROCESSED, idempotency_key="k", due_at=None, enqueue_at=None)
    pass_time(60)
    sweep(process)
    assert (read(event).status, read(event).order_id) == ("processed", "A1")


def test_a_refund_that_fails_is_found_by_the_order_that_it_learned(settings, handlers):
    handle(settings, "refund.created", apply=lambda self, event: 1 / 0)
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 1
    process([charge().pk])
    event = refund()
    process([event.pk])
    assert (read(event).status, read(event).order_id) == ("failed", "A1")
    assert event in find_by_order("A1")


def test_an_event_that_knows_its_order_learns_no_other():
    charge(order_id="A2")
    assert find_order(refund(order_id="A1")) is None
    assert find_order(refund(payment_id="")) is None
    assert find_order(refund()) == ("A2", digest("A2"))


def test_a_webhook_that_names_only_the_payment_is_about_it(handlers, settings, published):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"SECRETS": [SECRET]}}
    assert post_event("refund.created", charge_id="pay_1", refund_id="re_1").status_code == 200
    row = Event.objects.get()
    assert (row.order_id, row.payment_id) == ("", "pay_1")
    assert row.payment_key == digest("default", "pay_1")
    assert post_event("charge.succeeded", charge_id="pay_1", order_id="A1").status_code == 200
    process(published())
    process(published())
    assert set(Event.objects.values_list("status", "order_id")) == {("processed", "A1")}


# ---- two shops, two endpoints


@pytest.fixture
def shops(settings, order):
    """Two shops with the same order numbers, and two endpoints of one account."""
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "north": {"SECRETS": [SECRET], "SHOP": "north", "ACCOUNT": "ours"},
        "south": {"SECRETS": [SECRET], "SHOP": "south", "ACCOUNT": "ours"},
    }
    handle(settings, parent=Effect, idempotency_key=lambda self, event: event.order_key)


def test_two_shops_with_one_order_number_are_both_paid(shops, published):
    for name in ("north", "south"):
        post_event("charge.succeeded", provider=name, order_id="1001", charge_id=f"pay_{name}")
    process(published())
    assert list(Event.objects.values_list("status", flat=True)) == ["processed"] * 2
    assert len(effects()) == 2
    assert find_by_order("1001").count() == 2


def test_two_endpoints_of_one_account_store_an_event_once(shops):
    for name in ("north", "south"):
        post_event("charge.succeeded", provider=name, order_id="1", provider_event_id="evt_1")
    assert Event.objects.count() == 1


# ---- what an operator searches for


def test_events_are_found_by_their_order_with_those_of_its_payments():
    events = [charge(), refund(), EventFactory(order_id="A1")]
    EventFactory(order_id="A2", payment_id="pay_2")
    assert set(find_by_order("A1")) == set(events)
    assert list(find_by_order("A3")) == []
    assert list(find_by_order("")) == []


def test_events_are_found_by_their_payment_and_their_id():
    event = charge(provider_event_id="evt_1")
    EventFactory()
    assert list(find_by_payment("pay_1")) == list(find_by_event("evt_1")) == [event]


def test_a_provider_that_can_not_be_loaded_hides_no_event_of_the_others(settings):
    event = charge()
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "broken": {"BACKEND": "no.such.Provider"},
        **settings.PAYMENT_WEBHOOKS_PROVIDERS,
    }
    assert list(find_by_payment("pay_1")) == [event]
