"""Every handler that a page shows does right by the money: whatever is copied is right.

A handler that is added to a page is tested with it. What can't happen to one is in a table below.
"""

from __future__ import annotations

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
import requests
from django.conf import settings as django_settings
from django.db import connection

from django_payment_webhooks.models import Event
from django_payment_webhooks.payments import OrderPaidHandler, RefundCreatedHandler
from django_payment_webhooks.testing import (
    assert_one_outcome,
    pass_time,
    post_event,
    run_due,
    without_broker,
)

from .factories import SECRET
from .shown import (
    MODELS,
    Warehouse,
    list_blocks,
    list_docstrings,
    list_shown,
    read_pages,
    shows_handler,
)

SHOWN = list_shown()
ORDER = "shop-A1"
NO_SUM = "its event moves no money"
BY_ID = "it undoes a refund that is recorded, by its id"
# Cases that can't happen to a handler, and why.
DOES_NOT_APPLY = {
    "UndoRefund": {"amount": BY_ID, "currency": BY_ID},
    "OpenDispute": {"amount": NO_SUM, "currency": NO_SUM},
    "FollowStages": {"amount": NO_SUM, "currency": NO_SUM},
    "FollowPayment": {"amount": NO_SUM, "currency": NO_SUM},
}
# Those that a page shows for several shops, or sites. The others know one.
SEVERAL_SHOPS = {"MarkShopOrderPaid"}
SEVERAL_SITES = {"MarkOwnOrderPaid"}
# What takes back what came before it.
UNDOES = {"charge.reversed", "refund.failed"}
# What an event says beside its order and its payment.
SAYS = {
    "charge.succeeded": {"amount": "10.00"},
    "charge.reversed": {"amount": "10.00"},
    "refund.created": {"amount": "4.00", "refund_id": "re_1"},
    "refund.failed": {"amount": "4.00", "refund_id": "re_1"},
    "dispute.opened": {"amount": "10.00", "dispute_id": "dp_1"},
    "payment.updated": {"data.status": "captured"},
}
# What is off by one cent: of a refund only what is more than was paid.
OFF = {"refund.created": ["10.01"]}


@pytest.fixture(scope="module", autouse=True)
def tables(django_db_setup, django_db_blocker):
    """Create the tables of the shop in the pages."""
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            for model in (MODELS.Order, MODELS.Refund):
                editor.create_model(model)
        yield
        with connection.schema_editor() as editor:
            for model in (MODELS.Refund, MODELS.Order):
                editor.delete_model(model)
        # The next test may be one that must not ask a database.
        connection.close()


class Stage:
    """A handler of a page in its shop, and what comes to it."""

    def __init__(self, shown):
        self.shown, self.models = shown, shown.shop

    def send(self, event_type=None, provider="default", **values):
        """Have the provider send an event, by default that of the handler."""
        event_type = event_type or self.shown.type
        says = {"order_id": ORDER, "charge_id": "ch_1", "currency": "EUR"}
        says.update(SAYS[event_type], **values)
        says = {"livemode": True, **says}
        assert post_event(event_type, provider=provider, **says).status_code == 200
        run_due()
        return Event.objects.latest("pk")

    def send_what_comes_before(self):
        """Have the payment arrive that the handler requires, and the refund that it undoes."""
        if self.shown.handler.requires:
            assert self.send("charge.succeeded").status == "processed"
        if self.shown.type == "refund.failed":
            order = self.models.Order.objects.get(pk=ORDER)
            order.refunds.create(refund_id="re_1", amount=4)

    def order(self, order_id=ORDER, **values):
        """Have an order of 10.00 EUR."""
        if self.models is MODELS:
            values = {"number": order_id, "shop": "south", **values}
        order = self.models.Order(id=order_id, amount="10.00", currency="EUR", **values)
        order.save(force_insert=True)
        return order

    def state(self):
        """Return what the shop knows, and what was shipped."""
        kept = [each for each in vars(self.models).values() if hasattr(each, "objects")]
        rows = {model.__name__: sorted(map(str, model.objects.values_list())) for model in kept}
        return rows, set(Warehouse.shipped)

    def has_changed(self, before):
        """Return whether something has happened, or what was there was taken back."""
        if self.shown.type not in UNDOES:
            return self.state() != before
        order = self.models.Order.objects.get(pk=ORDER)
        is_refund = self.shown.type == "refund.failed"
        return not order.refunds.exists() if is_refund else order.paid_at is None

    def wait(self, event, seconds, rounds=40):
        """Let time pass, again and again, until an event has ended."""
        for _ in range(rounds):
            pass_time(seconds)
            run_due()
            event.refresh_from_db()
            if event.finished_at:
                return event
        raise AssertionError(f"{event} is still {event.status}.")


@pytest.fixture
def stage(request, db, settings, monkeypatch):
    """A handler of a page, in a shop that has all that it names."""
    shown = request.param
    companions = make_companions(shown.shop)
    monkeypatch.setitem(sys.modules, "shown_companions", companions)
    settings.PAYMENT_WEBHOOKS_HANDLERS = {
        "charge.succeeded": "shown_companions.Paid",
        "refund.created": "shown_companions.Refunded",
        shown.type: shown.path,
    }
    partner = {"SECRETS": [SECRET], "TEST_MODE": "livemode=false", "SHOP": "south"}
    other = {"SECRETS": [SECRET + SECRET], "SHOP": "north"}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": partner, "other": other}
    answer = SimpleNamespace(raise_for_status=lambda: None, json=lambda: {"status": "captured"})
    monkeypatch.setattr(requests, "get", lambda *args, **options: answer)
    Warehouse.shipped.clear()
    with without_broker():
        yield Stage(shown)


def make_companions(models):
    """Return a module with the handlers of what comes before, and after."""

    class Shop:
        def get_order(self, event):
            return models.Order.objects.select_for_update().filter(pk=event.order_id).first()

        def get_price(self, order):
            return order.amount, order.currency

        get_refundable = get_price

    class Paid(Shop, OrderPaidHandler):
        def order_paid(self, event, order):
            order.paid_at = event.occurred_at
            order.save()

    class Refunded(Shop, RefundCreatedHandler):
        def refund_created(self, event, order):
            order.refunds.create(refund_id=event.data["refund_id"], amount=event.money.amount)

    module = ModuleType("shown_companions")
    module.Paid, module.Refunded = Paid, Refunded
    return module


def case(name, chosen=SHOWN):
    """Run a test for every handler to which a case can happen."""
    able = [each for each in chosen if name not in DOES_NOT_APPLY.get(each.handler.__name__, {})]
    ids = [f"{each.page}-{each.handler.__name__}" for each in able]
    return pytest.mark.parametrize("stage", able, indirect=True, ids=ids)


def named(names):
    """Return the handlers of some names."""
    return [each for each in SHOWN if each.handler.__name__ in names]


# ---- what is tested


def test_every_handler_of_every_page_is_tested():
    pages = {each.page for each in SHOWN}
    assert {"README.md", "docs/tutorial.md", "docs/howto/handlers.md", "shop"} <= pages
    for page, text in read_pages().items():
        classes = set()
        for block in list_blocks(text):
            if shows_handler(block):
                classes |= set(re.findall(r"^class (\w+)\((?:.*, )?\w*Handler\)", block, re.M))
        assert classes <= {each.handler.__name__ for each in SHOWN if each.page == page}


def test_no_block_of_code_hides_a_handler_from_these_tests():
    for page, text in read_pages().items():
        fenced = "".join(list_blocks(text))
        indented = re.sub(r"^ +", "", text, flags=re.M)
        for name in re.findall(r"^class (\w+)\(.*Handler\):", indented, re.M):
            assert f"class {name}(" in fenced, (page, name)


def test_no_handler_of_a_page_is_unfinished():
    assert [each for each in SHOWN if each.handler.__abstractmethods__] == []


def test_a_handler_is_shown_once_a_page():
    for page, text in read_pages().items():
        names = {each.handler.__name__ for each in SHOWN if each.page == page}
        found = re.findall(r"^ *class (\w+)\(.*\):$", "\n".join(list_blocks(text)), re.M)
        shown = [name for name in found if name in names]
        assert len(shown) == len(set(shown)), page


def test_no_docstring_shows_a_handler():
    shown = [name for name, text in list_docstrings() if re.search(r"^ *class \w+\(", text, re.M)]
    assert shown == [], "Let these tests run it."


def test_what_can_not_happen_is_said_of_handlers_that_exist():
    names = {each.handler.__name__ for each in SHOWN}
    assert set(DOES_NOT_APPLY) | SEVERAL_SHOPS | SEVERAL_SITES <= names


# ---- what happens to each


@case("effect")
def test_an_event_has_its_effect(stage):
    stage.order()
    stage.send_what_comes_before()
    before = stage.state()
    assert stage.send().status == "processed"
    assert stage.state() != before


@case("missing")
def test_an_event_waits_for_its_order_and_has_its_effect_then(stage):
    if stage.shown.handler.requires:
        assert stage.send("charge.succeeded").status == "waiting"
    event = stage.send()
    assert event.status in ("waiting", "received"), event.error
    stage.order()
    if stage.shown.type == "refund.failed":
        stage.models.Order.objects.get(pk=ORDER).refunds.create(refund_id="re_1", amount=4)
    before = stage.state()
    assert stage.wait(event, 3600).status == "processed"
    assert stage.has_changed(before)


@case("missing")
def test_an_event_whose_order_never_comes_fails(stage):
    event = stage.send()
    before = stage.state()
    ended = stage.wait(event, django_settings.PAYMENT_WEBHOOKS_WAIT_DEADLINE + 1)
    assert (ended.status, stage.state()) == ("failed", before)


@case("amount")
def test_an_amount_that_is_off_by_one_cent_fails(stage):
    stage.order()
    stage.send_what_comes_before()
    before = stage.state()
    for amount in OFF.get(stage.shown.type, ["9.99", "10.01"]):
        assert stage.send(amount=amount).status == "failed"
    assert stage.state() == before


@case("currency")
def test_another_currency_fails(stage):
    stage.order()
    stage.send_what_comes_before()
    before = stage.state()
    assert stage.send(currency="USD").status == "failed"
    assert stage.state() == before


@case("test mode")
@pytest.mark.parametrize("live", [True, False])
def test_an_event_of_another_mode_has_no_effect(stage, settings, live):
    stage.order()
    stage.send_what_comes_before()
    partner = dict(settings.PAYMENT_WEBHOOKS_PROVIDERS["default"], LIVE=live)
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": partner}
    before = stage.state()
    assert stage.send(livemode=not live).status == "ignored"
    assert stage.state() == before
    assert stage.send(livemode=live).status == "processed"


@case("twice")
def test_an_event_that_comes_twice_has_one_effect(stage):
    stage.order()
    stage.send_what_comes_before()
    event = stage.send(provider_event_id="evt_1", occurred_at="2026-11-23T10:00:00Z")
    after = stage.state()
    again = stage.send(provider_event_id="evt_1", occurred_at="2026-11-23T10:00:00Z")
    assert (again.pk, again.status, stage.state()) == (event.pk, "processed", after)


@case("twice", [each for each in SHOWN if each.type != "payment.updated"])
def test_two_events_of_one_effect_have_it_once(stage):
    stage.order()
    stage.send_what_comes_before()
    stage.send()
    after = stage.state()
    assert stage.send().status == "duplicate"
    assert stage.state() == after


@case("first", [each for each in SHOWN if each.handler.requires and each.type != "refund.failed"])
def test_an_event_that_comes_before_its_payment_waits_for_it(stage):
    stage.order()
    event = stage.send(order_id=None)
    assert event.status == "waiting"
    before = stage.state()
    assert stage.send("charge.succeeded").status == "processed"
    event.refresh_from_db()
    assert event.status == "processed", event.error
    assert stage.has_changed(before)


@case("refund first", [each for each in SHOWN if each.type == "charge.succeeded"])
def test_a_refund_that_comes_before_its_payment_waits_for_it(stage):
    order = stage.order()
    refund = stage.send("refund.created", order_id=None)
    assert (refund.status, order.refunds.count()) == ("waiting", 0)
    assert stage.send().status == "processed"
    refund.refresh_from_db()
    assert (refund.status, order.refunds.count()) == ("processed", 1)


@case("shops", named(SEVERAL_SHOPS))
def test_an_order_of_another_shop_with_our_number_is_not_ours(stage):
    ours = stage.order(shop="south")
    theirs = stage.order("north-A1", shop="north", number=ORDER)
    assert stage.send(provider="other").status == "processed"
    ours.refresh_from_db()
    theirs.refresh_from_db()
    assert (ours.paid_at, theirs.paid_at is not None) == (None, True)
    assert stage.send().status == "processed"
    ours.refresh_from_db()
    assert ours.paid_at is not None


@case("sites", named(SEVERAL_SITES))
def test_an_order_of_another_site_and_its_refund_are_left_alone(stage, settings, monkeypatch):
    page = sys.modules[stage.shown.handler.__module__]
    own = type("RecordOwnRefund", (page.OrderOfThisSite, page.RecordRefund), {})
    monkeypatch.setattr(page, "RecordOwnRefund", own, raising=False)
    settings.PAYMENT_WEBHOOKS_HANDLERS["refund.created"] = f"{page.__name__}.RecordOwnRefund"
    order = stage.order("A1")
    assert stage.send(order_id="A1").status == "ignored"
    assert stage.send("refund.created", order_id=None).status == "ignored"
    order.refresh_from_db()
    assert (order.paid_at, order.refunds.count()) == (None, 0)


# ---- two states in one second


MOMENT = "2026-11-23T10:00:00Z"


@case("tie", named({"FollowStages"}))
def test_of_two_stages_in_one_second_the_later_stage_wins(stage):
    stage.order()
    events = [
        {"type": "payment.updated", "order_id": ORDER, "occurred_at": MOMENT, "data.status": name}
        for name in ("authorized", "captured")
    ]
    state = assert_one_outcome(
        events, lambda: MODELS.Order.objects.values_list("stage", flat=True)[0]
    )
    assert state == "captured"


@case("tie", named({"FollowPayment"}))
def test_of_two_states_in_one_second_the_one_that_the_provider_has_now_wins(stage):
    stage.order()
    events = [
        {"type": "payment.updated", "order_id": ORDER, "occurred_at": MOMENT, "data.status": name}
        for name in ("authorized", "captured")
    ]
    state = assert_one_outcome(
        events, lambda: MODELS.Order.objects.values_list("stage", flat=True)[0]
    )
    assert state == "captured"


@case("tie", named({"FollowPayment"}))
def test_an_answer_that_another_worker_has_overtaken_is_not_applied(stage, monkeypatch):
    stage.order()
    asked = []

    def get(url, timeout):
        asked.append(url)
        said = "authorized" if len(asked) == 1 else "captured"
        if len(asked) == 1:
            # While the first answer is on its way, another event asks, and is applied.
            stage.send(charge_id="ch_2")
        return SimpleNamespace(raise_for_status=lambda: None, json=lambda: {"status": said})

    monkeypatch.setattr(requests, "get", get)
    stage.send()
    run_due()
    assert MODELS.Order.objects.get().stage == "captured"
    assert set(Event.objects.values_list("status", flat=True)) == {"processed"}
    assert len(asked) == 3
