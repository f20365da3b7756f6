"""The journey of an event, verb by verb, with everything that can go wrong on the way."""

import contextvars
import json
import os
import queue
import random
import threading
import time
from datetime import timedelta
from email.utils import formatdate
from unittest import mock

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import IntegrityError, OperationalError, ProgrammingError, connection, transaction
from django.db.models import F
from django.utils import timezone
from shop.models import LedgerEntry, Order

from django_payment_webhooks import processing
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import Overtaken, ParseError, PermanentFailure
from django_payment_webhooks.handlers import Handler
from django_payment_webhooks.models import Event, EventManager, digest
from django_payment_webhooks.processing import process, receive_events

from .doubles import (
    Clock,
    DownstreamError,
    WorkerKilled,
    another_connection,
    at_once,
    handle,
    recorded_statements,
)
from .factories import EventFactory, OrderFactory, PayloadFactory

pytestmark = pytest.mark.django_db(transaction=True)

FINAL = [Event.PROCESSED, Event.DUPLICATE, Event.IGNORED, Event.FAILED]


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
    return abs((moment - timezone.now()).total_seconds() - seconds) < 10


def seconds_until_due(event):
    """Return how long the event is left alone."""
    return (read(event).due_at - timezone.now()).total_seconds()


def effect(event):
    """Leave one entry in the ledger, as a handler's work does."""
    LedgerEntry.objects.create(kind="effect", order_id="A1", reference=event.provider_event_id)


def effects():
    """Return whose work is in the ledger."""
    return sorted(LedgerEntry.objects.values_list("reference", flat=True))


class Effect(Handler):
    """A handler that leaves an entry in the ledger."""

    def apply(self, event):
        effect(event)


class OneEffect(Effect):
    """A handler whose effect an order has once."""

    def idempotency_key(self, event):
        return "effect:" + event.order_id


@pytest.fixture
def body():
    """Return the body of a webhook of the default partner."""
    return lambda **fields: json.dumps(PayloadFactory(**fields)).encode()


@pytest.fixture
def receive(body):
    """Receive an event on another road than the view's, and return it with whether it is new."""

    def receive(**fields):
        (outcome,) = receive_events(get_provider("default"), {}, body(**fields), "by-test")
        return outcome

    return receive


@pytest.fixture
def broker(monkeypatch):
    """Replace the broker by a list, or by a function that is called with each key."""

    def broker(send):
        monkeypatch.setattr(process, "apply_async", lambda args, **options: send(*args))

    return broker


@pytest.fixture
def eager():
    """Have tasks run at once, without a broker."""
    process.app.conf.task_always_eager = True
    yield
    process.app.conf.task_always_eager = False


def eventually(condition, timeout=30):
    """Wait until a condition holds that another thread brings about."""
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


# ---- take


def test_a_missing_event_is_nobodys_work(received_signals, published):
    process([12345])
    assert received_signals == []
    assert published() == []
    assert Event.objects.count() == 0


@pytest.mark.parametrize("status", FINAL)
def test_a_final_event_is_left_as_it_is(status, settings, received_signals, published):
    handle(settings, apply=lambda self, event: 1 / 0)
    event = EventFactory(status=status, due_at=None, finished_at=timezone.now())
    before = columns(event)
    process([event.pk])
    assert columns(event) == before
    assert received_signals == []
    assert published() == []


@pytest.mark.parametrize("status", [Event.RECEIVED, Event.WAITING, Event.APPLIED])
def test_an_event_that_is_not_due_is_left_as_it_is(status, settings, received_signals, published):
    handle(settings, apply=lambda self, event: 1 / 0, deliver=lambda self, event: 1 / 0)
    event = EventFactory(status=status, due_at=time.time() + (30))
    before = columns(event)
    process([event.pk])
    assert columns(event) == before
    assert received_signals == []
    assert published() == []


def test_an_event_may_be_taken_by_a_clock_that_is_a_little_behind(settings, order):
    handle(settings, parent=Effect)
    early = EventFactory(due_at=time.time() + (0.9))
    process([early.pk])
    assert read(early).status == "processed"


def test_an_attempt_is_counted_and_committed_before_any_work(settings):
    seen = []

    def prepare(self, event):
        with another_connection() as another, another.cursor() as cursor:
            cursor.execute("SELECT attempts, version, status FROM payment_webhooks_event")
            seen.append(cursor.fetchall()[0])
            seen.append((read(event).due_at, read(event).enqueue_at))

    handle(settings, prepare=prepare)
    event = EventFactory(attempts=2)
    process([event.pk])
    (counted, (due_at, enqueue_at)) = seen
    assert tuple(counted) == (3, 1, "received")
    assert due_at == enqueue_at
    assert is_in(due_at, 300)


@pytest.mark.parametrize("verb", ["prepare", "is_ready", "apply", "deliver"])
def test_an_event_that_kills_its_worker_each_time_fails_in_the_end(
    verb, settings, order, pass_time, received_signals, published
):
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 3
    works = []

    def work(self, event):
        works.append(event.attempts)
        raise WorkerKilled

    handle(settings, parent=Effect, **{verb: work})
    event = EventFactory()
    for attempt in (1, 2, 3):
        with pytest.raises(WorkerKilled):
            process([event.pk])
        assert read(event).attempts == attempt
        assert read(event).status == ("applied" if verb == "deliver" else "received")
        process([event.pk])  # a second message: the event is leased
        assert is_in(read(event).due_at, 300)
        pass_time(300)
    process([event.pk])
    row = read(event)
    assert works == [1, 2, 3]
    assert (row.status, row.due_at, row.enqueue_at) == ("failed", None, None)
    assert "did not survive the last attempt" in row.error
    assert len(received_signals.of("event_failed")) == 1
    assert received_signals.of("event_retried") == []
    assert effects() == ([event.provider_event_id] if verb == "deliver" else [])
    assert published() == []


def test_the_last_error_is_named_when_a_worker_did_not_survive(settings, pass_time):
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 2

    def prepare(self, event):
        raise WorkerKilled if event.attempts == 2 else ValueError("first sign of trouble")

    handle(settings, prepare=prepare)
    event = EventFactory()
    process([event.pk])
    pass_time(60)
    with pytest.raises(WorkerKilled):
        process([event.pk])
    pass_time(300)
    process([event.pk])
    assert read(event).status == "failed"
    assert "first sign of trouble" in read(event).error


def test_an_event_that_another_worker_took_is_left_to_it(
    settings, monkeypatch, received_signals, order
):
    """Two messages for one event: both workers have read the row before either takes it."""
    handle(settings, parent=Effect)
    event = EventFactory()
    schedule = Event.reschedule

    def overtaken(self, *args, **values):
        monkeypatch.setattr(Event, "reschedule", schedule)
        process([event.pk])
        return schedule(self, *args, **values)

    monkeypatch.setattr(Event, "reschedule", overtaken)
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts) == ("processed", 1)
    assert effects() == [event.provider_event_id]
    assert received_signals.names() == ["event_applied", "event_processed"]


def test_many_messages_for_one_event_at_once_have_one_effect(settings, order, received_signals):
    handle(settings, parent=Effect)
    event = EventFactory()
    assert at_once(*[lambda: process([event.pk])] * 6) == [None] * 6
    assert effects() == [event.provider_event_id]
    row = read(event)
    assert (row.status, row.attempts) == ("processed", 1)
    assert received_signals.names() == ["event_applied", "event_processed"]


def test_an_event_without_a_handler_is_ignored(received_signals, published, run_due):
    event = EventFactory(type="customer.updated")
    assert run_due() == [event.pk]
    row = read(event)
    assert (row.status, row.error, row.attempts) == ("ignored", "", 1)
    assert (row.due_at, row.enqueue_at, row.idempotency_key) == (None, None, None)
    assert is_in(row.finished_at, 0)
    assert received_signals.names() == ["event_ignored"]
    assert published() == []


def test_a_handler_that_can_not_be_imported_is_a_failed_attempt(settings, received_signals):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": "shop.handlers.Nothing"}
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, read(event).attempts) == ("received", 1)
    assert "Nothing" in read(event).error
    assert received_signals.names() == ["event_retried"]


# ---- apply


def test_each_verb_runs_where_it_should(settings, order):
    seen = []

    def note(verb, result=None):
        def method(self, event):
            seen.append((verb, connection.in_atomic_block, event.status))
            return result

        return method

    verbs = {
        "prepare": note("prepare"),
        "idempotency_key": note("key", "a key"),
        "is_ready": note("is_ready", True),
    }
    handle(settings, apply=note("apply"), deliver=note("deliver"), **verbs)
    process([EventFactory().pk])
    assert seen == [
        ("prepare", False, "received"),
        ("key", False, "received"),
        ("is_ready", True, "received"),
        ("apply", True, "received"),
        ("deliver", False, "applied"),
    ]


def test_effects_and_status_are_committed_together(settings, order):
    seen = []

    def apply(self, event):
        effect(event)
        with another_connection() as another, another.cursor() as cursor:
            cursor.execute("SELECT status, idempotency_key FROM payment_webhooks_event")
            seen.append(cursor.fetchall()[0])
            cursor.execute("SELECT COUNT(*) FROM shop_ledgerentry")
            seen.append(cursor.fetchall()[0])

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert [tuple(row) for row in seen] == [("received", None), (0,)]
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])


def test_nothing_is_left_of_a_handler_that_raises(settings, order, received_signals, published):
    def apply(self, event):
        effect(event)
        Order.objects.update(status="paid")
        raise ValueError("no such thing")

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, row.error) == (
        "received",
        1,
        repr(ValueError("no such thing")),
    )
    assert row.idempotency_key is None
    assert effects() == []
    assert Order.objects.get().status == "new"
    assert received_signals.names() == ["event_retried"]
    assert published() == []


def test_a_failed_attempt_is_followed_by_a_good_one(settings, order, pass_time, received_signals):
    def apply(self, event):
        effect(event)
        if event.attempts < 3:
            raise ValueError

    handle(settings, apply=apply)
    event = EventFactory()
    for _ in range(3):
        process([event.pk])
        pass_time(3600)
    row = read(event)
    assert (row.status, row.attempts, row.error) == ("processed", 3, "")
    assert effects() == [event.provider_event_id]
    assert received_signals.names() == [
        "event_retried",
        "event_retried",
        "event_applied",
        "event_processed",
    ]


def test_a_soft_time_limit_is_a_failed_attempt(settings, order):
    def apply(self, event):
        effect(event)
        raise SoftTimeLimitExceeded

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, read(event).attempts) == ("received", 1)
    assert effects() == []


def test_the_transaction_starts_with_the_fence_and_ends_with_the_status(settings, order):
    marks = []
    with recorded_statements() as statements:

        def is_ready(self, event):
            marks.append(len(statements))
            return True

        def apply(self, event):
            effect(event)
            marks.append(len(statements))

        handle(
            settings,
            is_ready=is_ready,
            apply=apply,
            deliver=lambda self, event: marks.append(len(statements)),
        )
        process([EventFactory().pk])
    before_apply, after_apply, in_delivery = marks
    look, fence = statements[before_apply - 2 : before_apply]
    assert look.startswith("SELECT") and "idempotency_key" in look
    assert fence.startswith("UPDATE") and "idempotency_key" in fence and "version" in fence
    assert [
        text for text in statements[before_apply:after_apply] if "payment_webhooks_event" in text
    ] == []
    status, release = statements[after_apply:in_delivery]
    assert status.startswith("UPDATE") and "status" in status and "version" in status
    assert release.startswith("SELECT")


def test_an_event_that_was_overtaken_before_the_fence_has_no_effect(
    settings, order, received_signals, published
):
    def prepare(self, event):
        Event.objects.filter(pk=event.pk).update(version=F("version") + 1)

    handle(settings, parent=Effect, prepare=prepare)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, row.error, row.idempotency_key) == ("received", 1, "", None)
    assert is_in(row.due_at, 300)
    assert effects() == []
    assert received_signals == []
    assert published() == []


def test_a_slow_worker_whose_lease_has_ended_has_no_effect(
    settings, order, pass_time, received_signals
):
    def prepare(self, event):
        if event.attempts == 1:
            pass_time(300)
            process([event.pk])

    handle(settings, parent=Effect, prepare=prepare)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts) == ("processed", 2)
    assert effects() == [event.provider_event_id]
    assert received_signals.names() == ["event_applied", "event_processed"]


def test_a_slow_worker_that_fails_when_its_lease_has_ended_changes_nothing(
    settings, order, pass_time
):
    def prepare(self, event):
        if event.attempts == 1:
            pass_time(300)
            process([event.pk])
            raise ValueError("too late")

    handle(settings, parent=Effect, prepare=prepare)
    event = EventFactory()
    with pytest.raises(
        Overtaken
    ) as raised:  # so that the worker's log has the error, which the row may not have
        process([event.pk])
    assert isinstance(raised.value.__context__, ValueError)
    row = read(event)
    assert (row.status, row.attempts, row.error) == ("processed", 2, "")
    assert effects() == [event.provider_event_id]


def test_a_transaction_whose_first_half_was_lost_is_rolled_back(
    settings, order, received_signals, pass_time
):
    """A handler hides a deadlock: MySQL has undone the fence. Here the handler undoes the fence
    itself.
    """

    def apply(self, event):
        effect(event)
        if event.attempts == 1:
            Event.objects.filter(pk=event.pk).update(version=F("version") - 1, idempotency_key=None)

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts) == ("received", 1)
    assert row.error == "TransactionManagementError('The handler hid a database error.')"
    assert row.idempotency_key is None
    assert effects() == []
    assert received_signals.names() == ["event_retried"]
    pass_time(10)
    process([event.pk])
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])


def test_a_handler_that_hides_a_database_error_has_no_effect(settings, order, received_signals):
    def apply(self, event):
        effect(event)
        try:
            OrderFactory(id="A1")
        except IntegrityError:
            pass

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, read(event).attempts) == ("received", 1)
    assert read(event).idempotency_key is None
    assert effects() == []
    assert received_signals.names() == ["event_retried"]


def test_a_handler_may_undo_a_part_of_its_own(settings, order):
    def apply(self, event):
        effect(event)
        try:
            with transaction.atomic():
                effect(event)
                OrderFactory(id="A1")
        except IntegrityError:
            pass

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])


def test_an_effect_is_kept_if_what_the_handler_does_on_commit_fails(
    settings, order, pass_time, received_signals
):
    def apply(self, event):
        effect(event)
        transaction.on_commit(lambda: 1 / 0)

    handle(settings, apply=apply)
    later = time.time() + (900)
    event, waiting = (
        EventFactory(),
        EventFactory(type="refund.created", status=Event.WAITING, due_at=later),
    )
    handle(settings, "refund.created", requires=("charge.succeeded",))
    with pytest.raises(Overtaken) as raised:
        process([event.pk])
    assert isinstance(raised.value.__context__, ZeroDivisionError)
    assert (read(event).status, effects()) == ("applied", [event.provider_event_id])
    pass_time(300)
    process([event.pk])
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])
    assert is_in(read(waiting).due_at, 0)


def test_a_handler_that_saves_its_event_changes_nothing(settings, order):
    def apply(self, event):
        effect(event)
        event.status = Event.FAILED
        event.save()

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])


@pytest.mark.parametrize("name", TRANSIENT)
def test_a_victim_of_a_deadlock_is_repeated_at_once_and_not_counted(
    name, settings, order, received_signals
):
    errors = [TRANSIENT[name]() for _ in range(5)]

    def apply(self, event):
        effect(event)
        if errors:
            raise errors.pop()

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, row.error, errors) == ("processed", 1, "", [])
    assert effects() == [event.provider_event_id]
    assert received_signals.names() == ["event_applied", "event_processed"]


def test_a_victim_of_deadlocks_without_end_is_a_failed_attempt(
    settings, order, received_signals, monkeypatch
):
    calls = []

    def apply(self, event):
        calls.append(event)
        effect(event)
        raise OperationalError(1213, "Deadlock found when trying to get lock")

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert len(calls) == 6
    assert (read(event).status, read(event).attempts) == ("received", 1)
    assert "Deadlock" in read(event).error
    assert effects() == []
    assert received_signals.names() == ["event_retried"]


@pytest.mark.parametrize("name", LASTING)
def test_another_database_error_is_a_failed_attempt(name, settings, received_signals):
    calls = []

    def apply(self, event):
        calls.append(event)
        raise LASTING[name]()

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert len(calls) == 1
    assert (read(event).status, read(event).attempts) == ("received", 1)
    assert received_signals.names() == ["event_retried"]


# ---- deliver


def test_a_delivery_is_repeated_with_the_same_key_until_it_succeeds(
    settings, order, pass_time, received_signals
):
    keys = []

    def deliver(self, event):
        keys.append(event.idempotency_key)
        if len(keys) < 4:
            raise DownstreamError(503)

    handle(settings, parent=OneEffect, deliver=deliver)
    event = EventFactory()
    for attempt in (1, 2, 3):
        process([event.pk])
        row = read(event)
        assert (row.status, row.attempts, row.error) == (
            "applied",
            attempt,
            repr(DownstreamError(503)),
        )
        assert row.due_at == row.enqueue_at
        pass_time(3600)
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, row.error) == ("processed", 4, "")
    assert keys == [digest("effect:A1")] * 4
    assert effects() == [event.provider_event_id]
    assert received_signals.names() == ["event_applied"] + ["event_retried"] * 3 + [
        "event_processed"
    ]


def test_a_delivery_is_repeated_with_the_same_key_if_the_worker_dies_after_it(
    settings, order, pass_time
):
    keys = []

    def deliver(self, event):
        keys.append(event.idempotency_key)
        if len(keys) == 1:
            raise WorkerKilled

    handle(settings, parent=Effect, deliver=deliver)
    event = EventFactory()
    with pytest.raises(WorkerKilled):
        process([event.pk])
    assert (read(event).status, read(event).attempts) == ("applied", 1)
    process([event.pk])  # not before the lease has ended
    assert len(keys) == 1
    pass_time(300)
    process([event.pk])
    assert (read(event).status, read(event).attempts) == ("processed", 2)
    assert keys == [digest("event:" + event.dedup_key)] * 2
    assert effects() == [event.provider_event_id]


def test_an_event_that_is_only_delivered_again_is_neither_prepared_nor_applied(
    settings, order, received_signals
):
    called = []
    verbs = ("prepare", "is_ready", "apply", "idempotency_key", "deliver")
    handle(settings, **{verb: lambda self, event, verb=verb: called.append(verb) for verb in verbs})
    event = EventFactory(status=Event.APPLIED, idempotency_key="key")
    process([event.pk])
    assert called == ["deliver"]
    assert read(event).status == "processed"
    assert received_signals.names() == ["event_processed"]


def test_what_waits_is_released_although_the_delivery_fails(steps, settings, published):
    def deliver(self, event):
        raise DownstreamError(503)

    waiting, event = steps("second"), steps("first")
    handle(settings, "first", parent=Effect, deliver=deliver)
    process([waiting.pk])
    process([event.pk])
    assert read(event).status == "applied"
    assert published() == [waiting.pk]
    process([waiting.pk])
    assert read(waiting).status == "processed"


def test_a_worker_that_dies_between_commit_and_release_delays_what_waits(
    steps, monkeypatch, pass_time, published
):
    waiting, event = steps("second"), steps("first")
    process([waiting.pk])
    release = processing.release

    def die(event):
        raise WorkerKilled

    monkeypatch.setattr(processing, "release", die)
    with pytest.raises(WorkerKilled):
        process([event.pk])
    monkeypatch.setattr(processing, "release", release)
    assert (read(event).status, read(waiting).status, published()) == ("applied", "waiting", [])
    pass_time(30)
    process([waiting.pk])  # its next look finds what it requires: it needs no release
    assert read(waiting).status == "processed"
    pass_time(300)
    process([event.pk])
    assert read(event).status == "processed"
    assert effects() == ["first", "second"]


def test_an_event_that_another_worker_delivered_meanwhile_is_left_as_it_is(
    settings, order, pass_time
):
    delivered = []

    def deliver(self, event):
        delivered.append(event.attempts)
        if event.attempts == 1:
            pass_time(300)
            process([event.pk])

    handle(settings, parent=Effect, deliver=deliver)
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, read(event).attempts) == ("processed", 2)
    assert delivered == [1, 2]
    assert effects() == [event.provider_event_id]


def test_an_event_whose_delivery_fails_for_good_keeps_its_effect(settings, order, received_signals):
    def deliver(self, event):
        raise DownstreamError(400)

    handle(settings, parent=Effect, deliver=deliver)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.error, row.attempts) == ("failed", repr(DownstreamError(400)), 1)
    assert row.idempotency_key == digest("event:" + event.dedup_key)
    assert effects() == [event.provider_event_id]
    assert received_signals.names() == ["event_applied", "event_failed"]


