"""Where an event's row says which cause its failed attempt has, and where it forgets it."""

from __future__ import annotations

import pytest
from shop.handlers import RecordRefund

from django_payment_webhooks.conf import settings as conf
from django_payment_webhooks.exceptions import NothingToDo, PermanentFailure
from django_payment_webhooks.history.models import Cause
from django_payment_webhooks.models import Event
from django_payment_webhooks.monitoring import overview
from django_payment_webhooks.monitoring.overview import read_overview, read_retrying
from django_payment_webhooks.monitoring.problems import find_critical_problems
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.operations.resolve import resolve
from django_payment_webhooks.providers.causes import is_bug
from django_payment_webhooks.publisher import process

from .doubles import handle
from .factories import EventFactory
from .rows import read

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def attempt(settings):
    """Make an attempt at an event, whose handler raises an error, and return it as it is then."""

    def attempt(error, event=None, verb="apply"):
        def work(self, event):
            if error is not None:
                raise error

        handle(settings, **{verb: work})
        event = event or EventFactory(order_id="", order_key="")
        Event.objects.filter(pk=event.pk).update(due_at=0)
        process([event.pk])
        return read(event)

    return attempt


def test_a_failed_attempt_has_a_cause_and_so_has_a_failed_event(attempt):
    retried, failed = attempt(KeyError("warehouse_id")), attempt(PermanentFailure("Order 17."))
    assert (retried.status, failed.status) == (Event.RECEIVED, Event.FAILED)
    assert len({retried.cause_key, failed.cause_key} - {None}) == 2
    assert attempt(PermanentFailure("Order 4711.")).cause_key == failed.cause_key


def test_an_effect_that_is_had_in_the_end_has_no_cause(attempt):
    event = attempt(KeyError("warehouse_id"))
    event = attempt(None, event)
    assert (event.status, event.cause_key) == (Event.PROCESSED, None)


def test_an_effect_that_is_committed_forgets_the_cause_and_its_delivery_has_one(attempt):
    event = attempt(KeyError("warehouse_id"))
    before = event.cause_key
    event = attempt(TimeoutError(), event, verb="deliver")
    assert event.status == Event.APPLIED
    assert event.cause_key not in (None, before)


def test_while_it_is_delivered_an_effect_has_no_cause(attempt, settings):
    event = attempt(KeyError("warehouse_id"))
    seen = []
    handle(settings, deliver=lambda self, event: seen.append(read(event).cause_key))
    Event.objects.update(due_at=0)
    process([event.pk])
    assert seen == [None]


def test_a_worker_that_is_at_it_leaves_the_cause_to_be_seen(attempt):
    event = attempt(KeyError("warehouse_id"))
    event.take()
    assert read(event).cause_key == event.cause_key is not None


def test_to_have_nothing_to_do_is_no_failure(attempt):
    assert attempt(NothingToDo("unpaid")).cause_key is None


def test_a_wait_is_no_failure_until_its_time_is_over(order, settings, pass_time):
    handle(settings, "refund.created", parent=RecordRefund)
    event = EventFactory(type="refund.created", data={"refund_id": "re_1"})
    process([event.pk])
    assert (read(event).status, read(event).cause_key) == (Event.WAITING, None)
    pass_time(conf.PAYMENT_WEBHOOKS_WAIT_DEADLINE)
    process([event.pk])
    assert read(event).status == Event.FAILED
    assert read(event).cause_key is not None


def test_a_body_that_can_not_be_parsed_has_a_cause(webhook):
    webhook(b"{")
    webhook(b"{ ")
    keys = set(Event.objects.values_list("cause_key", flat=True))
    assert Event.objects.count() == 2
    assert len(keys - {None}) == len(keys) == 1


@pytest.mark.parametrize(
    "end", [replay, lambda event: resolve(event, "ada", "Shipped.")], ids=["replay", "resolve"]
)
def test_an_event_that_is_replayed_or_resolved_has_no_cause_any_more(end, attempt):
    event = attempt(PermanentFailure("Order 17 is gone."))
    assert end(event)
    assert read(event).cause_key is None


def crash(*_):
    """Fail as code does that has a mistake."""
    raise UnboundLocalError("price")


@pytest.mark.parametrize("verb", ["prepare", "idempotency_key", "is_ready", "apply", "deliver"])
def test_a_bug_is_critical_at_its_first_attempt_wherever_it_is(verb, settings, history):
    handle(settings, **{verb: crash})
    event = EventFactory(order_id="", order_key="")
    process([event.pk])
    assert read(event).attempts == 1
    (found,) = find_critical_problems(read_overview(1))
    assert (found.about, found.cause) == ("retrying", read(event).cause_key)
    assert "1 event is being retried (UnboundLocalError: price in tests.test_causes.crash), " in (
        found.text
    )


def test_a_handlers_module_that_can_not_be_imported_is_a_bug(settings):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": "shop.no_such_module.Handler"}
    event = EventFactory()
    process([event.pk])
    assert is_bug(read(event).error)
    texts = [found.text for found in find_critical_problems(read_overview(1))]
    assert any("1 event is being retried (ModuleNotFoundError: " in text for text in texts)


def test_no_cause_has_what_its_event_says_of_people(attempt, history):
    event = EventFactory(data={"customer_name": "ann van smith"}, order_id="", order_key="")
    attempt(ValueError("no customer ann van smith"), event)
    assert Cause.objects.get().text == "no customer …"
    assert Cause.objects.get().pk == read(event).cause_key
    other = EventFactory(data={"customer_name": "max"}, order_id="", order_key="")
    attempt(ValueError("no customer max"), other)
    assert read(other).cause_key == read(event).cause_key


# ---- what is to be tried again


def test_where_nothing_is_to_be_tried_again_nothing_is_next(attempt):
    attempt(PermanentFailure("Order 17 is gone."))
    EventFactory()
    assert read_retrying() == (0, False, None, None)


def test_what_is_to_be_tried_again_is_counted_with_the_next_attempts_time(attempt):
    for _ in range(3):
        attempt(KeyError("warehouse_id"))
    found = read_retrying()
    assert (found.number, found.is_bounded) == (3, False)
    assert 0 <= found.oldest_seconds < 60
    assert 0 < found.next_seconds <= 5


def test_of_many_that_are_to_be_tried_again_a_bounded_number_is_counted(attempt, monkeypatch):
    monkeypatch.setattr(overview, "BOUND", 1)
    attempt(KeyError("warehouse_id"))
    assert read_retrying()[:2] == (1, False)
    attempt(KeyError("warehouse_id"))
    assert read_retrying()[:2] == (1, True)
