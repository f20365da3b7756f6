"""The shop: its money guards, what it tells the warehouse, and its commands."""

import io
import json

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db import connection
from downstream import Downstream
from shop.models import Dispute, LedgerEntry, Order, Refund

from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import process
from django_payment_webhooks.testing import assert_one_outcome, crash_after_effect

from .factories import EventFactory, OrderFactory

pytestmark = pytest.mark.django_db


def happen(event_type, order_id="A1", **data):
    """Have a worker process a new event, and return it as its row is then."""
    event = EventFactory(type=event_type, order_id=order_id, data=data)
    process([event.pk])
    return Event.objects.get(pk=event.pk)


def pay(order_id="A1", **data):
    return happen("charge.succeeded", order_id, **data)


def refund(refund_id="re_1", amount="2.50", order_id="A1", **data):
    return happen("refund.created", order_id, refund_id=refund_id, amount=amount, **data)


def dispute(dispute_id="dp_1", order_id="A1", **data):
    return happen("dispute.opened", order_id, dispute_id=dispute_id, **data)


def check_failed(event, error):
    """Check that an event failed at its first attempt, for this reason."""
    assert (event.status, event.attempts, event.idempotency_key) == (Event.FAILED, 1, None)
    assert event.error.startswith("PermanentFailure(")
    assert error in event.error


def ledger():
    """Return every effect, in the order in which it happened."""
    return list(
        LedgerEntry.objects.order_by("pk").values_list("kind", "order_id", "reference", "amount")
    )


def as_text(rows):
    """Return rows with their sums of money as text, so that 2.5 and 2.50 differ."""
    return [tuple(None if value is None else str(value) for value in row) for row in rows]


@pytest.fixture
def order(db):
    """The order A1 of 10.00 EUR. Nothing here happens on commit, so each test can end by a
    rollback, which is quick.
    """
    return OrderFactory(id="A1")


@pytest.fixture
def paid(order):
    """The order A1, paid."""
    assert pay(charge_id="ch_1").status == Event.PROCESSED
    return Order.objects.get()


# ---- an order is paid


@pytest.mark.parametrize("amount", ["10.00", "10", "10.0", "10.000", 10])
def test_an_order_is_paid_by_what_it_costs_however_that_is_written(order, amount):
    event = pay(amount=amount, charge_id="ch_1")
    paid = Order.objects.get()
    assert event.status == Event.PROCESSED
    assert (paid.status, paid.paid_at) == (Order.PAID, event.occurred_at)
    assert as_text(ledger()) == [("payment", "A1", "ch_1", "10.00")]


def test_a_payment_without_a_charge_id_is_still_a_payment(order):
    assert pay(charge_id=None).status == Event.PROCESSED
    assert as_text(ledger()) == [("payment", "A1", "", "10.00")]


def why_unread(amount):
    """Return what an event says of an amount that is no sum of money."""
    if amount in (None, ""):
        return "The event has no amount."
    return "The event's amount can't be read: the amount"


BAD_SUMS = [
    "-0",
    "-10.00",
    "10.001",
    "0.001",
    "1e-2000000",
    "2.50000000000000000000000000000000000001",
    "1e1000000",
    "1e999999",
    "1e400",
    "NaN",
    "sNaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "ten",
    "",
    "1e1",
    "10,00",
    "1,000.00",
    "10.00 EUR",
    None,
    True,
    False,
    [],
    ["10.00"],
    {},
]


@pytest.mark.parametrize("amount", BAD_SUMS, ids=repr)
def test_what_is_no_sum_of_money_does_not_pay_an_order(order, amount):
    check_failed(pay(amount=amount), why_unread(amount))
    assert Order.objects.get().status == Order.NEW
    assert ledger() == []


@pytest.mark.parametrize("amount", BAD_SUMS, ids=repr)
def test_what_is_no_sum_of_money_is_not_refunded(paid, amount):
    check_failed(refund(amount=amount), why_unread(amount))
    assert not Refund.objects.exists()
    assert len(ledger()) == 1


def test_a_payment_whose_amount_is_missing_altogether_does_not_pay_an_order(order):
    payload = {
        "event_id": "evt_1",
        "type": "charge.succeeded",
        "data": {"order_id": "A1", "currency": "EUR"},
    }
    event = EventFactory(provider_event_id="evt_1", payload=payload)
    process([event.pk])
    check_failed(Event.objects.get(), "The event has no amount.")
    assert Order.objects.get().status == Order.NEW


@pytest.mark.parametrize("amount", ["9.99", "10.01", "0.01", "0.00", "1000000000000000.00"])
def test_another_amount_than_the_order_costs_does_not_pay_it(order, amount):
    check_failed(pay(amount=amount), f"{amount} EUR was paid, but the price is 10.00 EUR.")
    assert Order.objects.get().status == Order.NEW
    assert ledger() == []


@pytest.mark.parametrize("currency", ["USD", "usd", "EUR ", "", None, 978, ["EUR"]], ids=repr)
def test_another_currency_than_the_orders_neither_pays_nor_refunds(order, currency):
    is_read = currency in ("USD", "usd")
    reason = "10.00 USD was paid, but the price is 10.00 EUR." if is_read else "the currency"
    check_failed(pay(currency=currency), reason)
    assert (Order.objects.get().status, ledger()) == (Order.NEW, [])
    assert pay().status == Event.PROCESSED
    reason = "2.50 USD, but 10.00 EUR is left." if is_read else "the currency"
    check_failed(refund(currency=currency), reason)
    assert (Refund.objects.count(), len(ledger())) == (0, 1)


def test_a_currency_in_lower_case_is_the_orders(order):
    assert pay(currency="eur").status == Event.PROCESSED
    assert refund(currency="eur").status == Event.PROCESSED


def test_an_order_that_does_not_exist_is_waited_for_and_not_paid(order):
    event = pay("A2")
    assert (event.status, event.idempotency_key) == (Event.WAITING, None)
    assert event.error == "There is no order A2 yet."
    check_failed(pay(""), "The event has no order_id, and no payment_id")
    assert (Order.objects.get().status, ledger()) == (Order.NEW, [])


@pytest.mark.parametrize("order_id", ["a1", "A1 ", " A1", "Á1", "A1\u200d"], ids=ascii)
def test_an_order_id_that_is_only_similar_pays_nothing_on_every_database(order, order_id):
    event = pay(order_id)
    assert (event.status, event.idempotency_key) == (Event.WAITING, None)
    assert event.error.startswith("There is no order")
    assert (Order.objects.get().status, ledger()) == (Order.NEW, [])
    # It was not taken for the effect of that order either.
    assert pay().status == Event.PROCESSED
    assert as_text(ledger())[0][:2] == ("payment", "A1")


@pytest.mark.parametrize("order_id", ["a1", "A1 ", "Á1"], ids=ascii)
def test_a_refund_of_an_order_id_that_is_only_similar_waits_for_a_charge_of_its_own(paid, order_id):
    assert refund(order_id=order_id).status == Event.WAITING
    assert dispute(order_id=order_id).status == Event.WAITING
    assert (Refund.objects.count(), Dispute.objects.count(), len(ledger())) == (0, 0, 1)


def test_an_order_is_marked_once_however_many_events_say_that_it_was_paid(paid):
    assert [pay(charge_id="ch_1").status for _ in range(3)] == [Event.DUPLICATE] * 3
    assert Order.objects.get().paid_at == paid.paid_at
    assert len(ledger()) == 1


# ---- money goes back


def test_partial_refunds_are_recorded_up_to_what_was_paid_and_not_a_cent_beyond(paid):
    for number, amount in enumerate(["2.50", "0.01", "7.48"]):
        assert refund("re_%d" % number, amount).status == Event.PROCESSED
    check_failed(refund("re_3", "0.02"), "More would be refunded than was paid: ")
    assert refund("re_4", "0.01").status == Event.PROCESSED
    check_failed(refund("re_5", "0.01"), "More would be refunded than was paid: ")
    refunds = list(Refund.objects.order_by("pk").values_list("order_id", "refund_id", "amount"))
    assert as_text(refunds) == [
        ("A1", "re_0", "2.50"),
        ("A1", "re_1", "0.01"),
        ("A1", "re_2", "7.48"),
        ("A1", "re_4", "0.01"),
    ]
    assert as_text(ledger())[1:] == [("refund",) + row for row in as_text(refunds)]


@pytest.mark.parametrize("amount", ["10.01", "1000000000000000"])
def test_one_refund_of_more_than_was_paid_is_not_recorded(paid, amount):
    check_failed(refund(amount=amount), "More would be refunded than was paid: ")
    assert (Refund.objects.count(), len(ledger())) == (0, 1)


def test_the_refunds_of_another_order_do_not_count(paid):
    OrderFactory(id="A2")
    assert pay("A2").status == Event.PROCESSED
    assert refund("re_1", "10.00").status == Event.PROCESSED
    assert refund("re_2", "10.00", order_id="A2").status == Event.PROCESSED
    assert sorted(Refund.objects.values_list("order_id", "refund_id")) == [
        ("A1", "re_1"),
        ("A2", "re_2"),
    ]


def test_one_refund_is_recorded_once_however_many_events_tell_of_it(paid):
    assert [refund().status for _ in range(3)] == [
        Event.PROCESSED,
        Event.DUPLICATE,
        Event.DUPLICATE,
    ]
    assert (Refund.objects.count(), len(ledger())) == (1, 2)


@pytest.mark.parametrize("refund_id", [None, ""])
def test_a_refund_without_an_id_is_not_recorded_as_it_could_be_recorded_twice(paid, refund_id):
    check_failed(refund(refund_id), "The event has no refund_id.")
    assert (Refund.objects.count(), len(ledger())) == (0, 1)


def test_a_refund_id_that_is_a_number_is_recorded_as_text(paid):
    assert refund(42).status == Event.PROCESSED
    assert Refund.objects.get().refund_id == "42"


def test_a_refund_before_its_charge_waits(order):
    assert refund().status == Event.WAITING
    assert (Refund.objects.count(), ledger()) == (0, [])


# ---- the buyer disputes the payment


def test_a_dispute_is_noted_once_and_changes_neither_the_order_nor_its_refunds(paid):
    assert refund().status == Event.PROCESSED
    assert [dispute().status for _ in range(2)] == [Event.PROCESSED, Event.DUPLICATE]
    assert list(Dispute.objects.values_list("order_id", "dispute_id")) == [("A1", "dp_1")]
    assert as_text(ledger())[2:] == [("dispute", "A1", "dp_1", None)]
    assert Order.objects.get().status == Order.PAID
    assert Refund.objects.count() == 1


def test_two_disputes_of_one_order_are_two(paid):
    assert dispute("dp_1").status == dispute("dp_2").status == Event.PROCESSED
    assert sorted(Dispute.objects.values_list("dispute_id", flat=True)) == ["dp_1", "dp_2"]


def test_a_dispute_without_an_id_or_before_its_charge_is_not_noted(order):
    check_failed(dispute(None), "The event has no dispute_id.")
    assert dispute().status == Event.WAITING
    assert (Dispute.objects.count(), ledger()) == (0, [])


# ---- any order of arrival, and any process dies


def know():
    """Return what the shop knows, but for its keys."""
    return as_text(Order.objects.values_list("pk", "status")) + sorted(as_text(ledger()))


def test_the_shop_knows_the_same_in_whatever_order_its_events_come(order):
    charge = {"type": "charge.succeeded", "order_id": "A1", "charge_id": "ch_1"}
    refund = {"type": "refund.created", "order_id": "A1", "refund_id": "re_1", "amount": "2.50"}
    dispute = {
        "type": "dispute.opened",
        "order_id": "A1",
        "dispute_id": "dp_1",
        "provider": "timed",
    }
    effects = [
        ("dispute", "A1", "dp_1", None),
        ("payment", "A1", "ch_1", "10.00"),
        ("refund", "A1", "re_1", "2.50"),
    ]
    assert assert_one_outcome([charge, refund, dispute], know) == [("A1", "paid"), *effects]


@pytest.mark.parametrize("happening", [pay, refund, dispute])
def test_a_worker_that_dies_before_the_commit_leaves_nothing_and_the_next_one_has_each_effect_once(
    order, settings, pass_time, run_due, happening
):
    if happening is not pay:
        assert pay().status == Event.PROCESSED
    before = know()
    with crash_after_effect():
        happening()
    assert know() == before
    pass_time(settings.PAYMENT_WEBHOOKS_LEASE)
    run_due()
    assert Event.objects.latest("pk").status == Event.PROCESSED
    assert len(know()) == len(before) + 1


# ---- the warehouse


@pytest.fixture
def warehouse(settings):
    """The warehouse, which is told of each paid order."""
    with Downstream() as downstream:
        settings.DOWNSTREAM_URL = downstream.url
        yield downstream


def test_the_warehouse_gets_the_order_with_the_events_idempotency_key(order, warehouse):
    event = pay()
    assert event.status == Event.PROCESSED
    assert len(event.idempotency_key) == 32
    assert [(call["key"], call["order_id"]) for call in warehouse.history()] == [
        (event.idempotency_key, "A1")
    ]


def test_the_warehouse_gets_only_payments_and_only_good_ones(order, warehouse):
    check_failed(pay(amount="9.00"), "was paid")
    assert warehouse.history() == []
    event = pay()
    refund()
    dispute()
    pay()
    assert warehouse.calls() == {event.idempotency_key: 1}


def test_a_repeated_delivery_has_the_same_key_and_does_not_pay_again(
    order, warehouse, pass_time, run_due
):
    warehouse.add_rule(status=500)
    warehouse.add_rule(close=True)
    event = pay()
    assert (event.status, Order.objects.get().status, len(ledger())) == (
        Event.APPLIED,
        Order.PAID,
        1,
    )
    while Event.objects.get().status == Event.APPLIED:
        pass_time(60)
        run_due()
    assert Event.objects.get().status == Event.PROCESSED
    assert warehouse.calls() == {event.idempotency_key: 3}
    assert [call["status"] for call in warehouse.history()] == [500, None, 200]
    assert len(ledger()) == 1


def test_a_warehouse_that_hangs_is_not_waited_for_longer_than_the_timeout(
    order, warehouse, settings
):
    settings.DOWNSTREAM_TIMEOUT = 0.2
    warehouse.add_rule(hang=30)
    event = pay()
    assert event.status == Event.APPLIED
    assert "ReadTimeout" in event.error
    assert Order.objects.get().status == Order.PAID


def test_without_an_address_no_warehouse_is_called(order, settings, monkeypatch):
    settings.DOWNSTREAM_URL = ""
    monkeypatch.setattr(requests, "post", None)  # which can't be called
    assert pay().status == Event.PROCESSED


# ---- the admin


@pytest.fixture
def operator(admin_user, client):
    """Return the browser of a superuser."""
    client.force_login(admin_user)
    return client


def test_what_the_handlers_wrote_can_be_read_in_the_admin_and_not_changed(paid, operator):
    refund("re_1")
    dispute("dp_1")
    payment = LedgerEntry.objects.get(kind="payment")
    rows = {
        "refund": Refund.objects.get(),
        "dispute": Dispute.objects.get(),
        "ledgerentry": payment,
    }
    for model, row in rows.items():
        url = "/admin/shop/%s/" % model
        for page in (url, url + "?q=A1", "%s%d/change/" % (url, row.pk)):
            answer = operator.get(page)
            assert answer.status_code == 200
            assert "order A1" in answer.content.decode()
        operator.post(
            "%s%d/change/" % (url, row.pk),
            {"order": "A2", "reference": "forged", "amount": "99.00"},
        )
        assert operator.get(url + "add/").status_code == 403
        assert operator.post("%s%d/delete/" % (url, row.pk), {"post": "yes"}).status_code == 403
    assert as_text(ledger())[0] == ("payment", "A1", "ch_1", "10.00")
    assert [str(row) for row in rows.values()] == ["refund re_1", "dispute dp_1", "payment ch_1"]


def test_the_price_of_an_order_can_be_corrected_in_the_admin_but_it_can_not_be_marked_as_paid(
    order, operator
):
    url = "/admin/shop/order/A1/"
    assert operator.get(url + "change/").status_code == 200
    data = {
        "id": "A2",
        "amount": "12.00",
        "currency": "USD",
        "status": "paid",
        "paid_at_0": "2026-11-23",
    }
    assert operator.post(url + "change/", data).status_code == 302
    assert all_orders() == [("A1", "12.00", "USD", "new")]
    assert operator.post(url + "delete/", {"post": "yes"}).status_code == 403
    assert operator.post("/admin/shop/order/add/", dict(data, status="paid")).status_code == 302
    assert all_orders()[1:] == [("A2", "12.00", "USD", "new")]


# ---- the commands


def run(name, *args, **options):
    """Run a command, and return what it printed."""
    printed = io.StringIO()
    call_command(name, *args, stdout=printed, **options)
    return printed.getvalue()


def test_shop_state_prints_all_that_the_shop_knows_as_one_json_object(paid):
    refund("re_2", "1.00")
    refund("re_1", "2.50")
    dispute("dp_1")
    OrderFactory(id="A0", amount="7.00", currency="USD")
    check_failed(refund("re_3", "99.00"), "More would be refunded")
    names = ["provider", "provider_event_id", "type", "order_id", "status", "attempts", "error"]
    events = [dict(zip(names, row)) for row in Event.objects.order_by("pk").values_list(*names)]
    assert len(events) == 5

    printed = run("shop_state")
    assert printed.count("\n") == 1
    state = json.loads(printed)
    assert sorted(state.pop("events"), key=str) == sorted(events, key=str)
    assert state == {
        "orders": [
            {"id": "A0", "status": "new", "paid_at": None, "amount": "7.00", "currency": "USD"},
            {
                "id": "A1",
                "status": "paid",
                "paid_at": paid.paid_at.isoformat(),
                "amount": "10.00",
                "currency": "EUR",
            },
        ],
        "refunds": sorted(
            [
                {
                    "id": Refund.objects.get(refund_id="re_1").pk,
                    "order_id": "A1",
                    "refund_id": "re_1",
                    "amount": "2.50",
                },
                {
                    "id": Refund.objects.get(refund_id="re_2").pk,
                    "order_id": "A1",
                    "refund_id": "re_2",
                    "amount": "1.00",
                },
            ],
            key=lambda refund: str(refund["id"]),
        ),
        "disputes": [{"id": Dispute.objects.get().pk, "order_id": "A1", "dispute_id": "dp_1"}],
        "ledger": [
            {"kind": "dispute", "order_id": "A1", "reference": "dp_1", "amount": None},
            {"kind": "payment", "order_id": "A1", "reference": "ch_1", "amount": "10.00"},
            {"kind": "refund", "order_id": "A1", "reference": "re_1", "amount": "2.50"},
            {"kind": "refund", "order_id": "A1", "reference": "re_2", "amount": "1.00"},
        ],
    }


def test_the_state_of_an_empty_shop_has_the_same_names():
    assert json.loads(run("shop_state")) == {
        "orders": [],
        "refunds": [],
        "disputes": [],
        "events": [],
        "ledger": [],
    }


def test_shop_state_can_be_printed_over_many_lines_for_people(order):
    printed = run("shop_state", "--indent", "2")
    assert printed.splitlines()[:3] == ["{", '  "orders": [', "    {"]
    assert json.loads(printed) == json.loads(run("shop_state"))


def all_orders():
    return as_text(Order.objects.order_by("pk").values_list("id", "amount", "currency", "status"))


def test_orders_are_created_with_the_given_ids(order):
    Order.objects.all().delete()
    assert run("create_orders", "A1", "A2") == "2 orders created, 0 existed\n"
    assert all_orders() == [("A1", "10.00", "EUR", "new"), ("A2", "10.00", "EUR", "new")]
    assert pay().status == Event.PROCESSED


def test_orders_are_created_with_a_given_amount_and_currency():
    run("create_orders", "A1", "--amount", "25.50", "--currency", "USD")
    assert all_orders() == [("A1", "25.50", "USD", "new")]


def test_orders_are_created_by_the_thousand():
    assert (
        run("create_orders", "--count", "1001", "--prefix", "load-")
        == "1001 orders created, 0 existed\n"
    )
    assert set(Order.objects.values_list("pk", flat=True)) == {
        "load-%d" % number for number in range(1, 1002)
    }


def test_an_order_that_exists_or_is_named_twice_is_left_as_it_is(paid):
    assert (
        run("create_orders", "A1", "A2", "A2", "--amount", "99.00")
        == "1 orders created, 1 existed\n"
    )
    assert all_orders() == [("A1", "10.00", "EUR", "paid"), ("A2", "99.00", "EUR", "new")]


@pytest.mark.django_db(transaction=True)
def test_ids_that_are_only_similar_are_two_orders_or_none_is_created():
    if connection.vendor == "mysql":
        with pytest.raises(CommandError, match="two of the ids are the same"):
            run("create_orders", "A1", "a1")
        assert not Order.objects.exists()
    else:
        assert run("create_orders", "A1", "a1") == "2 orders created, 0 existed\n"


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ([], "Name the orders, or say how many with --count."),
        (["x" * 65], "The order '%s' can't be created: .*id" % ("x" * 65)),
        ([""], "The order '' can't be created: .*id"),
        (["A1", "--amount", "ten"], "The order 'A1' can't be created: .*amount"),
        (["A1", "--amount", "1.001"], "The order 'A1' can't be created: .*amount"),
        (["A1", "--currency", "EURO"], "The order 'A1' can't be created: .*currency"),
    ],
)
def test_orders_that_can_not_be_created_are_reported_and_none_is_created(args, error):
    with pytest.raises(CommandError, match=error):
        run("create_orders", *args)
    assert not Order.objects.exists()
