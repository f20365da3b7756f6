"""The story: a payment provider sends webhooks to the shop, and each of them has exactly one
effect.

Everything comes over HTTP. Three things are played: the worker, which is called in place of a
Celery process; the warehouse, a small HTTP server that can be told to fail; and the passing of
time.
"""

import itertools
import json
import threading
import time

import pytest
from django.db import connections
from django.test import Client
from downstream import Downstream
from shop.models import Order, Refund

from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.testing import post_event

from .factories import PayloadFactory, sign

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def warehouse(settings):
    """The warehouse, which is told of each paid order."""
    with Downstream() as downstream:
        settings.DOWNSTREAM_URL = downstream.url
        yield downstream


@pytest.fixture
def charge(client):
    """Send that the order A1 was paid."""

    def charge(event_id="evt_charge", **fields):
        values = dict({"order_id": "A1", "charge_id": "ch_1", "amount": "10.00"}, **fields)
        return post_event("charge.succeeded", client=client, provider_event_id=event_id, **values)

    return charge


@pytest.fixture
def refund(client):
    """Send that 2.50 of the order A1 went back."""

    def refund(event_id="evt_refund", refund_id="re_1", amount="2.50"):
        values = {
            "provider_event_id": event_id,
            "order_id": "A1",
            "refund_id": refund_id,
            "amount": amount,
        }
        return post_event("refund.created", client=client, **values)

    return refund


@pytest.fixture
def dispute(client):
    """Send that the buyer disputes the payment of the order A1."""

    def dispute(event_id="evt_dispute", dispute_id="dp_1"):
        values = {"provider_event_id": event_id, "order_id": "A1", "dispute_id": dispute_id}
        return post_event("dispute.opened", client=client, **values)

    return dispute


def statuses():
    """Return the status of each event, by its id."""
    return dict(Event.objects.values_list("provider_event_id", "status"))


# ---- an order is paid


def test_a_signed_webhook_pays_the_order(order, charge, published, run_due, shop_state):
    answer = charge()
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "accepted", "event_id": "evt_charge"},
    )

    event = Event.objects.get()
    assert published() == [event.pk]
    assert shop_state()["orders"] == {"A1": "new"}

    assert run_due() == [event.pk]
    assert statuses() == {"evt_charge": "processed"}
    assert shop_state() == {
        "orders": {"A1": "paid"},
        "refunds": [],
        "disputes": [],
        "ledger": [("payment", "A1")],
    }
    assert Order.objects.get().paid_at == event.occurred_at


def test_the_same_webhook_again_has_no_side_effect(order, charge, published, run_due, shop_state):
    charge()
    published()
    run_due()
    before = Event.objects.values().get(), shop_state()

    for _ in range(3):
        answer = charge()
        assert (answer.status_code, answer.json()) == (
            200,
            {"status": "duplicate", "event_id": "evt_charge"},
        )
    assert published() == []
    assert run_due() == []
    assert (Event.objects.values().get(), shop_state()) == before


def test_the_same_webhook_twenty_times_at_once_is_stored_once_and_pays_once(
    order, published, run_due, shop_state
):
    body = json.dumps(PayloadFactory(event_id="evt_charge", data__order_id="A1")).encode()
    start, answers = threading.Barrier(20), []

    def send():
        client = Client()
        start.wait()
        answers.append(
            client.post(
                "/v1/webhooks/payment", body, "application/json", HTTP_X_SIGNATURE=sign(body)
            )
        )
        connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answer.status_code for answer in answers] == [200] * 20
    assert (
        sorted(answer.json()["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 19
    )
    assert set(published()) == {Event.objects.get().pk}
    run_due()
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_two_events_that_tell_of_one_payment_pay_the_order_once(
    order, charge, run_due, shop_state, received_signals
):
    charge("evt_1")
    charge("evt_2")
    run_due()
    assert statuses() == {"evt_1": "processed", "evt_2": "duplicate"}
    assert shop_state()["ledger"] == [("payment", "A1")]
    assert not received_signals.of("event_conflicted")


def test_a_second_charge_for_the_same_order_is_reported_loudly(
    order, charge, run_due, shop_state, received_signals
):
    charge("evt_1", charge_id="ch_1")
    charge("evt_2", charge_id="ch_2")
    run_due()
    assert statuses() == {"evt_1": "processed", "evt_2": "duplicate"}
    assert shop_state()["ledger"] == [("payment", "A1")]
    (facts,) = received_signals.of("event_conflicted")
    assert (facts["event"].provider_event_id, facts["other"].provider_event_id) == (
        "evt_1",
        "evt_2",
    )


# ---- someone else tries


def test_a_forged_webhook_is_answered_with_401_and_leaves_no_trace(
    order, charge, webhook, published, shop_state
):
    for signature in (None, "", "0" * 64, "nonsense"):
        answer = webhook(order_id="A1", signature=signature)
        assert (answer.status_code, answer.json()) == (
            401,
            {"error": "The signature does not match."},
        )
    assert not Event.objects.exists()
    assert published() == []
    assert shop_state()["orders"] == {"A1": "new"}


# ---- money goes back


def test_a_refund_is_recorded_once(order, charge, refund, run_due, shop_state):
    charge()
    run_due()
    for _ in range(3):
        assert refund().status_code == 200
        run_due()
    refund("evt_another_event_for_the_same_refund")
    run_due()
    assert shop_state()["refunds"] == [("A1", "re_1")]
    assert shop_state()["ledger"] == [("payment", "A1"), ("refund", "A1")]
    assert statuses()["evt_another_event_for_the_same_refund"] == "duplicate"


def test_two_partial_refunds_are_two_refunds_and_a_third_can_not_exceed_what_was_paid(
    order, charge, refund, run_due, shop_state
):
    charge()
    refund("evt_1", "re_1", "2.50")
    refund("evt_2", "re_2", "7.50")
    run_due()
    refund("evt_3", "re_3", "0.01")
    run_due()
    assert shop_state()["refunds"] == [("A1", "re_1"), ("A1", "re_2")]
    assert statuses()["evt_3"] == "failed"
    assert (
        "More would be refunded than was paid" in Event.objects.get(provider_event_id="evt_3").error
    )


def test_a_refund_before_its_charge_waits_and_is_released_by_it(
    order, charge, refund, published, run_due, shop_state, received_signals
):
    assert refund().json()["status"] == "accepted"
    run_due()
    waiting = Event.objects.get()
    assert (waiting.status, waiting.error) == ("waiting", "It waits for charge.succeeded.")
    assert shop_state()["refunds"] == []
    assert published() == [waiting.pk]

    charge()
    charged = Event.objects.latest("pk")
    assert run_due() == [charged.pk, waiting.pk]
    assert published() == [charged.pk, waiting.pk]
    assert statuses() == {"evt_refund": "processed", "evt_charge": "processed"}
    assert shop_state()["refunds"] == [("A1", "re_1")]
    (facts,) = received_signals.of("event_released")
    assert (facts["event"], facts["by"]) == (waiting, charged)


def test_a_refund_whose_charge_never_comes_fails_at_the_deadline_and_can_be_replayed(
    order, charge, refund, run_due, pass_time, shop_state, received_signals, settings
):
    refund()
    run_due()
    for _ in range(5):
        assert statuses() == {"evt_refund": "waiting"}
        pass_time(settings.PAYMENT_WEBHOOKS_WAIT_DEADLINE / 5 + 1)
        run_due()
    assert statuses() == {"evt_refund": "failed"}
    assert [facts["event"].error for facts in received_signals.of("event_failed")] == [
        Event.objects.get().error
    ]
    assert "did not come in time" in Event.objects.get().error
    assert Event.objects.get().attempts == 1

    charge()
    assert replay(Event.objects.get(provider_event_id="evt_refund"))
    run_due()
    assert statuses() == {"evt_refund": "processed", "evt_charge": "processed"}
    assert shop_state()["refunds"] == [("A1", "re_1")]


def test_a_dispute_is_noted_once_and_waits_for_its_charge_too(
    order, charge, dispute, run_due, shop_state
):
    dispute()
    run_due()
    assert shop_state()["disputes"] == []
    charge()
    run_due()
    dispute()
    dispute("evt_another_event_for_the_same_dispute")
    run_due()
    assert shop_state()["disputes"] == [("A1", "dp_1")]
    assert shop_state()["ledger"] == [("dispute", "A1"), ("payment", "A1")]


@pytest.mark.parametrize(
    "sequence", list(itertools.permutations(["charge", "refund", "dispute"])), ids="-".join
)
@pytest.mark.parametrize("work", ["after each", "at the end"])
def test_any_order_of_arrival_ends_in_the_same_state(
    order, charge, refund, dispute, run_due, shop_state, sequence, work
):
    send = {"charge": charge, "refund": refund, "dispute": dispute}
    for name in sequence + sequence[:2]:
        assert send[name]().status_code == 200
        if work == "after each":
            run_due()
    run_due()
    assert statuses() == dict.fromkeys(["evt_charge", "evt_refund", "evt_dispute"], "processed")
    assert shop_state() == {
        "orders": {"A1": "paid"},
        "refunds": [("A1", "re_1")],
        "disputes": [("A1", "dp_1")],
        "ledger": [("dispute", "A1"), ("payment", "A1"), ("refund", "A1")],
    }


# ---- the warehouse is not well


def test_the_warehouse_gets_a_paid_order_once(order, charge, warehouse, run_due):
    charge()
    charge("evt_2")
    run_due()
    event = Event.objects.get(provider_event_id="evt_charge")
    assert warehouse.calls() == {event.idempotency_key: 1}
    assert [call["order_id"] for call in warehouse.history()] == ["A1"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_flaky_warehouse_is_called_with_the_same_key_until_it_answers(
    order, charge, warehouse, run_due, pass_time, shop_state, received_signals, status
):
    warehouse.add_rule(status=status, times=3)
    charge()
    run_due()
    assert (statuses(), shop_state()["orders"]) == ({"evt_charge": "applied"}, {"A1": "paid"})

    pauses = []
    while statuses() == {"evt_charge": "applied"}:
        event = Event.objects.get()
        assert str(status) in event.error
        pauses.append(event.due_at - time.time())
        assert run_due() == []
        pass_time(pauses[-1] + 0.01)
        run_due()
    # 5, 10 and 20 seconds, less at most the half of it.
    assert [base / 2 - 1 < pause <= base for base, pause in zip([5, 10, 20], pauses)] == [True] * 3
    assert statuses() == {"evt_charge": "processed"}
    assert [call["status"] for call in warehouse.history()] == [status] * 3 + [200]
    assert warehouse.calls() == {Event.objects.get().idempotency_key: 4}
    assert len(received_signals.of("event_retried")) == 3
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_the_warehouse_decides_how_long_it_is_left_alone(order, charge, warehouse, run_due):
    warehouse.add_rule(status=429, retry_after=120)
    charge()
    run_due()
    assert 60 < Event.objects.get().due_at - time.time() <= 120


def test_a_warehouse_that_never_listens_makes_a_dead_letter_which_can_be_replayed(
    order, charge, warehouse, run_due, pass_time, shop_state, received_signals, settings
):
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 4
    warehouse.add_rule(status=503, times=1000)
    charge()
    for _ in range(10):
        run_due()
        pass_time(settings.PAYMENT_WEBHOOKS_BACKOFF_CEILING)
    event = Event.objects.get()
    assert (event.status, event.attempts, event.due_at, event.enqueue_at) == (
        "failed",
        4,
        None,
        None,
    )
    assert "503" in event.error
    assert len(warehouse.history()) == 4
    assert len(received_signals.of("event_failed")) == 1

    warehouse.reset()
    assert replay(event)
    run_due()
    assert statuses() == {"evt_charge": "processed"}
    assert warehouse.calls() == {event.idempotency_key: 1}
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_a_warehouse_that_says_no_is_not_asked_again(order, charge, warehouse, run_due, pass_time):
    warehouse.add_rule(status=422, times=1000)
    charge()
    run_due()
    pass_time(86400)
    run_due()
    assert statuses() == {"evt_charge": "failed"}
    assert len(warehouse.history()) == 1


def test_a_closed_warehouse_gets_the_order_when_it_opens(
    order, charge, warehouse, run_due, pass_time
):
    warehouse.stop()
    charge()
    run_due()
    assert statuses() == {"evt_charge": "applied"}
    warehouse.start()
    pass_time(60)
    run_due()
    assert statuses() == {"evt_charge": "processed"}


# ---- the shop itself is not well


@pytest.mark.parametrize("is_replayed", [True, False], ids=["replayed", "left to time"])
def test_a_charge_for_an_order_that_does_not_exist_yet_waits_for_it(
    is_replayed, charge, run_due, pass_time, shop_state, received_signals
):
    charge()
    run_due()
    assert statuses() == {"evt_charge": "waiting"}
    assert Event.objects.get().error == "There is no order A1 yet."
    assert len(received_signals.of("event_waiting")) == 1
    assert shop_state()["ledger"] == []

    Order.objects.create(pk="A1", amount="10.00", currency="EUR")
    if is_replayed:
        assert replay(Event.objects.get())
    else:
        pass_time(60)
    run_due()
    assert statuses() == {"evt_charge": "processed"}
    assert shop_state()["ledger"] == [("payment", "A1")]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"amount": "9.99"}, "9.99 EUR was paid, but the price is 10.00 EUR."),
        ({"amount": "10.001"}, "has more decimals than EUR"),
        ({"amount": "-10.00"}, "is negative"),
        ({"amount": "NaN"}, "is not a number"),
        ({"amount": "ten"}, "is not a number"),
        ({"amount": None}, "The event has no amount."),
        ({"currency": "USD"}, "10.00 USD was paid, but the price is 10.00 EUR."),
    ],
)
def test_a_payment_that_is_not_what_the_order_costs_does_not_pay_it(
    order, charge, run_due, shop_state, fields, error
):
    assert charge(**fields).status_code == 200
    run_due()
    assert (statuses(), shop_state()["orders"]) == ({"evt_charge": "failed"}, {"A1": "new"})
    assert error in Event.objects.get().error
    assert shop_state()["ledger"] == []


def test_an_error_in_the_middle_of_the_effects_undoes_them_and_is_retried(
    order, charge, refund, run_due, pass_time, shop_state, monkeypatch
):
    charge()
    run_due()
    create, errors = (
        Refund.objects.create,
        [RuntimeError("The disk is full."), RuntimeError("The disk is full.")],
    )

    def create_and_fail(**values):
        create(**values)
        if errors:
            raise errors.pop()

    monkeypatch.setattr(Refund.objects, "create", create_and_fail)
    refund()
    run_due()
    event = Event.objects.get(provider_event_id="evt_refund")
    assert (event.status, event.attempts, event.idempotency_key) == ("received", 1, None)
    assert shop_state()["refunds"] == []
    for _ in range(2):
        pass_time(60)
        run_due()
    assert statuses()["evt_refund"] == "processed"
    assert shop_state()["refunds"] == [("A1", "re_1")]
    assert shop_state()["ledger"] == [("payment", "A1"), ("refund", "A1")]
