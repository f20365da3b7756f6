"""The sweeper: whatever is lost on the way to a worker is enqueued again, and not too often."""

import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from celery import Celery
from celery import signals as celery_signals
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from django_payment_webhooks.contrib import sweeper
from django_payment_webhooks.exceptions import Overtaken
from django_payment_webhooks.models import Event
from django_payment_webhooks.processing import process
from django_payment_webhooks.sweeper import SweepStep, sweep, sweep_events

from .doubles import (
    Clock,
    DownstreamError,
    another_connection,
    at_once,
    handle,
    recorded_statements,
)
from .factories import EventFactory

pytestmark = pytest.mark.django_db(transaction=True)


def overdue(seconds, **fields):
    """Store an event that nobody took for a number of seconds since it was due, or since it was put
    off.
    """
    moment = timezone.now() - timedelta(seconds=seconds)
    return EventFactory(**dict({"due_at": moment, "enqueue_at": moment}, **fields))


def read(event):
    """Return the event as its row is now."""
    return Event.objects.get(pk=event.pk)


def columns(event):
    """Return the row as plain values."""
    return Event.objects.filter(pk=event.pk).values().get()


def seconds_until_swept(event):
    """Return in how many seconds the event is swept again."""
    return (read(event).enqueue_at - timezone.now()).total_seconds()


# ---- what is swept


def test_what_is_due_is_enqueued_oldest_first(received_signals):
    events = [overdue(seconds) for seconds in (60, 3600, 10, 600)]
    enqueued = []
    assert sweep(enqueued.append) == 4
    assert enqueued == [events[number].pk for number in (1, 3, 0, 2)]
    assert received_signals.names() == ["sweep_finished"]
    assert received_signals.of("sweep_finished")[0]["enqueued"] == 4
    assert received_signals.of("sweep_finished")[0]["sender"] is Event


def test_what_is_not_due_yet_or_never_is_left_as_it_is(received_signals):
    events = [
        EventFactory(),
        overdue(60, enqueue_at=timezone.now() + timedelta(seconds=2)),
        EventFactory(status=Event.PROCESSED, due_at=None),
        EventFactory(status=Event.FAILED, due_at=None),
    ]
    before = [columns(event) for event in events]
    assert sweep(pytest.fail) == 0
    assert [columns(event) for event in events] == before
    assert received_signals.of("sweep_finished")[0]["enqueued"] == 0


@pytest.mark.parametrize("status", [Event.RECEIVED, Event.WAITING, Event.APPLIED])
def test_an_event_that_is_due_is_swept_whatever_its_status(status):
    event, enqueued = overdue(60, status=status), []
    sweep(enqueued.append)
    assert enqueued == [event.pk]
    assert (read(event).status, read(event).attempts) == (status, 0)


def test_a_sweep_is_bounded(settings):
    settings.PAYMENT_WEBHOOKS_SWEEP_BATCH = 3
    events = [overdue(1000 - number) for number in range(7)]
    enqueued = []
    for expected in (3, 3, 1, 0):
        assert sweep(enqueued.append) == expected
    assert enqueued == [event.pk for event in events]


def test_the_bodies_of_the_events_are_not_read():
    overdue(60)
    with recorded_statements() as statements:
        sweep(lambda pk: None)
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


# ---- how often


def test_an_event_is_marked_before_it_is_enqueued():
    event, seen = overdue(60), []
    sweep(lambda pk: seen.append((read(event).enqueue_at - timezone.now()).total_seconds()))
    assert seen == [pytest.approx(60, abs=5)]


def test_a_broker_that_fails_ends_the_sweep_and_the_event_is_swept_after_its_gap(
    published, monkeypatch, received_signals
):
    clock = Clock(monkeypatch)
    first, second = overdue(60), overdue(50)

    def fail(pk):
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


@pytest.mark.parametrize(
    "age, gap", [(0, 30), (29, 30), (60, 60), (600, 600), (3600, 3600), (90000, 3600)]
)
def test_an_event_is_left_alone_for_as_long_as_it_has_been_due_within_bounds(age, gap):
    event = overdue(age)
    sweep(lambda pk: None)
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
    put_off, enqueued, all_have_read, here = (
        sweeper.put_off,
        [],
        threading.Barrier(3),
        threading.local(),
    )

    def put_off_together(event):
        if not hasattr(here, "has_read"):
            here.has_read = all_have_read.wait(10)
        put_off(event)

    monkeypatch.setattr(sweeper, "put_off", put_off_together)
    assert sum(at_once(*[lambda: sweep(enqueued.append)] * 3)) == 10
    assert sorted(enqueued) == sorted(event.pk for event in events)


def test_an_event_that_another_sweeper_put_off_is_passed_over():
    """Both sweepers have read that the events are due, and the other one is quicker."""
    first, second = overdue(60), overdue(50)
    enqueued = []

    def enqueue(pk):
        enqueued.append(pk)
        Event.objects.filter(pk=second.pk).update(version=F("version") + 1)

    assert sweep(enqueue) == 1
    assert enqueued == [first.pk]
    assert seconds_until_swept(second) == pytest.approx(-50, abs=5)


def test_a_worker_that_takes_an_event_while_it_is_swept_keeps_it(settings):
    event, taken = overdue(60), []

    def work(self, event):
        taken.append(event.attempts)
        sweep(pytest.fail)  # it is leased: nothing to enqueue

    handle(settings, apply=lambda self, event: None, prepare=work)
    process(event.pk)
    assert taken == [1]
    assert read(event).status == "processed"


def test_an_event_whose_row_can_not_be_locked_in_time_is_passed_over(monkeypatch):
    first, second = overdue(60), overdue(50)
    put_off, enqueued = sweeper.put_off, []

    def put_off_unless_first(event):
        if event.pk == first.pk:
            raise OperationalError(1205, "Lock wait timeout exceeded")
        put_off(event)

    monkeypatch.setattr(sweeper, "put_off", put_off_unless_first)
    assert sweep(enqueued.append) == 1
    assert enqueued == [second.pk]


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


def test_a_row_that_was_spoilt_by_hand_does_not_hold_up_the_others():
    spoilt, other = overdue(60), overdue(50)
    Event.objects.filter(pk=spoilt.pk).update(due_at=None)
    enqueued = []
    sweep(enqueued.append)
    assert enqueued == [spoilt.pk, other.pk]
    assert Event.objects.get(pk=other.pk).enqueue_at > timezone.now()


def test_a_row_that_another_connection_holds_does_not_hang_the_sweep(short_lock_wait):
    first, second, third = overdue(60), overdue(50), overdue(40)
    free = (
        [] if connection.vendor == "sqlite" else [first.pk, third.pk]
    )  # SQLite locks all rows together
    enqueued = []
    with another_connection("holder") as holder:
        with transaction.atomic(using="holder"), holder.cursor() as cursor:
            cursor.execute(
                "UPDATE payment_webhooks_event SET error = 'held' WHERE id = %s", [second.pk]
            )
            before = columns(second)
            assert sweep(enqueued.append) == len(free)
            assert columns(second) == before
        assert enqueued == free
        sweep(enqueued.append)
    assert sorted(enqueued) == [first.pk, second.pk, third.pk]


def test_a_locked_row_is_not_waited_for_where_the_database_can_skip_it(short_lock_wait):
    event = overdue(60)
    skips = connection.features.has_select_for_update_skip_locked
    with another_connection("holder") as holder, transaction.atomic(
        using="holder"
    ), holder.cursor() as cursor:
        cursor.execute("UPDATE payment_webhooks_event SET error = 'held' WHERE id = %s", [event.pk])
        with pytest.raises(Overtaken if skips else OperationalError):
            sweeper.put_off(read(event))


@pytest.mark.parametrize("skips", [True, False])
def test_an_event_is_put_off_once_whether_or_not_the_database_can_skip_locked_rows(
    skips, monkeypatch
):
    if connection.vendor != "postgresql":  # which always can
        monkeypatch.setattr(connection.features, "has_select_for_update_skip_locked", skips)
    event, other, enqueued = overdue(60), overdue(50), []
    with recorded_statements() as statements:
        assert sweep(enqueued.append) == 2
    assert enqueued == [event.pk, other.pk]
    assert seconds_until_swept(event) == pytest.approx(60, abs=3)
    if connection.features.has_select_for_update:
        asked = skips or connection.vendor == "postgresql"
        assert len([text for text in statements if "SKIP LOCKED" in text]) == (2 if asked else 0)
    Event.objects.filter(pk=event.pk).delete()
    before = columns(other)
    with pytest.raises(Overtaken):
        sweeper.put_off(event)
    assert columns(other) == before


# ---- in every worker


class FakeTimer:
    """A worker's timer that is wound by hand."""

    def __init__(self):
        self.entries = []

    def call_repeatedly(self, secs, fun, args=(), kwargs=None):
        self.entries.append((secs, fun, args, kwargs or {}))

    def ring(self):
        for _, fun, args, kwargs in self.entries:
            fun(*args, **kwargs)


def test_a_worker_asks_for_sweeps(published, settings):
    settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL = 7
    consumer = SimpleNamespace(timer=FakeTimer())
    SweepStep(consumer).start(consumer)
    ((interval, _, _, options),) = consumer.timer.entries
    assert interval == 7
    assert options == {"expires": 7, "retry": False}
    consumer.timer.ring()
    assert [task for task, _ in published.messages()] == ["payment_webhooks.sweep_events"]


@pytest.mark.parametrize("never", [None, 0])
def test_a_worker_asks_for_no_sweeps_if_it_is_told_so(never, settings):
    settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL = never
    consumer = SimpleNamespace(timer=FakeTimer())
    SweepStep(consumer).start(consumer)
    assert consumer.timer.entries == []


def test_the_step_adds_itself_to_every_worker_that_is_set_up():
    app = Celery("another", set_as_current=False)
    assert SweepStep not in app.steps["consumer"]
    celery_signals.celeryd_init.send(
        sender="worker@here", instance=SimpleNamespace(app=app), conf=app.conf, options={}
    )
    assert SweepStep in app.steps["consumer"]


def test_the_step_has_its_place_in_a_real_worker():
    app = Celery("another", broker="memory://", set_as_current=False)
    app.steps["consumer"].add(SweepStep)
    steps = app.WorkController(pool="solo", hostname="worker@here").consumer.steps
    names = [step.name for step in steps]
    (step,) = [step for step in steps if isinstance(step, SweepStep)]
    assert names.index(step.name) > names.index("celery.worker.consumer.tasks.Tasks")


def test_both_tasks_have_fixed_names(settings):
    assert (process.name, sweep_events.name) == (
        "payment_webhooks.process_event",
        "payment_webhooks.sweep_events",
    )
    assert process.ignore_result is True
    assert sweep_events.ignore_result is True
    assert process.app.tasks[process.name].name == process.name
