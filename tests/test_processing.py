"""A worker's attempt at an event: take, apply, deliver, finish."""

from __future__ import annotations

import time

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone
from shop.models import Order

from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.processing import process_event
from django_payment_webhooks.publisher import process
from django_payment_webhooks.retrying import RetryPolicy

from .database_errors import LASTING, TRANSIENT
from .doubles import (
    DownstreamError,
    Effect,
    OneEffect,
    WorkerKilled,
    another_connection,
    at_once,
    effect,
    handle,
    recorded_statements,
)
from .factories import EventFactory, OrderFactory
from .rows import FINAL, columns, effects, is_in, read

pytestmark = pytest.mark.django_db(transaction=True)


# ---- take


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
    event = EventFactory(status=status, due_at=time.time() + 30)
    before = columns(event)
    process([event.pk])
    assert columns(event) == before
    assert received_signals == []
    assert published() == []


def test_an_event_may_be_taken_by_a_clock_that_is_a_little_behind(settings, order):
    handle(settings, parent=Effect)
    early = EventFactory(due_at=time.time() + 0.9)
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
    assert is_in(due_at, 300)
    # Left as it is: the column has an index, and the sweeper sees by the other that it is leased.
    assert is_in(enqueue_at, 30)


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
    assert received_signals.names() == ["event_processed"]


def test_many_messages_for_one_event_at_once_have_one_effect(settings, order, received_signals):
    handle(settings, parent=Effect)
    event = EventFactory()
    assert at_once(*[lambda: process([event.pk])] * 6) == [None] * 6
    assert effects() == [event.provider_event_id]
    row = read(event)
    assert (row.status, row.attempts) == ("processed", 1)
    assert received_signals.names() == ["event_processed"]


def test_an_event_without_a_handler_is_ignored(received_signals, published, run_due):
    event = EventFactory(type="customer.updated")
    assert run_due() == [event.pk]
    row = read(event)
    assert (row.status, row.attempts) == ("ignored", 1)
    assert row.error == "There is no handler for its type."
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
        ("is_ready", True, "applied"),
        ("apply", True, "applied"),
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
        "event_processed",
    ]


def test_a_soft_time_limit_is_a_failed_attempt_and_raised_again(settings, order):
    def apply(self, event):
        effect(event)
        raise SoftTimeLimitExceeded

    handle(settings, apply=apply)
    event = EventFactory()
    with pytest.raises(SoftTimeLimitExceeded):
        process_event(event)
    assert (read(event).status, read(event).attempts) == ("received", 1)
    assert effects() == []


@pytest.mark.parametrize("delivers", [False, True])
def test_the_transaction_starts_with_the_one_update_and_ends_with_a_look(delivers, settings, order):
    marks = []
    with recorded_statements() as statements:

        def is_ready(self, event):
            marks.append(len(statements))
            return True

        def apply(self, event):
            effect(event)
            marks.append(len(statements))

        verbs = {"is_ready": is_ready, "apply": apply}
        if delivers:
            verbs["deliver"] = lambda self, event: marks.append(len(statements))
        handle(settings, **verbs)
        process([EventFactory().pk])
    before_apply, after_apply = marks[:2]
    take, claim = statements[before_apply - 2 : before_apply]
    assert take.startswith("UPDATE") and "attempts" in take and "version" in take
    assert claim.startswith("UPDATE") and "idempotency_key" in claim and "version" in claim
    assert "status" in claim
    during = statements[before_apply:after_apply]
    assert [text for text in during if "payment_webhooks_event" in text] == []
    confirm = statements[after_apply]
    assert confirm.startswith("SELECT") and "version" in confirm and "idempotency_key" in confirm


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
    assert received_signals.names() == ["event_processed"]


def test_a_slow_worker_that_fails_when_its_lease_has_ended_changes_nothing(
    settings, order, pass_time, received_signals
):
    def prepare(self, event):
        if event.attempts == 1:
            pass_time(300)
            process([event.pk])
            raise ValueError("too late")

    handle(settings, parent=Effect, prepare=prepare)
    event = EventFactory()
    process([event.pk])
    # So that an operator sees the error, which the row may not have.
    (facts,) = received_signals.of("event_overtaken")
    assert (facts["event"].pk, str(facts["error"])) == (event.pk, "too late")
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


@pytest.mark.parametrize("delivers", [False, True])
def test_an_effect_is_kept_if_what_the_handler_does_on_commit_fails(
    delivers, settings, order, pass_time, received_signals
):
    delivered = []

    def apply(self, event):
        effect(event)
        transaction.on_commit(lambda: 1 / 0)

    verbs = {"apply": apply}
    if delivers:
        verbs["deliver"] = lambda self, event: delivered.append(event.attempts)
    handle(settings, **verbs)
    handle(settings, "refund.created", requires=("charge.succeeded",))
    later = time.time() + 900
    event = EventFactory()
    waiting = EventFactory(type="refund.created", status=Event.WAITING, due_at=later)
    process([event.pk])
    (facts,) = received_signals.of("event_overtaken")
    assert isinstance(facts["error"], ZeroDivisionError)
    expected = "applied" if delivers else "processed"
    assert (read(event).status, effects()) == (expected, [event.provider_event_id])
    assert is_in(read(waiting).due_at, 0)
    pass_time(300)
    process([event.pk])
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])
    assert delivered == ([2] if delivers else [])


def test_a_handler_that_saves_its_event_as_it_is_changes_nothing(settings, order):
    def apply(self, event):
        effect(event)
        event.save()

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])


@pytest.mark.parametrize(
    "values",
    [
        {"status": Event.FAILED},
        {"status": Event.RECEIVED, "finished_at": None, "idempotency_key": None},
        {"idempotency_key": "another"},
        {"version": 100},
    ],
    ids=["failed", "undone", "another key", "another version"],
)
def test_a_handler_that_saves_another_end_of_its_event_has_no_effect(values, settings, order):
    def apply(self, event):
        effect(event)
        vars(event).update(values)
        event.save()

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, row.idempotency_key) == ("received", 1, None)
    assert effects() == []
    assert "database error" in row.error


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
    assert received_signals.names() == ["event_processed"]


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


# ---- wait, and look again


def test_a_refund_is_applied_if_its_charge_is_committed_between_its_look_and_its_wait(
    steps, monkeypatch, received_signals, published
):
    """The charge finds nothing waiting, so nothing would release the refund: it must look again."""
    waiting, event = steps("second"), steps("first")
    record = RetryPolicy.record

    def wait_too_late(self, *args):
        process([event.pk])
        record(self, *args)

    monkeypatch.setattr(RetryPolicy, "record", wait_too_late)
    process([waiting.pk])
    assert read(waiting).status == "processed"
    assert effects() == ["first", "second"]
    assert received_signals.of("event_released") == []
    assert received_signals.names() == ["event_processed", "event_waiting", "event_processed"]
    assert published() == []


def test_a_refund_is_released_if_its_charge_is_committed_between_its_wait_and_its_second_look(
    steps, monkeypatch, published
):
    waiting, event = steps("second"), steps("first")
    record = RetryPolicy.record

    def wait_too_early(self, *args):
        record(self, *args)
        process([event.pk])

    with monkeypatch.context() as patched:
        patched.setattr(RetryPolicy, "record", wait_too_early)
        process([waiting.pk])
    assert published() == [waiting.pk]
    process([waiting.pk])
    assert read(waiting).status == "processed"
    assert effects() == ["first", "second"]


def test_a_refund_is_released_if_its_charge_is_committed_after_its_second_look(steps, published):
    waiting, event = steps("second"), steps("first")
    process([waiting.pk])
    assert published() == []
    process([event.pk])
    assert published() == [waiting.pk]


@pytest.mark.parametrize(
    "order_of_arrival", [(3, 2, 1), (2, 3, 1), (3, 1, 2), (2, 1, 3), (1, 3, 2), (1, 2, 3)]
)
def test_a_chain_comes_to_the_same_end_in_every_order(
    order_of_arrival, steps, published, received_signals
):
    names = {1: "first", 2: "second", 3: "third"}
    for number in order_of_arrival:
        process([steps(names[number]).pk])
        while True:
            keys = published()
            if not keys:
                break
            process(keys)
    assert set(Event.objects.values_list("status", flat=True)) == {"processed"}
    assert effects() == ["first", "second", "third"]
    assert [facts["event"].type for facts in received_signals.of("event_processed")] == [
        "first",
        "second",
        "third",
    ]


def test_a_chain_ends_without_any_message(steps, pass_time, run_due):
    for name in ("third", "second", "first"):
        steps(name)
    run_due()
    pass_time(30)
    run_due()
    assert effects() == ["first", "second", "third"]


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
