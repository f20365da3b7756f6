"""The sweeper: what waits is released, and whatever is lost is enqueued again, not too often."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F
from kombu.exceptions import OperationalError as BrokerError

from django_payment_webhooks import signals, sweeper
from django_payment_webhooks.exceptions import Overtaken
from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import process, unless_locked
from django_payment_webhooks.sweeper import mark, release, sweep, sweep_events

from .doubles import (
    Clock,
    DownstreamError,
    Effect,
    WorkerKilled,
    another_connection,
    at_once,
    handle,
    recorded_statements,
)
from .factories import EventFactory
from .rows import columns, effects, is_in, read, seconds_until_swept

pytestmark = pytest.mark.django_db(transaction=True)


def overdue(seconds, **fields):
    """Store an event that was due, or swept, this many seconds ago, and was not taken."""
    moment = time.time() - seconds
    return EventFactory(**{"due_at": moment, "enqueue_at": moment, **fields})


class Messages(list):
    """The keys of each message that a sweep sent."""

    def keys(self):
        """Return the keys of all messages."""
        return [key for keys in self for key in keys]


# ---- what waits is released


def test_what_it_waited_for_releases_an_event(steps, received_signals, published):
    waiting, event = steps("second"), steps("first")
    process([waiting.pk])
    process([event.pk])
    row = read(waiting)
    assert row.status == "waiting"
    assert is_in(row.due_at, 0)
    assert is_in(row.enqueue_at, 30)
    (facts,) = received_signals.of("event_released")
    assert (facts["event"].pk, facts["by"].pk) == (waiting.pk, event.pk)
    names = ["event_waiting", "event_released", "event_processed"]
    assert sorted(received_signals.names()) == sorted(names)
    assert published() == [waiting.pk]
    process([waiting.pk])
    row = read(waiting)
    assert (row.status, row.error, row.attempts) == ("processed", "", 1)
    assert effects() == ["first", "second"]


def test_all_events_that_wait_for_an_order_are_released_and_no_others(
    steps, published, received_signals
):
    waiting = [steps("second", provider="p%d" % number) for number in range(3)]
    stranger = steps("second", order_id="A2")
    finished = EventFactory(status=Event.FAILED, due_at=None)
    not_due = EventFactory(status=Event.APPLIED, due_at=time.time() + 60)
    for event in waiting + [stranger]:
        process([event.pk])
    before = [columns(event) for event in (stranger, finished, not_due)]
    process([steps("first").pk])
    assert published() == [event.pk for event in waiting]
    assert [facts["event"].pk for facts in received_signals.of("event_released")] == [
        event.pk for event in waiting
    ]
    assert [columns(event) for event in (stranger, finished, not_due)] == before


def test_an_event_that_is_due_already_is_not_released_again(steps, published, received_signals):
    waiting = steps("second")
    process([waiting.pk])
    process([steps("first").pk])
    released = columns(waiting)
    release(Event.objects.get(type="first"))
    assert columns(waiting) == released
    assert published() == [waiting.pk]
    assert len(received_signals.of("event_released")) == 1


def test_an_event_that_another_process_releases_is_passed_over(
    steps, published, received_signals, monkeypatch
):
    first, second = (steps("second", provider=name) for name in ("p1", "p2"))
    for event in (first, second):
        process([event.pk])
    schedule = Event.reschedule

    def be_overtaken_and_schedule(self, *args, **values):
        if self.pk == first.pk:
            Event.objects.filter(pk=first.pk).update(version=F("version") + 1)
        schedule(self, *args, **values)

    monkeypatch.setattr(Event, "reschedule", be_overtaken_and_schedule)
    release(first)
    assert published() == [second.pk]
    assert [facts["event"].pk for facts in received_signals.of("event_released")] == [second.pk]


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

    def die(*args, **facts):
        raise WorkerKilled

    with monkeypatch.context() as patched:
        patched.setattr(signals.event_processed, "send_robust", die)
        with pytest.raises(WorkerKilled):
            process([event.pk])
    assert (read(event).status, read(waiting).status, published()) == ("processed", "waiting", [])
    pass_time(30)
    process([waiting.pk])  # its next look finds what it requires: it needs no release
    assert read(waiting).status == "processed"
    assert effects() == ["first", "second"]


# ---- what is swept


def test_what_is_due_is_enqueued_oldest_first(received_signals):
    events = [overdue(seconds) for seconds in (60, 3600, 10, 600)]
    messages = Messages()
    assert sweep(messages.append) == 4
    assert messages.keys() == [events[number].pk for number in (1, 3, 0, 2)]
    assert received_signals.names() == ["sweep_finished"]
    assert received_signals.of("sweep_finished")[0]["enqueued"] == 4
    assert received_signals.of("sweep_finished")[0]["sender"] is Event


def test_what_is_not_due_yet_or_never_is_left_as_it_is(received_signals):
    events = [
        EventFactory(),
        overdue(60, enqueue_at=time.time() + 2),
        EventFactory(status=Event.PROCESSED, due_at=None),
        EventFactory(status=Event.FAILED, due_at=None),
    ]
    before = [columns(event) for event in events]
    assert sweep(pytest.fail) == 0
    assert [columns(event) for event in events] == before
    assert received_signals.of("sweep_finished")[0]["enqueued"] == 0


@pytest.mark.parametrize("status", [Event.RECEIVED, Event.WAITING, Event.APPLIED])
def test_an_event_that_is_due_is_swept_whatever_its_status(status):
    event, messages = overdue(60, status=status), Messages()
    sweep(messages.append)
    assert messages.keys() == [event.pk]
    assert (read(event).status, read(event).attempts) == (status, 0)


def test_a_sweep_is_bounded(settings):
    settings.PAYMENT_WEBHOOKS_SWEEP_BATCH = 3
    events = [overdue(1000 - number) for number in range(7)]
    messages = Messages()
    for expected in (3, 3, 1, 0):
        assert sweep(messages.append) == expected
    assert messages.keys() == [event.pk for event in events]


def test_the_bodies_of_the_events_are_not_read():
    overdue(60)
    with recorded_statements() as statements:
        sweep(lambda keys: None)
    assert len([text for text in statements if "payment_webhooks_event" in text]) >= 2
    assert [text for text in statements if "body" in text] == []


def test_the_task_sends_the_messages_to_the_broker(published):
    first, second = overdue(60), overdue(50)
    sweep_events()
    assert published() == [first.pk, second.pk]


def test_a_sweep_moves_an_event_on_when_every_message_is_lost(
    order, settings, published, monkeypatch, shop_state
):
    clock = Clock(monkeypatch)
    charge, refund = (
        EventFactory(),
        EventFactory(type="refund.created", data={"refund_id": "re_1", "amount": "1.00"}),
    )
    for _ in range(20):
        clock.advance(10)
        sweep(process)
        published()  # what release enqueues is lost
    assert {read(event).status for event in (charge, refund)} == {"processed"}
    assert shop_state()["ledger"] == [("payment", "A1"), ("refund", "A1")]


def test_an_event_whose_handler_fails_does_not_keep_the_others_from_being_swept(settings):
    def apply(self, event):
        raise DownstreamError(503)

    handle(settings, apply=apply)
    first, second = overdue(60), overdue(50)
    assert sweep(process) == 2
    assert [read(event).attempts for event in (first, second)] == [1, 1]


def test_an_event_is_marked_before_it_is_enqueued():
    event, seen = overdue(60), []
    sweep(lambda keys: seen.append(seconds_until_swept(event)))
    assert seen == [pytest.approx(60, abs=5)]


def test_a_broker_that_fails_ends_the_sweep_and_the_event_is_swept_after_its_gap(
    published, monkeypatch, received_signals
):
    clock = Clock(monkeypatch)
    first, second = overdue(60, attempts=1), overdue(50, attempts=1)

    def fail(keys):
        raise BrokerError("no broker")

    with pytest.raises(BrokerError):
        sweep(fail)
    assert received_signals == []
    assert seconds_until_swept(first) == pytest.approx(60, abs=5)
    assert seconds_until_swept(second) == pytest.approx(-50, abs=5)
    sweep_events()
    assert published() == [second.pk]
    clock.advance(66)
    sweep_events()
    assert published() == [second.pk, first.pk]


def test_what_is_named_in_a_message_that_fails_is_swept_again_after_its_gap(published, monkeypatch):
    clock = Clock(monkeypatch)
    events = [overdue(60), overdue(50)]

    def fail(keys):
        raise BrokerError("no broker")

    with pytest.raises(BrokerError):
        sweep(fail)
    sweep_events()
    assert published() == []
    clock.advance(66)
    sweep_events()
    assert published() == [event.pk for event in reversed(events)]


def test_what_was_never_tried_or_swept_is_named_together(settings, published):
    settings.PAYMENT_WEBHOOKS_MESSAGE_SIZE = 3
    now = time.time()
    events = [EventFactory(due_at=now - 31, enqueue_at=now - 1) for _ in range(7)]
    keys = [event.pk for event in events]
    messages = Messages()
    assert sweep(messages.append) == 7
    assert sorted(map(len, messages)) == [1, 3, 3]
    assert sorted(messages.keys()) == keys


@pytest.mark.parametrize(
    "fields", [{"attempts": 1}, {"due_at": time.time() - 3600}], ids=["tried", "swept"]
)
def test_what_was_tried_or_swept_before_travels_alone(fields):
    now = time.time()
    fresh = [EventFactory(due_at=now - 31, enqueue_at=now - 1) for _ in range(2)]
    suspect = EventFactory(**{"due_at": now - 31, "enqueue_at": now - 1.5, **fields})
    others = [EventFactory(due_at=now - 31, enqueue_at=now - 1) for _ in range(2)]
    messages = Messages()
    assert sweep(messages.append) == 5
    assert [suspect.pk] in messages
    assert sorted(map(len, messages)) == [1, 4]
    assert sorted(messages.keys()) == sorted(event.pk for event in [*fresh, suspect, *others])


def test_a_thousand_due_events_are_at_most_twenty_messages():
    now = time.time()
    rows = EventFactory.build_batch(1000, due_at=now - 31, enqueue_at=now - 1)
    Event.objects.bulk_create(rows)
    messages = Messages()
    assert sweep(messages.append) == 1000
    assert len(messages) <= 20
    assert len(set(messages.keys())) == 1000


# ---- how often


@pytest.mark.parametrize(
    "age, gap", [(0, 30), (29, 30), (60, 60), (600, 600), (3600, 3600), (90000, 3600)]
)
def test_an_event_is_left_alone_for_as_long_as_it_has_been_due_within_bounds(age, gap):
    event = overdue(age)
    sweep(lambda keys: None)
    row = read(event)
    assert seconds_until_swept(event) == pytest.approx(gap, abs=3)
    assert (row.attempts, row.status) == (0, "received")


def test_an_event_that_no_worker_takes_for_an_hour_costs_at_most_eight_messages(
    monkeypatch, webhook, published
):
    clock = Clock(monkeypatch)
    webhook()
    sent = published()
    for _ in range(360):
        clock.advance(10)
        sweep_events()
        sent += published()
    assert sent == [Event.objects.get().pk] * len(sent)
    assert 6 <= len(sent) <= 8
    for _ in range(24 * 6):
        clock.advance(600)
        sweep_events()
        sent += published()
    assert len(sent) <= 8 + 24


def test_sweepers_at_the_same_time_enqueue_each_event_once(monkeypatch):
    events = [overdue(100 + number) for number in range(10)]
    messages, all_have_read, here = Messages(), threading.Barrier(3), threading.local()

    def mark_together(event):
        if not hasattr(here, "has_read"):
            here.has_read = all_have_read.wait(10)
        return mark(event)

    monkeypatch.setattr(sweeper, "mark", mark_together)
    assert sum(at_once(*[lambda: sweep(messages.append)] * 3)) == 10
    assert sorted(messages.keys()) == sorted(event.pk for event in events)


def test_an_event_that_another_sweeper_marked_is_passed_over():
    """Both sweepers have read that the events are due, and the other one is quicker."""
    first, second = overdue(60, attempts=1), overdue(50, attempts=1)
    messages = Messages()

    def send(keys):
        messages.append(keys)
        Event.objects.filter(pk=second.pk).update(version=F("version") + 1)

    assert sweep(send) == 1
    assert messages == [[first.pk]]
    assert seconds_until_swept(second) == pytest.approx(-50, abs=5)


def test_a_worker_that_takes_an_event_while_it_is_swept_keeps_it(settings):
    event, taken = overdue(60), []

    def work(self, event):
        taken.append(event.attempts)
        sweep(pytest.fail)  # it is leased: nothing to enqueue

    handle(settings, apply=lambda self, event: None, prepare=work)
    process([event.pk])
    assert taken == [1]
    assert read(event).status == "processed"


@pytest.mark.parametrize("code", [1205, 3572, 1213])
def test_an_event_whose_row_can_not_be_locked_in_time_is_passed_over(code, monkeypatch):
    first, second = overdue(60), overdue(50)
    change, messages = Event.change, Messages()

    def change_unless_first(self, *args, **values):
        if self.pk == first.pk:
            raise OperationalError(code, "Lock wait timeout exceeded")
        change(self, *args, **values)

    monkeypatch.setattr(Event, "change", change_unless_first)
    assert sweep(messages.append) == 1
    assert messages == [[second.pk]]


@pytest.fixture
def short_lock_wait():
    """Let this connection wait for a lock for a short time, where it can't skip locked rows."""
    statement = {
        "mysql": "SET innodb_lock_wait_timeout = %d",
        "sqlite": "PRAGMA busy_timeout = %d000",
    }.get(connection.vendor, "SELECT %d")
    with connection.cursor() as cursor:
        cursor.execute(statement % 1)
        yield
        cursor.execute(statement % 20)


def test_a_manually_damaged_row_does_not_hold_up_the_others():
    spoilt, other = overdue(60), overdue(50)
    Event.objects.filter(pk=spoilt.pk).update(due_at=None)
    messages = Messages()
    sweep(messages.append)
    assert messages.keys() == [spoilt.pk, other.pk]
    assert Event.objects.get(pk=other.pk).enqueue_at > time.time()


def test_a_row_that_another_connection_holds_does_not_hang_the_sweep(short_lock_wait):
    first, second, third = overdue(60), overdue(50), overdue(40)
    free = (
        [] if connection.vendor == "sqlite" else [first.pk, third.pk]
    )  # SQLite locks all rows together
    messages = Messages()
    with another_connection("holder") as holder:
        with transaction.atomic(using="holder"), holder.cursor() as cursor:
            cursor.execute(
                "UPDATE payment_webhooks_event SET error = 'held' WHERE id = %s", [second.pk]
            )
            before = columns(second)
            assert sweep(messages.append) == len(free)
            assert columns(second) == before
        assert messages.keys() == free
        sweep(messages.append)
    assert sorted(messages.keys()) == [first.pk, second.pk, third.pk]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="it locks all rows together")
def test_a_locked_row_is_not_waited_for_where_the_database_can_skip_it(short_lock_wait):
    event = overdue(60)
    skips = connection.features.has_select_for_update_skip_locked
    with another_connection("holder") as holder, transaction.atomic(using="holder"):
        with holder.cursor() as cursor:
            cursor.execute(
                "UPDATE payment_webhooks_event SET error = 'held' WHERE id = %s", [event.pk]
            )
        started = time.monotonic()
        with pytest.raises(Overtaken if skips else OperationalError):
            lock_and_change(read(event))
        assert not skips or time.monotonic() - started < 0.5


def lock_and_change(event):
    """Change an event unless another connection holds its row."""
    with unless_locked(event):
        event.change(attempts=7)


@pytest.mark.parametrize("skips", [True, False])
def test_an_event_is_marked_once_whether_or_not_the_database_can_skip_locked_rows(
    skips, monkeypatch
):
    if connection.vendor != "postgresql":  # which always can
        monkeypatch.setattr(connection.features, "has_select_for_update_skip_locked", skips)
    event, other, messages = overdue(60), overdue(50), Messages()
    with recorded_statements() as statements:
        assert sweep(messages.append) == 2
    assert messages.keys() == [event.pk, other.pk]
    assert seconds_until_swept(event) == pytest.approx(60, abs=3)
    if connection.features.has_select_for_update:
        asked = skips or connection.vendor == "postgresql"
        assert len([text for text in statements if "SKIP LOCKED" in text]) == (2 if asked else 0)
    Event.objects.filter(pk=event.pk).delete()
    before = columns(other)
    assert mark(event) is False
    assert columns(other) == before


# ---- a lease


@pytest.mark.parametrize("status", [Event.RECEIVED, Event.WAITING, Event.APPLIED])
def test_an_event_that_a_worker_has_is_moved_to_the_end_of_its_lease_and_not_sent(
    status, received_signals
):
    """A take leaves the time of the next sweep as it is, since that column has an index."""
    event = EventFactory(status=status, due_at=time.time() - 31, enqueue_at=time.time() - 1)
    event.take()
    before = columns(event)
    assert sweep(pytest.fail) == 0
    after = columns(event)
    assert after.pop("enqueue_at") == after["due_at"]
    assert is_in(after["due_at"], 300)
    before.pop("enqueue_at")
    assert after == before  # the version, too: the worker must not be overtaken
    event.finish(Event.PROCESSED if status == Event.APPLIED else Event.IGNORED)
    assert [told["enqueued"] for told in received_signals.of("sweep_finished")] == [0]


def test_an_event_whose_worker_died_is_swept_when_its_lease_has_ended(monkeypatch):
    clock, event, messages = Clock(monkeypatch), EventFactory(), Messages()
    event.take()
    for _ in range(31):
        clock.advance(10)
        sweep(messages.append)
    assert messages == [[event.pk]]


def test_the_mark_of_an_event_that_is_taken_meanwhile_changes_nothing():
    event = EventFactory(due_at=time.time() - 31, enqueue_at=time.time() - 1)
    seen, worker = read(event), read(event)
    worker.take()
    before = columns(event)
    assert mark(seen) is False
    assert columns(event) == before


# ---- what a release costs


def test_waiting_events_without_an_order_cost_an_unrelated_event_nothing(settings, order):
    handle(settings, "lonely", parent=Effect, requires=("charge.succeeded",))
    handle(settings)

    def count():
        event = EventFactory(type="charge.succeeded", order_id="")
        with recorded_statements() as statements:
            process([event.pk])
        assert read(event).status == "processed"
        return len(statements)

    before = count()
    for _ in range(30):
        process([EventFactory(type="lonely", order_id="").pk])
    assert Event.objects.filter(status=Event.WAITING).count() == 30
    assert count() == before <= 7


@pytest.mark.parametrize("count", [300, 5000])
def test_the_release_of_many_events_is_bounded_and_reads_no_bodies(
    count, settings, order, received_signals, published
):
    handle(settings, "first", parent=Effect)
    handle(settings, "second", requires=("first",))
    now = time.time()
    rows = EventFactory.build_batch(
        count,
        type="second",
        status=Event.WAITING,
        waiting_since=now,
        due_at=now + 600,
        enqueue_at=now + 600,
        body=b"{}",
    )
    Event.objects.bulk_create(rows, batch_size=500)
    event = EventFactory(type="first")
    with recorded_statements() as statements:
        process([event.pk])
    assert read(event).status == "processed"
    assert len(received_signals.of("event_released")) == 100
    assert len(statements) <= 6 + 100 * 4
    assert [text for text in statements if "body" in text] == []
    assert len(published()) == 100


def test_events_beyond_the_bound_are_released_by_those_before_them(
    settings, order, monkeypatch, published, run_due
):
    monkeypatch.setattr(sweeper, "MAX_RELEASED", 3)
    handle(settings, "first", parent=Effect)
    handle(settings, "second", parent=Effect, requires=("first",))
    waiting = [EventFactory(type="second") for _ in range(10)]
    process([event.pk for event in waiting])
    process([EventFactory(type="first").pk])
    for _ in waiting:
        process(published())
    assert {read(event).status for event in waiting} == {"processed"}
    assert len(effects()) == 11


def test_an_error_of_the_release_is_logged_and_left_to_the_sweeper(
    steps, monkeypatch, caplog, received_signals
):
    waiting, event = steps("second"), steps("first")
    process([waiting.pk])

    def fail(*args):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(sweeper, "release_one", fail)
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, row.error) == ("processed", 1, "")
    assert f"release failed event={event.pk}" in caplog.text
    assert received_signals.of("event_retried") == []
    assert (read(waiting).status, is_in(read(waiting).due_at, 30)) == ("waiting", True)
