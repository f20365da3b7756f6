"""Replay: what may be put back on its way, and that no effect is ever doubled by it."""

import json
import time
from datetime import timedelta

import pytest
from django.db import OperationalError, transaction
from django.db.models import F
from django.utils import timezone

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import PermanentFailure
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.operations import replay as replaying
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.providers.payloads import ParseError
from django_payment_webhooks.publisher import process
from django_payment_webhooks.receiving import receive_events

from ..doubles import DownstreamError, handle
from ..factories import EventFactory, PayloadFactory

pytestmark = pytest.mark.django_db(transaction=True)


def read(event):
    """Return the event as its row is now."""
    return Event.objects.get(pk=event.pk)


def columns(event):
    """Return the row as plain values."""
    return Event.objects.filter(pk=event.pk).values().get()


def is_in(moment, seconds):
    """Return whether a moment is a number of seconds from now, give or take the time that a test
    needs.
    """
    return abs(moment - time.time() - seconds) < 10


@pytest.mark.parametrize("status", [Event.FAILED, Event.IGNORED, Event.WAITING])
def test_an_event_that_came_to_nothing_is_due_again_with_all_its_attempts(
    status, received_signals, published
):
    long_ago = timezone.now() - timedelta(days=4)
    event = EventFactory(
        status=status,
        attempts=25,
        error="the reason",
        due_at=None,
        waiting_since=long_ago.timestamp(),
        finished_at=long_ago,
    )
    assert replay(event) is True
    row = read(event)
    assert (row.status, row.attempts, row.error) == ("received", 0, "")
    assert (row.waiting_since, row.finished_at) == (None, None)
    assert is_in(row.due_at, 0)
    assert is_in(row.enqueue_at, 30)
    assert received_signals.names() == ["event_replayed", "event_received"]
    assert received_signals.of("event_replayed")[0]["event"] is event
    assert published() == [event.pk]


@pytest.mark.parametrize("status", [Event.RECEIVED, Event.APPLIED])
def test_an_event_that_is_retried_need_not_wait_for_its_next_attempt(settings, status, published):
    def fail(self, event):
        raise KeyError("warehouse_id")

    handle(settings, apply=fail, deliver=fail)
    event = EventFactory(status=status, idempotency_key="k" if status == Event.APPLIED else None)
    process([event.pk])
    retried = read(event)
    assert retried.cause_key and retried.attempts == 1
    retried.reschedule(3600, attempts=9)
    assert replay(read(event)) is True
    row = read(event)
    assert (row.status, row.attempts, row.error, row.cause_key) == (status, 0, "", None)
    assert is_in(row.due_at, 0)
    assert published() == [event.pk]


@pytest.mark.parametrize("status", [Event.RECEIVED, Event.APPLIED])
def test_a_retried_event_that_a_worker_has_is_left_to_it(status, published):
    event = EventFactory(status=status, cause_key="c" * 32, attempts=1, error="broken")
    event.take()
    before = columns(event)
    assert replay(read(event)) is False
    assert columns(event) == before
    assert published() == []


@pytest.mark.parametrize(
    "status", [Event.RECEIVED, Event.APPLIED, Event.PROCESSED, Event.DUPLICATE]
)
def test_an_event_that_is_on_its_way_or_had_its_effect_is_left_as_it_is(
    status, received_signals, published
):
    event = EventFactory(status=status)
    before = columns(event)
    assert replay(event) is False
    assert columns(event) == before
    assert received_signals == []
    assert published() == []


def test_an_event_that_changed_since_it_was_read_is_left_as_it_is(received_signals, published):
    event = EventFactory(status=Event.FAILED, due_at=None)
    Event.objects.filter(pk=event.pk).update(version=F("version") + 1)
    before = columns(event)
    assert replay(event) is False
    assert columns(event) == before
    assert received_signals == []
    assert published() == []


def test_an_event_is_replayed_once_by_two_who_read_it_together(published):
    EventFactory(status=Event.FAILED, due_at=None)
    first, second = Event.objects.get(), Event.objects.get()
    assert (replay(first), replay(second)) == (True, False)
    assert published() == [first.pk]


def test_a_replay_that_is_rolled_back_enqueues_nothing(received_signals, published):
    event = EventFactory(status=Event.FAILED, due_at=None)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        replay(event)
        assert published() == []
        raise ZeroDivisionError
    assert read(event).status == "failed"
    assert published() == []


def test_a_replayed_event_has_its_effect_once_it_can(
    order, shop_state, published, received_signals
):
    event = EventFactory(data={"amount": "9.00", "currency": "EUR"})
    process([event.pk])
    assert read(event).status == "failed"
    assert shop_state()["ledger"] == []
    order.amount = "9.00"
    order.save()
    assert replay(read(event))
    for pk in published():
        process([pk])
    row = read(event)
    assert (row.status, row.attempts, row.error) == ("processed", 1, "")
    assert shop_state()["ledger"] == [("payment", "A1")]
    assert received_signals.names() == [
        "event_failed",
        "event_replayed",
        "event_received",
        "event_applied",
        "event_processed",
    ]


def test_an_ignored_event_has_its_effect_once_it_has_a_handler(settings, published):
    applied = []
    event = EventFactory(type="customer.updated")
    process([event.pk])
    assert read(event).status == "ignored"
    handle(settings, "customer.updated", apply=lambda self, event: applied.append(event.pk))
    assert replay(read(event))
    assert published() == [event.pk]
    process([event.pk])
    assert read(event).status == "processed"
    assert applied == [event.pk]


def test_a_waiting_event_is_looked_at_at_once_and_waits_again_from_the_beginning(order, published):
    event = EventFactory(type="refund.created", data={"refund_id": "re_1"})
    process([event.pk])
    Event.objects.update(waiting_since=time.time() - 2 * 86400)
    assert replay(read(event))
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts) == ("waiting", 0)
    assert is_in(row.waiting_since, 0)


def test_an_event_that_waited_in_vain_can_be_replayed_when_its_charge_has_come(
    order, pass_time, shop_state, run_due
):
    refund = EventFactory(
        type="refund.created", data={"refund_id": "re_1", "amount": "10.00", "currency": "EUR"}
    )
    process([refund.pk])
    pass_time(3 * 86400)
    process([refund.pk])
    assert read(refund).status == "failed"
    EventFactory()
    run_due()
    assert read(refund).status == "failed"  # only what still waits is released
    assert replay(read(refund))
    run_due()
    assert read(refund).status == "processed"
    assert shop_state()["refunds"] == [("A1", "re_1")]


def test_an_effect_that_is_committed_is_only_delivered_again(
    settings, order, published, received_signals
):
    called = []

    def deliver(self, event):
        called.append(("deliver", event.idempotency_key))
        if len(called) == 2:
            raise DownstreamError(400)

    handle(settings, apply=lambda self, event: called.append("apply"), deliver=deliver)
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, read(event).attempts) == ("failed", 1)
    assert replay(read(event))
    row = read(event)
    assert (row.status, row.attempts, row.error, row.finished_at) == ("applied", 0, "", None)
    assert published() == [event.pk]
    process([event.pk])
    assert read(event).status == "processed"
    key = digest("event:" + event.dedup_key)
    assert called == ["apply", ("deliver", key), ("deliver", key)]
    assert read(event).idempotency_key == key
    assert replay(read(event)) is False


def test_a_failed_event_whose_effect_another_event_had_becomes_a_duplicate(
    order, run_due, shop_state
):
    failed = EventFactory(status=Event.FAILED, due_at=None, finished_at=timezone.now())
    EventFactory()
    run_due()
    assert replay(failed)
    run_due()
    assert read(failed).status == "duplicate"
    assert shop_state()["ledger"] == [("payment", "A1")]


@pytest.mark.parametrize("replays", [1, 5])
def test_replaying_again_and_again_never_doubles_an_effect(
    replays, settings, order, run_due, shop_state
):
    event = EventFactory()
    for _ in range(replays):
        run_due()
        Event.objects.update(status=Event.FAILED, due_at=None, version=F("version") + 1)
        assert replay(read(event))
    run_due()
    assert read(event).status == "processed"
    assert shop_state()["ledger"] == [("payment", "A1")]


# ---- bodies that can't be parsed


@pytest.fixture
def unparsed():
    """Return an event whose body has its id where the provider's options do not look for it."""
    body = json.dumps(
        {"uid": "evt_1", "type": "charge.succeeded", "data": {"order_id": "A1"}}
    ).encode()
    receive_events(get_provider("default"), {}, body, "by-test")
    return Event.objects.get()


def fix(settings):
    """Tell the provider where the id is."""
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"FIELDS": {"provider_event_id": "uid"}}}


def test_a_body_that_can_be_parsed_by_now_becomes_its_event(
    unparsed, settings, received_signals, published
):
    fix(settings)
    assert replay(unparsed) is True
    event = Event.objects.get(provider_event_id="evt_1")
    assert (event.status, event.type, event.order_id) == ("received", "charge.succeeded", "A1")
    assert bytes(event.body) == bytes(unparsed.body)
    assert event.verified_by == "by-test"
    row = read(unparsed)
    assert (row.status, row.error, row.due_at, row.enqueue_at) == ("processed", "", None, None)
    assert received_signals.names() == ["event_replayed", "event_received", "event_processed"]
    assert received_signals.of("event_replayed")[0]["event"].pk == unparsed.pk
    assert published() == [event.pk]
    assert Event.objects.count() == 2
    assert replay(row) is False


def test_several_events_of_a_body_that_can_be_parsed_by_now_are_all_stored(settings, published):
    items = [PayloadFactory(event_id=name) for name in ("evt_1", "evt_2")]
    receive_events(get_provider("default"), {}, json.dumps({"items": items}).encode())
    unparsed = Event.objects.get()
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"EVENTS_PATH": "items.*"}}
    assert replay(unparsed) is True
    events = Event.objects.exclude(pk=unparsed.pk).order_by("pk")
    assert [event.provider_event_id for event in events] == ["evt_1", "evt_2"]
    assert published() == [event.pk for event in events]


def test_a_body_that_still_can_not_be_parsed_is_left_as_it_is(
    unparsed, received_signals, published
):
    before = columns(unparsed)
    with pytest.raises(ParseError, match="event_id"):
        replay(unparsed)
    assert columns(unparsed) == before
    assert Event.objects.count() == 1
    assert received_signals == []
    assert published() == []


def test_a_body_whose_event_came_meanwhile_is_done_with(
    unparsed, settings, order, run_due, published, shop_state
):
    fix(settings)
    receive_events(get_provider("default"), {}, bytes(unparsed.body))
    event = Event.objects.get(provider_event_id="evt_1")
    Event.objects.filter(pk=event.pk).update(status=Event.PROCESSED, due_at=None)
    published()
    assert replay(unparsed) is True
    assert read(unparsed).status == "processed"
    assert Event.objects.count() == 2
    assert published() == []


def test_a_body_that_two_replay_together_becomes_one_event(unparsed, settings):
    fix(settings)
    first, second = read(unparsed), read(unparsed)
    assert (replay(first), replay(second)) == (True, False)
    assert Event.objects.filter(provider_event_id="evt_1").count() == 1


def test_what_fails_again_after_a_replay_fails_for_the_same_reason(
    settings, order, run_due, received_signals
):
    def apply(self, event):
        raise PermanentFailure("still wrong")

    handle(settings, apply=apply)
    event = EventFactory()
    for _ in range(3):
        run_due()
        assert "still wrong" in read(event).error
        assert replay(read(event))
    assert len(received_signals.of("event_failed")) == 3


def test_who_replays_and_why_is_signalled(received_signals):
    event = EventFactory(status=Event.FAILED, due_at=None)
    assert replay(event, by="alice", reason="the handler is fixed")
    (facts,) = received_signals.of("event_replayed")
    assert (facts["by"], facts["reason"]) == ("alice", "the handler is fixed")


def test_a_replay_that_is_rolled_back_is_not_signalled(received_signals, published):
    event = EventFactory(status=Event.FAILED, due_at=None)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert replay(event)
        assert received_signals == []
        raise ZeroDivisionError
    assert received_signals == []
    assert published() == []


def test_a_database_that_is_locked_for_a_moment_does_not_refuse_a_replay(monkeypatch, published):
    event = EventFactory(status=Event.FAILED, due_at=None, finished_at=timezone.now())
    tries = []

    def start_over(event):
        genuine(event)
        tries.append(event.version)
        if len(tries) == 1:
            raise OperationalError("database is locked")

    genuine = replaying.start_over
    monkeypatch.setattr(replaying, "start_over", start_over)
    assert replay(event) is True
    assert tries == [1, 1]
    assert (read(event).status, read(event).version) == (Event.RECEIVED, 1)
    assert len(published.messages()) == 1
