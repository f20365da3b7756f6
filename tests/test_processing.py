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


# ---- store


def test_an_event_is_stored_with_all_that_is_known_about_it(
    receive, body, received_signals, published
):
    before = timezone.now()
    event, created = receive(event_id="evt_1", created_at="2026-11-23T10:00:00Z")
    row = read(event)
    assert created
    assert (row.provider, row.provider_event_id, row.type, row.order_id) == (
        "default",
        "evt_1",
        "charge.succeeded",
        "A1",
    )
    assert (row.dedup_key, row.order_key) == (digest("default", "evt_1"), digest("A1"))
    assert (row.status, row.attempts, row.version, row.error) == ("received", 0, 0, "")
    assert (row.verified_by, row.payload_path, row.idempotency_key) == ("by-test", "", None)
    assert row.occurred_at.isoformat() == "2026-11-23T10:00:00+00:00"
    assert before <= row.received_at <= timezone.now()
    assert row.due_at == row.received_at
    assert row.enqueue_at - row.due_at == timedelta(seconds=30)
    assert (row.waiting_since, row.finished_at) == (None, None)
    assert received_signals.names() == ["event_received"]
    assert received_signals.of("event_received")[0]["event"] == event
    assert published() == [event.pk]


def test_the_same_event_is_stored_once(receive, received_signals, published):
    first, created = receive(event_id="evt_1", data__charge_id="ch_1")
    again, created_again = receive(event_id="evt_1", data__charge_id="ch_1")
    assert (created, created_again, again.pk) == (True, False, first.pk)
    assert columns(first)["version"] == 0
    assert Event.objects.count() == 1
    assert received_signals.names() == ["event_received"]
    assert published() == [
        first.pk,
        first.pk,
    ]  # it was still received: a message too many costs nothing


@pytest.mark.parametrize("status", FINAL + [Event.WAITING, Event.APPLIED])
def test_a_repeated_event_that_a_worker_took_is_not_enqueued_again(
    status, receive, received_signals, published
):
    event, _ = receive(event_id="evt_1", data__charge_id="ch_1")
    event.change(status=status)
    published()
    before = columns(event)
    del received_signals[:]
    assert receive(event_id="evt_1", data__charge_id="ch_1")[1] is False
    assert published() == []
    assert columns(event) == before
    assert received_signals == []


def test_an_id_that_comes_again_with_other_content_is_a_conflict_and_the_first_is_kept(
    receive, received_signals, published
):
    first, _ = receive(event_id="evt_1", data__amount="10.00")
    again, created = receive(event_id="evt_1", data__amount="99.00")
    assert (again.pk, created, Event.objects.count()) == (first.pk, False, 1)
    assert read(first).payload["data"]["amount"] == "10.00"
    assert received_signals.names() == ["event_received", "event_conflicted"]
    (facts,) = received_signals.of("event_conflicted")
    assert (facts["event"].pk, facts["other"].pk) == (first.pk, None)
    assert facts["other"].payload["data"]["amount"] == "99.00"
    assert published() == [first.pk, first.pk]


def test_the_same_content_in_other_bytes_is_no_conflict(body, received_signals):
    first = body(event_id="evt_1")
    again = json.dumps(json.loads(first.decode()), indent=4, sort_keys=True).encode()
    assert again != first
    receive_events(get_provider("default"), {}, first)
    receive_events(get_provider("default"), {}, again)
    assert bytes(Event.objects.get().body) == first
    assert received_signals.names() == ["event_received"]


def test_the_same_id_from_another_provider_is_another_event(body, published):
    same = body(event_id="evt_1")
    events = [receive_events(get_provider(name), {}, same)[0] for name in ("default", "timed")]
    assert [created for _, created in events] == [True, True]
    assert Event.objects.count() == 2
    assert published() == [event.pk for event, _ in events]


def test_several_events_of_one_webhook_are_stored_each(settings, published):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"many": {"EVENTS_PATH": "items.*"}}
    same = PayloadFactory(event_id="evt_1")
    items = [same, PayloadFactory(event_id="evt_2"), same]
    outcomes = receive_events(get_provider("many"), {}, json.dumps({"items": items}).encode())
    assert [(event.provider_event_id, created) for event, created in outcomes] == [
        ("evt_1", True),
        ("evt_2", True),
        ("evt_1", False),
    ]
    assert sorted(Event.objects.values_list("provider_event_id", "payload_path")) == [
        ("evt_1", "items.0"),
        ("evt_2", "items.1"),
    ]
    first, second = Event.objects.order_by("pk")
    assert published() == [first.pk, second.pk, first.pk]


def test_a_body_that_can_not_be_parsed_is_kept_once(received_signals, published, run_due):
    for _ in range(2):
        with pytest.raises(ParseError, match="event_id"):
            receive_events(get_provider("default"), {}, b'{"type": "charge.succeeded"}', "by-test")
    event = Event.objects.get()
    assert (event.status, event.type, event.verified_by) == ("failed", "", "by-test")
    assert event.provider_event_id == "unparsed:" + digest(b'{"type": "charge.succeeded"}'.hex())
    assert bytes(event.body) == b'{"type": "charge.succeeded"}'
    assert "event_id" in event.error
    assert (event.due_at, event.enqueue_at, event.finished_at) == (None, None, event.received_at)
    assert received_signals.names() == ["event_failed"]
    assert published() == []
    assert run_due() == []


def test_two_bodies_that_can_not_be_parsed_are_both_kept():
    for body in (b"one", b"two", b"\xff\xfe", b"{}"):
        with pytest.raises(ParseError):
            receive_events(get_provider("default"), {}, body)
    assert sorted(bytes(event.body) for event in Event.objects.all()) == [
        b"one",
        b"two",
        b"{}",
        b"\xff\xfe",
    ]


def test_one_of_several_that_can_not_be_parsed_fails_the_webhook_and_stores_none_of_them(
    settings, published
):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"many": {"EVENTS_PATH": "items.*"}}
    body = json.dumps({"items": [PayloadFactory(), {"type": "no id"}]}).encode()
    with pytest.raises(ParseError):
        receive_events(get_provider("many"), {}, body)
    assert [(event.status, bytes(event.body)) for event in Event.objects.all()] == [
        ("failed", body)
    ]
    assert published() == []


def test_an_insert_that_comes_second_finds_the_row_that_came_first(
    monkeypatch, body, published, received_signals
):
    """Between the look and the INSERT, somebody else stores the same event: the database refuses
    ours.
    """
    same, atomic, first = body(event_id="evt_1"), transaction.atomic, []

    def atomic_but_second(*args, **kwargs):
        monkeypatch.setattr(transaction, "atomic", atomic)
        first.append(EventFactory(provider_event_id="evt_1", body=same))
        return atomic(*args, **kwargs)

    monkeypatch.setattr(transaction, "atomic", atomic_but_second)
    ((event, created),) = receive_events(get_provider("default"), {}, same)
    assert ([event], created) == (first, False)
    assert Event.objects.count() == 1
    assert published() == [event.pk]
    assert received_signals == []


def test_a_row_that_the_database_refuses_for_another_reason_is_never_called_a_duplicate(
    monkeypatch, published
):
    monkeypatch.setattr(processing.time, "sleep", lambda seconds: None)
    row = {"provider": "default", "provider_event_id": "evt_1", "body": b"{}", "type": None}
    with pytest.raises(IntegrityError):
        processing.receive_event(occurred_at=timezone.now(), received_at=timezone.now(), **row)
    assert Event.objects.count() == 0
    assert published() == []


def caused_by(error, **attributes):
    """Return a database error with its driver's error as the cause."""
    error.__cause__ = type("DriverError", (Exception,), attributes)()
    return error


TRANSIENT = {
    "MySQL's deadlock": lambda: OperationalError(1213, "Deadlock found when trying to get lock"),
    "MySQL's lock wait": lambda: OperationalError(1205, "Lock wait timeout exceeded"),
    "MariaDB's snapshot": lambda: OperationalError(1020, "Record has changed since last read"),
    "PyMySQL's lock wait": lambda: caused_by(
        OperationalError(1205, "Lock wait timeout exceeded"), sqlstate="HY000"
    ),
    "psycopg2's deadlock": lambda: caused_by(OperationalError("deadlock detected"), pgcode="40P01"),
    "psycopg's deadlock": lambda: caused_by(
        OperationalError("deadlock detected"), sqlstate="40P01"
    ),
    "psycopg's serialization": lambda: caused_by(
        OperationalError("could not serialize"), sqlstate="40001"
    ),
    "SQLite's lock": lambda: OperationalError("database is locked"),
    "SQLite's table lock": lambda: OperationalError("database table is locked"),
}
LASTING = {
    "MySQL went away": lambda: OperationalError(2006, "MySQL server has gone away"),
    "PostgreSQL ends": lambda: caused_by(
        OperationalError("terminating connection"), sqlstate="57P01"
    ),
    "no such table": lambda: ProgrammingError("no such table"),
    "read-only": lambda: OperationalError(1290, "running with the --read-only option"),
    "nothing said": lambda: OperationalError(),
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_an_insert_that_was_a_victim_is_repeated(name, monkeypatch, receive, published):
    errors, create = [TRANSIENT[name]() for _ in range(5)], EventManager.create

    def create_at_last(self, **row):
        if errors:
            raise errors.pop()
        return create(self, **row)

    monkeypatch.setattr(EventManager, "create", create_at_last)
    event, created = receive()
    assert (created, errors) == (True, [])
    assert Event.objects.get() == event
    assert published() == [event.pk]


@pytest.mark.parametrize("make", [LASTING[name] for name in sorted(LASTING)], ids=sorted(LASTING))
def test_an_insert_that_fails_for_good_is_told_at_once(
    make, monkeypatch, receive, published, received_signals
):
    calls = []

    def create(self, **row):
        calls.append(row)
        raise make()

    monkeypatch.setattr(EventManager, "create", create)
    with pytest.raises((OperationalError, ProgrammingError)):
        receive()
    assert len(calls) == 1
    assert Event.objects.count() == 0
    assert published() == []
    assert received_signals == []


def test_an_insert_that_is_a_victim_again_and_again_is_given_up(monkeypatch, receive, published):
    calls = []

    def create(self, **row):
        calls.append(row)
        raise OperationalError(1213, "Deadlock found when trying to get lock")

    monkeypatch.setattr(EventManager, "create", create)
    with pytest.raises(OperationalError):
        receive()
    assert len(calls) == 6
    assert published() == []


def test_the_pause_before_a_statement_is_repeated_is_short_and_never_the_same():
    pauses = {processing.pause_if_transient(OperationalError(1213, "")) for _ in range(20)}
    assert 0.01 <= min(pauses) < max(pauses) <= 0.1


def test_an_event_that_is_delivered_many_times_at_once_is_stored_once(
    body, published, received_signals
):
    same = body(event_id="evt_1")
    results = at_once(*[lambda: receive_events(get_provider("default"), {}, same)[0]] * 8)
    assert Event.objects.count() == 1
    assert sorted(created for _, created in results) == [False] * 7 + [True]
    assert {event.pk for event, _ in results} == {Event.objects.get().pk}
    assert received_signals.names() == ["event_received"]
    assert published() == [Event.objects.get().pk] * 8


def test_events_received_in_a_transaction_of_the_host_go_with_it(
    receive, published, received_signals
):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert receive()[1] is True
        raise ZeroDivisionError
    assert Event.objects.count() == 0
    assert published() == []
    assert received_signals == []


def test_events_received_in_a_transaction_of_the_host_are_enqueued_after_its_commit(
    receive, published, received_signals
):
    with transaction.atomic():
        event, _ = receive()
        assert published() == []
        assert received_signals == []
    assert published() == [event.pk]
    assert received_signals.names() == ["event_received"]


def test_an_event_is_swept_if_what_the_host_does_on_commit_fails_before_it_is_enqueued(
    receive, published, order
):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        transaction.on_commit(fail)
        event, _ = receive()
    assert published() == []
    assert is_in(read(event).enqueue_at, 30)
    process(event.pk)
    assert read(event).status == "processed"


# ---- enqueue


def test_enqueue_does_not_wait_for_the_broker(broker, receive):
    sending, release_broker, sent = threading.Event(), threading.Event(), []

    def send(pk):
        sending.set()
        release_broker.wait(10)
        sent.append(pk)

    broker(send)
    for _ in range(20):
        processing.enqueue(1)
    assert sending.wait(10)
    assert sent == []
    release_broker.set()
    assert processing.publisher.daemon  # it does not keep a process from ending


def test_a_broker_that_fails_is_told_and_left_alone_for_a_while(
    broker, settings, receive, received_signals
):
    settings.PAYMENT_WEBHOOKS_PUBLISH_PAUSE = 0.5
    calls = []

    def send(pk):
        calls.append((pk, time.monotonic()))
        if len(calls) == 1:
            raise ConnectionRefusedError("no broker")

    broker(send)
    (first, _), (second, _), (third, _) = receive(), receive(), receive()
    eventually(lambda: len(calls) == 3)
    assert [pk for pk, _ in calls] == [first.pk, second.pk, third.pk]
    assert calls[1][1] - calls[0][1] >= 0.5
    (facts,) = received_signals.of("enqueue_failed")
    assert isinstance(facts["error"], ConnectionRefusedError)
    assert facts["sender"] is Event
    # Its message is lost; the sweeper makes up for it.
    assert (read(first).status, is_in(read(first).enqueue_at, 30)) == ("received", True)


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError, ImportError, TypeError, OSError, IntegrityError, RuntimeError]
)
def test_whatever_the_brokers_client_raises_stays_with_the_publisher(
    error, broker, receive, received_signals
):
    calls = []

    def send(pk):
        calls.append(pk)
        if len(calls) == 1:
            raise error("from the client")

    broker(send)
    first, created = receive()
    assert created
    second, _ = receive()
    eventually(lambda: calls == [first.pk, second.pk])
    assert [type(facts["error"]) for facts in received_signals.of("enqueue_failed")] == [error]


def test_messages_that_nobody_takes_do_not_fill_the_memory(broker):
    sending, release_broker = threading.Event(), threading.Event()
    sent = []

    def send(pk):
        sending.set()
        release_broker.wait(10)
        sent.append(pk)

    broker(send)
    processing.enqueue(0)
    assert sending.wait(5)
    for number in range(1, 1500):
        processing.enqueue(number)
    assert processing.unpublished.qsize() == 1000
    release_broker.set()
    eventually(lambda: len(sent) == 1001)
    assert sent == list(range(1001))


def test_messages_are_published_without_celerys_own_retries(monkeypatch, receive):
    calls = []
    monkeypatch.setattr(
        process, "apply_async", lambda *args, **options: calls.append((args, options))
    )
    event, _ = receive()
    eventually(lambda: calls)
    assert calls == [(((event.pk,),), {"retry": False})]


def test_a_message_is_published_in_the_context_of_its_request(broker):
    trace, seen = contextvars.ContextVar("trace", default="none"), []
    broker(lambda pk: seen.append((pk, trace.get())))
    for pk, name in ((1, "first"), (2, "second")):
        token = trace.set(name)
        processing.enqueue(pk)
        trace.reset(token)
    eventually(lambda: len(seen) == 2)
    assert seen == [(1, "first"), (2, "second")]


def test_a_forked_process_publishes_by_a_thread_of_its_own(broker):
    readable, writable = os.pipe()
    broker(lambda pk: os.write(writable, b"%d %d\n" % (os.getpid(), pk)))
    # The app's own queue, which the other tests replace by one that can end.
    with mock.patch.multiple(
        processing, unpublished=queue.SimpleQueue(), publisher=threading.Thread()
    ):
        processing.enqueue(1)
        assert os.read(readable, 100) == b"%d 1\n" % os.getpid()
        child = os.fork()
        if child == 0:
            processing.enqueue(2)
            time.sleep(10)
            os._exit(0)
        try:
            assert os.read(readable, 100) == b"%d 2\n" % child
            processing.enqueue(3)
            assert os.read(readable, 100) == b"%d 3\n" % os.getpid()
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
            os.close(readable)
            os.close(writable)


def test_a_system_that_has_no_thread_left_changes_nothing_for_the_sender(receive, monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(processing, "publisher", threading.Thread())
    monkeypatch.setattr(threading.Thread, "start", start)
    event, created = receive()
    assert created
    assert (read(event).status, is_in(read(event).enqueue_at, 30)) == ("received", True)


def test_an_eager_task_runs_at_once(eager, order, webhook, published, shop_state):
    assert webhook(order_id="A1").json()["status"] == "accepted"
    assert Event.objects.get().status == "processed"
    assert shop_state()["orders"] == {"A1": "paid"}
    assert published() == []


def test_an_eager_task_that_fails_does_not_spoil_the_answer(eager, settings, webhook, published):
    def apply(self, event):
        raise DownstreamError(503)

    handle(settings, apply=apply)
    answer = webhook(order_id="A1")
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
    assert (Event.objects.get().status, Event.objects.get().attempts) == ("received", 1)


def test_eager_tasks_release_what_waits(eager, order, webhook, shop_state):
    webhook(type="refund.created", refund_id="re_1")
    assert Event.objects.get().status == "waiting"
    webhook()
    assert set(Event.objects.values_list("status", flat=True)) == {"processed"}
    assert shop_state()["refunds"] == [("A1", "re_1")]


# ---- take


def test_a_missing_event_is_nobodys_work(received_signals, published):
    process(12345)
    assert received_signals == []
    assert published() == []
    assert Event.objects.count() == 0


@pytest.mark.parametrize("status", FINAL)
def test_a_final_event_is_left_as_it_is(status, settings, received_signals, published):
    handle(settings, apply=lambda self, event: 1 / 0)
    event = EventFactory(status=status, due_at=None, finished_at=timezone.now())
    before = columns(event)
    process(event.pk)
    assert columns(event) == before
    assert received_signals == []
    assert published() == []


@pytest.mark.parametrize("status", [Event.RECEIVED, Event.WAITING, Event.APPLIED])
def test_an_event_that_is_not_due_is_left_as_it_is(status, settings, received_signals, published):
    handle(settings, apply=lambda self, event: 1 / 0, deliver=lambda self, event: 1 / 0)
    event = EventFactory(status=status, due_at=timezone.now() + timedelta(seconds=30))
    before = columns(event)
    process(event.pk)
    assert columns(event) == before
    assert received_signals == []
    assert published() == []


def test_an_event_may_be_taken_by_a_clock_that_is_a_little_behind(settings, order):
    handle(settings, parent=Effect)
    early = EventFactory(due_at=timezone.now() + timedelta(seconds=0.9))
    process(early.pk)
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
    process(event.pk)
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
            process(event.pk)
        assert read(event).attempts == attempt
        assert read(event).status == ("applied" if verb == "deliver" else "received")
        process(event.pk)  # a second message: the event is leased
        assert is_in(read(event).due_at, 300)
        pass_time(300)
    process(event.pk)
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
    process(event.pk)
    pass_time(60)
    with pytest.raises(WorkerKilled):
        process(event.pk)
    pass_time(300)
    process(event.pk)
    assert read(event).status == "failed"
    assert "first sign of trouble" in read(event).error


def test_an_event_that_another_worker_took_is_left_to_it(
    settings, monkeypatch, received_signals, order
):
    """Two messages for one event: both workers have read the row before either takes it."""
    handle(settings, parent=Effect)
    event = EventFactory()
    schedule = Event.schedule

    def overtaken(self, *args, **values):
        monkeypatch.setattr(Event, "schedule", schedule)
        process(event.pk)
        return schedule(self, *args, **values)

    monkeypatch.setattr(Event, "schedule", overtaken)
    process(event.pk)
    row = read(event)
    assert (row.status, row.attempts) == ("processed", 1)
    assert effects() == [event.provider_event_id]
    assert received_signals.names() == ["event_applied", "event_processed"]


def test_many_messages_for_one_event_at_once_have_one_effect(settings, order, received_signals):
    handle(settings, parent=Effect)
    event = EventFactory()
    assert at_once(*[lambda: process(event.pk)] * 6) == [None] * 6
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
    process(event.pk)
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
    process(EventFactory().pk)
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
    process(event.pk)
    assert [tuple(row) for row in seen] == [("received", None), (0,)]
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])


def test_nothing_is_left_of_a_handler_that_raises(settings, order, received_signals, published):
    def apply(self, event):
        effect(event)
        Order.objects.update(status="paid")
        raise ValueError("no such thing")

    handle(settings, apply=apply)
    event = EventFactory()
    process(event.pk)
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
        process(event.pk)
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
    process(event.pk)
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
        process(EventFactory().pk)
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
    process(event.pk)
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
            process(event.pk)

    handle(settings, parent=Effect, prepare=prepare)
    event = EventFactory()
    process(event.pk)
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
            process(event.pk)
            raise ValueError("too late")

    handle(settings, parent=Effect, prepare=prepare)
    event = EventFactory()
    with pytest.raises(
        Overtaken
    ) as raised:  # so that the worker's log has the error, which the row may not have
        process(event.pk)
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
    process(event.pk)
    row = read(event)
    assert (row.status, row.attempts) == ("received", 1)
    assert row.error == "TransactionManagementError('The handler hid an error of the database.')"
    assert row.idempotency_key is None
    assert effects() == []
    assert received_signals.names() == ["event_retried"]
    pass_time(10)
    process(event.pk)
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
    process(event.pk)
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
    process(event.pk)
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])


def test_an_effect_is_kept_if_what_the_handler_does_on_commit_fails(
    settings, order, pass_time, received_signals
):
    def apply(self, event):
        effect(event)
        transaction.on_commit(lambda: 1 / 0)

    handle(settings, apply=apply)
    later = timezone.now() + timedelta(seconds=900)
    event, waiting = (
        EventFactory(),
        EventFactory(type="refund.created", status=Event.WAITING, due_at=later),
    )
    handle(settings, "refund.created", requires=("charge.succeeded",))
    with pytest.raises(Overtaken) as raised:
        process(event.pk)
    assert isinstance(raised.value.__context__, ZeroDivisionError)
    assert (read(event).status, effects()) == ("applied", [event.provider_event_id])
    pass_time(300)
    process(event.pk)
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])
    assert is_in(read(waiting).due_at, 0)


def test_a_handler_that_saves_its_event_changes_nothing(settings, order):
    def apply(self, event):
        effect(event)
        event.status = Event.FAILED
        event.save()

    handle(settings, apply=apply)
    event = EventFactory()
    process(event.pk)
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
    process(event.pk)
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
    process(event.pk)
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
    process(event.pk)
    assert len(calls) == 1
    assert (read(event).status, read(event).attempts) == ("received", 1)
    assert received_signals.names() == ["event_retried"]


# ---- one effect for two events


def test_two_events_that_say_the_same_have_one_effect(
    order, run_due, shop_state, received_signals, published
):
    data = {"charge_id": "ch_1", "amount": "10.00", "currency": "EUR"}
    first = EventFactory(provider_event_id="evt_1", data=data)
    second = EventFactory(provider_event_id="evt_2", data=data)
    run_due()
    row = read(second)
    assert (read(first).status, row.status) == ("processed", "duplicate")
    assert row.error == "It says the same as charge.succeeded evt_1."
    assert (row.idempotency_key, row.due_at, row.enqueue_at) == (None, None, None)
    assert read(first).idempotency_key == digest("order-paid:A1")
    assert shop_state()["ledger"] == [("payment", "A1")]
    assert received_signals.names() == ["event_applied", "event_processed", "event_duplicate"]
    assert published() == []


@pytest.mark.parametrize("other", [{"charge_id": "ch_2"}, {"amount": "9.00"}, {"currency": "USD"}])
def test_an_order_that_was_charged_twice_is_a_conflict(
    other, order, run_due, shop_state, received_signals
):
    data = {"charge_id": "ch_1", "amount": "10.00", "currency": "EUR"}
    first = EventFactory(provider_event_id="evt_1", data=data)
    second = EventFactory(provider_event_id="evt_2", data=dict(data, **other))
    run_due()
    assert (read(first).status, read(second).status) == ("processed", "duplicate")
    assert shop_state()["ledger"] == [("payment", "A1")]
    (facts,) = received_signals.of("event_conflicted")
    assert (facts["event"].pk, facts["other"].pk) == (second.pk, first.pk)


def test_the_database_itself_refuses_a_second_effect(
    settings, order, monkeypatch, received_signals
):
    """Between the look for the other event and the fence, the other event is applied."""
    handle(settings, parent=OneEffect)
    first, second = EventFactory(), EventFactory()
    looks, copy = [], processing.copy

    def copy_slowly(event):
        looks.append(event.pk)
        if looks == [second.pk]:
            process(first.pk)
        return copy(event)

    monkeypatch.setattr(processing, "copy", copy_slowly)
    process(second.pk)
    assert looks == [second.pk, first.pk]
    assert (read(first).status, read(second).status) == ("processed", "duplicate")
    assert read(second).attempts == 1
    assert effects() == [first.provider_event_id]
    assert received_signals.names()[:2] == ["event_applied", "event_processed"]
    assert received_signals.names()[-1] == "event_duplicate"
    assert received_signals.of("event_retried") == []


def test_events_that_say_the_same_at_the_same_time_have_one_effect(settings, order):
    def apply(self, event):
        effect(event)
        time.sleep(0.05)

    handle(settings, parent=OneEffect, apply=apply)
    events = [EventFactory() for _ in range(4)]
    assert at_once(*[lambda pk=event.pk: process(pk) for event in events]) == [None] * 4
    assert len(effects()) == 1
    statuses = sorted(read(event).status for event in events)
    assert statuses == ["duplicate", "duplicate", "duplicate", "processed"]
    assert {read(event).attempts for event in events} == {1}


def test_the_same_refund_id_of_two_providers_is_two_refunds(settings, order, run_due, shop_state):
    for name in ("default", "timed"):
        data = {"refund_id": "re_1", "amount": "2.00", "currency": "EUR"}
        EventFactory(provider=name, type="refund.created", provider_event_id="evt_r", data=data)
    EventFactory(data={"amount": "10.00", "currency": "EUR"})
    run_due()
    assert shop_state()["refunds"] == [("A1", "re_1"), ("A1", "re_1")]


# ---- wait and release


@pytest.fixture
def steps(settings, order):
    """Three types of event for an order, of which each requires the one before."""
    handle(settings, "first", parent=Effect)
    handle(settings, "second", parent=Effect, requires=("first",))
    handle(settings, "third", parent=Effect, requires=("first", "second"))
    return lambda name, **fields: EventFactory(type=name, provider_event_id=name, **fields)


def test_an_event_waits_for_what_it_requires(steps, received_signals, published):
    event = steps("second")
    process(event.pk)
    row = read(event)
    assert (row.status, row.error, row.attempts) == ("waiting", "It waits for first.", 0)
    assert is_in(row.waiting_since, 0)
    assert is_in(row.due_at, 30)
    assert row.enqueue_at == row.due_at
    assert (row.idempotency_key, row.finished_at) == (None, None)
    assert effects() == []
    assert received_signals.names() == ["event_waiting"]
    assert published() == []


def test_what_it_waited_for_releases_an_event(steps, received_signals, published):
    waiting, event = steps("second"), steps("first")
    process(waiting.pk)
    process(event.pk)
    row = read(waiting)
    assert row.status == "waiting"
    assert is_in(row.due_at, 0)
    assert is_in(row.enqueue_at, 30)
    (facts,) = received_signals.of("event_released")
    assert (facts["event"].pk, facts["by"].pk) == (waiting.pk, event.pk)
    assert received_signals.names() == [
        "event_waiting",
        "event_applied",
        "event_released",
        "event_processed",
    ]
    assert published() == [waiting.pk]
    process(waiting.pk)
    row = read(waiting)
    assert (row.status, row.error, row.attempts) == ("processed", "", 1)
    assert effects() == ["first", "second"]


def test_all_that_wait_for_an_order_are_released_and_nobody_else(
    steps, published, received_signals
):
    waiting = [steps("second", provider="p%d" % number) for number in range(3)]
    stranger = steps("second", order_id="A2")
    finished = EventFactory(status=Event.FAILED, due_at=None)
    not_due = EventFactory(status=Event.APPLIED, due_at=timezone.now() + timedelta(seconds=60))
    for event in waiting + [stranger]:
        process(event.pk)
    before = [columns(event) for event in (stranger, finished, not_due)]
    process(steps("first").pk)
    assert published() == [event.pk for event in waiting]
    assert [facts["event"].pk for facts in received_signals.of("event_released")] == [
        event.pk for event in waiting
    ]
    assert [columns(event) for event in (stranger, finished, not_due)] == before


def test_an_event_that_is_due_already_is_not_released_again(steps, published, received_signals):
    waiting = steps("second")
    process(waiting.pk)
    process(steps("first").pk)
    released = columns(waiting)
    processing.release(Event.objects.get(type="first"))
    assert columns(waiting) == released
    assert published() == [waiting.pk]
    assert len(received_signals.of("event_released")) == 1


def test_an_event_that_somebody_else_releases_is_passed_over(
    steps, published, received_signals, monkeypatch
):
    first, second = (steps("second", provider=name) for name in ("p1", "p2"))
    for event in (first, second):
        process(event.pk)
    schedule = Event.schedule

    def be_overtaken_and_schedule(self, *args, **values):
        if self.pk == first.pk:
            Event.objects.filter(pk=first.pk).update(version=F("version") + 1)
        schedule(self, *args, **values)

    monkeypatch.setattr(Event, "schedule", be_overtaken_and_schedule)
    processing.release(first)
    assert published() == [second.pk]
    assert [facts["event"].pk for facts in received_signals.of("event_released")] == [second.pk]


def test_a_refund_is_applied_if_its_charge_is_committed_between_its_look_and_its_wait(
    steps, monkeypatch, received_signals, published
):
    """The charge finds nobody waiting, so nobody would release the refund: it must look again."""
    waiting, event = steps("second"), steps("first")
    wait = processing.wait

    def wait_too_late(*args):
        process(event.pk)
        wait(*args)

    monkeypatch.setattr(processing, "wait", wait_too_late)
    process(waiting.pk)
    assert read(waiting).status == "processed"
    assert effects() == ["first", "second"]
    assert received_signals.of("event_released") == []
    assert received_signals.names()[-3:] == ["event_waiting", "event_applied", "event_processed"]
    assert published() == []


def test_a_refund_is_released_if_its_charge_is_committed_between_its_wait_and_its_second_look(
    steps, monkeypatch, published
):
    waiting, event = steps("second"), steps("first")
    wait = processing.wait

    def wait_too_early(*args):
        wait(*args)
        process(event.pk)

    monkeypatch.setattr(processing, "wait", wait_too_early)
    process(waiting.pk)
    monkeypatch.setattr(processing, "wait", wait)
    assert published() == [waiting.pk]
    process(waiting.pk)
    assert read(waiting).status == "processed"
    assert effects() == ["first", "second"]


def test_a_refund_is_released_if_its_charge_is_committed_after_its_second_look(steps, published):
    waiting, event = steps("second"), steps("first")
    process(waiting.pk)
    assert published() == []
    process(event.pk)
    assert published() == [waiting.pk]


@pytest.mark.parametrize(
    "order_of_arrival", [(3, 2, 1), (2, 3, 1), (3, 1, 2), (2, 1, 3), (1, 3, 2), (1, 2, 3)]
)
def test_a_chain_comes_to_the_same_end_in_every_order(
    order_of_arrival, steps, published, received_signals
):
    names = {1: "first", 2: "second", 3: "third"}
    for number in order_of_arrival:
        process(steps(names[number]).pk)
        while True:
            keys = published()
            if not keys:
                break
            for key in keys:
                process(key)
    assert set(Event.objects.values_list("status", flat=True)) == {"processed"}
    assert effects() == ["first", "second", "third"]
    assert [facts["event"].type for facts in received_signals.of("event_applied")] == [
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


@pytest.mark.parametrize(
    "status", [Event.RECEIVED, Event.DUPLICATE, Event.IGNORED, Event.FAILED, Event.WAITING]
)
def test_what_was_not_applied_makes_nothing_ready(status, steps):
    steps("first", status=status, due_at=None)
    event = steps("second")
    process(event.pk)
    assert read(event).status == "waiting"


@pytest.mark.parametrize("status", [Event.APPLIED, Event.PROCESSED, Event.FAILED])
def test_what_was_applied_makes_ready_even_if_its_delivery_fails(status, steps):
    steps("first", status=status, idempotency_key="k", due_at=None)
    event = steps("second")
    process(event.pk)
    assert read(event).status == "processed"


def test_what_was_applied_to_another_order_makes_nothing_ready(steps):
    process(steps("first", order_id="A2").pk)
    event = steps("second")
    process(event.pk)
    assert read(event).status == "waiting"


def test_events_that_are_about_no_order_have_nothing_in_common(steps):
    process(steps("first", order_id="").pk)
    event = steps("second", order_id="")
    process(event.pk)
    assert read(event).status == "waiting"


def test_an_event_that_requires_two_waits_for_both(steps):
    process(steps("first").pk)
    event = steps("third")
    process(event.pk)
    assert (read(event).status, read(event).error) == ("waiting", "It waits for first, second.")


def test_a_handler_can_say_itself_whether_it_is_ready(settings, order, pass_time):
    handle(
        settings, parent=Effect, is_ready=lambda self, event: Order.objects.get().status == "packed"
    )
    event = EventFactory()
    process(event.pk)
    assert (read(event).status, read(event).error) == ("waiting", "It waits for its handler.")
    Order.objects.update(status="packed")
    pass_time(30)
    process(event.pk)
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])


def test_looks_of_a_waiting_event_are_no_attempts_and_come_ever_more_rarely(
    steps, settings, monkeypatch
):
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 3
    clock, event, gaps = Clock(monkeypatch), steps("second"), []
    for _ in range(12):
        process(event.pk)
        row = read(event)
        assert (row.status, row.attempts) == ("waiting", 0)
        gap = (row.due_at - clock.now()).total_seconds()
        gaps.append(round(gap))
        clock.advance(gap)
    assert gaps[0] == 30
    for gap, shorter in zip(gaps[2:], gaps[1:]):
        assert gap == pytest.approx(min(2 * shorter, 3600), abs=12)
    assert gaps[-1] == 3600


def test_an_event_that_waited_in_vain_fails_at_its_deadline(
    steps, monkeypatch, received_signals, published
):
    clock, event, looks, started = Clock(monkeypatch), steps("second"), 0, timezone.now()
    while read(event).status != "failed":
        process(event.pk)
        looks += 1
        assert looks < 100
        if read(event).status == "waiting":
            clock.advance((read(event).due_at - clock.now()).total_seconds())
    row = read(event)
    days = (clock.now() - started).total_seconds() / 86400
    assert days == pytest.approx(3, abs=0.01)
    assert looks < 90
    assert "It waits for first. That did not come in time." in row.error
    assert (row.due_at, row.enqueue_at, row.idempotency_key) == (None, None, None)
    assert received_signals.names() == ["event_waiting", "event_failed"]
    assert effects() == []
    assert published() == []


def test_events_that_wait_for_each_other_both_fail_at_their_deadline(settings, monkeypatch):
    handle(settings, "hen", requires=("egg",))
    handle(settings, "egg", requires=("hen",))
    clock, events = Clock(monkeypatch), [EventFactory(type="hen"), EventFactory(type="egg")]
    for event in events:
        process(event.pk)
    assert {read(event).status for event in events} == {"waiting"}
    clock.advance(3 * 86400)
    for event in events:
        process(event.pk)
    assert {read(event).status for event in events} == {"failed"}


def test_a_failure_of_the_second_look_is_repeated_soon_and_not_yet_counted(
    settings, order, received_signals
):
    looks = []

    def is_ready(self, event):
        looks.append(event.attempts)
        return len(looks) > 1

    def apply(self, event):
        effect(event)
        raise ValueError

    handle(settings, is_ready=is_ready, apply=apply)
    event = EventFactory()
    process(event.pk)
    assert len(looks) == 2
    assert read(event).attempts == 0
    assert 1.25 - 1 <= seconds_until_due(event) <= 2.5
    assert effects() == []
    assert received_signals.names() == ["event_waiting", "event_retried"]


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
        process(event.pk)
        row = read(event)
        assert (row.status, row.attempts, row.error) == (
            "applied",
            attempt,
            repr(DownstreamError(503)),
        )
        assert row.due_at == row.enqueue_at
        pass_time(3600)
    process(event.pk)
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
        process(event.pk)
    assert (read(event).status, read(event).attempts) == ("applied", 1)
    process(event.pk)  # not before the lease has ended
    assert len(keys) == 1
    pass_time(300)
    process(event.pk)
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
    process(event.pk)
    assert called == ["deliver"]
    assert read(event).status == "processed"
    assert received_signals.names() == ["event_processed"]


def test_what_waits_is_released_although_the_delivery_fails(steps, settings, published):
    def deliver(self, event):
        raise DownstreamError(503)

    waiting, event = steps("second"), steps("first")
    handle(settings, "first", parent=Effect, deliver=deliver)
    process(waiting.pk)
    process(event.pk)
    assert read(event).status == "applied"
    assert published() == [waiting.pk]
    process(waiting.pk)
    assert read(waiting).status == "processed"


def test_a_worker_that_dies_between_commit_and_release_delays_what_waits(
    steps, monkeypatch, pass_time, published
):
    waiting, event = steps("second"), steps("first")
    process(waiting.pk)
    release = processing.release

    def die(event):
        raise WorkerKilled

    monkeypatch.setattr(processing, "release", die)
    with pytest.raises(WorkerKilled):
        process(event.pk)
    monkeypatch.setattr(processing, "release", release)
    assert (read(event).status, read(waiting).status, published()) == ("applied", "waiting", [])
    pass_time(30)
    process(waiting.pk)  # its next look finds what it requires: it needs no release
    assert read(waiting).status == "processed"
    pass_time(300)
    process(event.pk)
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
            process(event.pk)

    handle(settings, parent=Effect, deliver=deliver)
    event = EventFactory()
    process(event.pk)
    assert (read(event).status, read(event).attempts) == ("processed", 2)
    assert delivered == [1, 2]
    assert effects() == [event.provider_event_id]


def test_an_event_whose_delivery_fails_for_good_keeps_its_effect(settings, order, received_signals):
    def deliver(self, event):
        raise DownstreamError(400)

    handle(settings, parent=Effect, deliver=deliver)
    event = EventFactory()
    process(event.pk)
    row = read(event)
    assert (row.status, row.error, row.attempts) == ("failed", repr(DownstreamError(400)), 1)
    assert row.idempotency_key == digest("event:" + event.dedup_key)
    assert effects() == [event.provider_event_id]
    assert received_signals.names() == ["event_applied", "event_failed"]


# ---- fail


@pytest.fixture
def fail_with(settings):
    """Process an event whose handler raises an error, and return the event."""

    def fail_with(error, verb="apply", **fields):
        def work(self, event):
            raise error

        handle(settings, **{verb: work})
        event = EventFactory(**fields)
        process(event.pk)
        return event

    return fail_with


# Those that need no commit run in a transaction, because that is quicker.
within_a_transaction = pytest.mark.django_db


@within_a_transaction
@pytest.mark.parametrize(
    "attempts, longest", [(0, 5), (1, 10), (2, 20), (3, 40), (10, 5120), (11, 10240), (12, 14400)]
)
def test_the_backoff_doubles_with_each_attempt_up_to_a_ceiling(
    attempts, longest, fail_with, received_signals
):
    event = fail_with(ValueError("again"), attempts=attempts)
    row = read(event)
    assert longest / 2 - 2 <= seconds_until_due(event) <= longest
    assert row.enqueue_at == row.due_at
    assert (row.status, row.attempts) == ("received", attempts + 1)
    (facts,) = received_signals.of("event_retried")
    assert (facts["event"].pk, str(facts["error"])) == (event.pk, "again")


@within_a_transaction
def test_the_backoff_stays_at_its_ceiling(fail_with, settings):
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 1000
    event = fail_with(ValueError(), attempts=600)
    assert 7200 - 2 <= seconds_until_due(event) <= 14400


@within_a_transaction
def test_the_backoff_is_jittered_over_its_upper_half(fail_with, monkeypatch):
    bounds = []

    def uniform(low, high):
        bounds.append((low, high))
        return low + 0.25 * (high - low)

    monkeypatch.setattr(random, "uniform", uniform)
    event = fail_with(ValueError(), attempts=3)
    assert bounds == [(20, 40)]
    assert seconds_until_due(event) == pytest.approx(25, abs=2)


@within_a_transaction
def test_two_events_that_fail_together_are_not_repeated_together(fail_with):
    due = {round(seconds_until_due(fail_with(ValueError(), attempts=8)), 1) for _ in range(5)}
    assert len(due) > 1


def http_date(seconds):
    """Return a moment from now as HTTP writes it."""
    return formatdate(time.time() + seconds, usegmt=True)


@within_a_transaction
@pytest.mark.parametrize(
    "asked, granted", [("120", 120), ("14400", 14400), ("1000000000", 14400), ("9" * 5000, 14400)]
)
@pytest.mark.parametrize("status_code", [429, 503])
def test_the_seconds_that_downstream_asks_for_are_granted_within_bounds(
    status_code, asked, granted, fail_with
):
    event = fail_with(DownstreamError(status_code, asked))
    assert seconds_until_due(event) == pytest.approx(granted, abs=3)


@within_a_transaction
@pytest.mark.parametrize("asked, granted", [(600, 600), (86400, 14400), (10**9, 14400)])
def test_the_moment_that_downstream_asks_for_is_granted_within_bounds(asked, granted, fail_with):
    event = fail_with(DownstreamError(503, http_date(asked)))
    assert seconds_until_due(event) == pytest.approx(granted, abs=3)


@within_a_transaction
@pytest.mark.parametrize(
    "asked",
    [None, "", "0", "1", "-5", "-1e9", "soon", "1e9", "12.5", "\u00b2", "NaN", " ", "Mon, 99 Foo"],
)
def test_a_retry_after_that_is_short_or_makes_no_sense_changes_nothing(asked, fail_with):
    event = fail_with(DownstreamError(429, asked))
    assert 0.5 <= seconds_until_due(event) <= 5
    assert (read(event).status, read(event).attempts) == ("received", 1)


@within_a_transaction
def test_a_retry_after_that_has_passed_changes_nothing(fail_with):
    event = fail_with(DownstreamError(429, http_date(-600)))
    assert 0.5 <= seconds_until_due(event) <= 5


@pytest.mark.parametrize("status_code", [400, 401, 403, 404, 405, 409, 410, 422, 451, 499])
def test_what_downstream_rejects_fails_at_once(status_code, fail_with, received_signals):
    event = fail_with(DownstreamError(status_code, "60"), verb="deliver")
    row = read(event)
    assert (row.status, row.attempts, row.due_at, row.enqueue_at) == ("failed", 1, None, None)
    assert row.error == repr(DownstreamError(status_code))
    assert received_signals.names() == ["event_applied", "event_failed"]


@pytest.mark.parametrize("status_code", [408, 425, 429, 500, 502, 503, 504, 599, 302, 0])
def test_what_downstream_could_not_do_is_tried_again(status_code, fail_with, received_signals):
    event = fail_with(DownstreamError(status_code), verb="deliver")
    assert (read(event).status, read(event).attempts) == ("applied", 1)
    assert received_signals.names() == ["event_applied", "event_retried"]


def test_an_error_without_an_answer_is_tried_again(fail_with):
    error = ConnectionError("reset by peer")
    error.response = None  # as requests leaves it when nothing came back
    event = fail_with(error)
    assert (read(event).status, read(event).attempts) == ("received", 1)


@pytest.mark.parametrize("verb", ["prepare", "idempotency_key", "is_ready", "apply", "deliver"])
def test_a_permanent_failure_fails_at_once(verb, fail_with, received_signals, published):
    event = fail_with(PermanentFailure("the order was deleted"), verb=verb)
    row = read(event)
    assert (row.status, row.attempts, row.due_at, row.enqueue_at) == ("failed", 1, None, None)
    assert "the order was deleted" in row.error
    assert is_in(row.finished_at, 0)
    assert received_signals.names()[-1] == "event_failed"
    assert received_signals.of("event_retried") == []
    assert published() == []


@pytest.mark.parametrize("verb", ["prepare", "apply", "deliver"])
def test_an_event_that_fails_for_ever_is_tried_a_bounded_number_of_times(
    verb, settings, order, monkeypatch, received_signals, published
):
    calls, clock, started = [], Clock(monkeypatch), timezone.now()

    def work(self, event):
        calls.append(event.idempotency_key)
        raise DownstreamError(503)

    handle(settings, parent=Effect, **{verb: work})
    event = EventFactory()
    while read(event).due_at:
        process(event.pk)
        if read(event).due_at:
            clock.advance((read(event).due_at - clock.now()).total_seconds())
        assert len(calls) <= 25
    row = read(event)
    assert len(calls) == 25
    assert (row.status, row.attempts, row.error) == ("failed", 25, repr(DownstreamError(503)))
    assert 1 <= (clock.now() - started).total_seconds() / 86400 <= 3
    assert len(received_signals.of("event_retried")) == 24
    assert len(received_signals.of("event_failed")) == 1
    assert len(set(calls)) == 1
    assert len(effects()) == (verb == "deliver")
    assert published() == []


def test_a_long_error_is_cut(fail_with):
    event = fail_with(ValueError("x" * 10000))
    assert len(read(event).error) == 500
    assert len(read(fail_with(PermanentFailure("x" * 10000))).error) == 500


def test_a_failed_take_is_tried_again(settings, order, monkeypatch, received_signals):
    handle(settings, parent=Effect)
    event, schedule, calls = EventFactory(), Event.schedule, []

    def fail_first(self, *args, **values):
        calls.append(values)
        if len(calls) == 1:
            raise OperationalError("database is locked")
        return schedule(self, *args, **values)

    monkeypatch.setattr(Event, "schedule", fail_first)
    process(event.pk)
    assert read(event).status == "received"
    assert 0 < seconds_until_due(event) <= 5
    assert effects() == []
    assert received_signals.names() == ["event_retried"]
