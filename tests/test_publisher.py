"""The messages: the task that reads them, and the thread that sends them."""

from __future__ import annotations

import contextvars
import multiprocessing.util
import os
import threading
import time
from contextlib import contextmanager, nullcontext

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import IntegrityError, connection, transaction

from django_payment_webhooks import publisher
from django_payment_webhooks.conf import load, settings
from django_payment_webhooks.exceptions import NothingToDo, PermanentFailure
from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import ThreadPublisher, enqueue, process

from .doubles import (
    DownstreamError,
    Effect,
    WorkerKilled,
    effect,
    handle,
    recorded_statements,
)
from .factories import EventFactory
from .rows import columns, effects, is_in, read

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker(monkeypatch):
    """Replace the broker by a function that is called with the keys of each message."""

    def broker(send):
        monkeypatch.setattr(process, "apply_async", lambda args, **options: send(*args))

    return broker


@pytest.fixture
def eager():
    """Have tasks run at once, without a broker."""
    process.app.conf.task_always_eager = True
    yield
    process.app.conf.task_always_eager = False


@pytest.fixture
def sender():
    """Return a publisher of the test's own, whose thread ends with it."""
    return ThreadPublisher()


class HeldBroker:
    """A broker that keeps its client waiting until it is released."""

    def __init__(self):
        self.sending, self.released, self.messages = threading.Event(), threading.Event(), []

    def send(self, keys):
        self.sending.set()
        self.released.wait(10)
        self.messages.append(keys)


@pytest.fixture
def held(broker):
    """Return a broker that takes no message until it is released."""
    held = HeldBroker()
    broker(held.send)
    yield held
    held.released.set()


def eventually(condition, timeout=30):
    """Wait until a condition holds that another thread brings about."""
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


def draft(pk, **fields):
    """Return an event that is due, without a row: a publisher looks at nothing else."""
    now = time.time()
    return Event(**{"pk": pk, "due_at": now, "enqueue_at": now + 30, **fields})


def suspect(pk):
    """Return an event that was tried before."""
    return draft(pk, attempts=1)


# ---- sending


def test_enqueue_does_not_wait_for_the_broker(held):
    for pk in range(20):
        enqueue([draft(pk)])
    assert held.sending.wait(10)
    assert held.messages == []
    publisher_of_this_process = load(settings.PAYMENT_WEBHOOKS_PUBLISHER)
    assert publisher_of_this_process.thread.daemon  # it does not keep a process from ending
    held.released.set()
    eventually(lambda: sum(len(keys) for keys in held.messages) == 20)


def test_one_event_is_one_message_at_once_and_what_gathers_meanwhile_is_another(held):
    enqueue([draft(0)])
    assert held.sending.wait(10)
    for pk in range(1, 8):
        enqueue([draft(pk)])
    held.released.set()
    eventually(lambda: len(held.messages) == 2)
    assert held.messages == [[0], [1, 2, 3, 4, 5, 6, 7]]


def test_a_message_names_a_bounded_number_of_events(held, settings):
    settings.PAYMENT_WEBHOOKS_MESSAGE_SIZE = 3
    enqueue([draft(0)])
    assert held.sending.wait(10)
    for pk in range(1, 8):
        enqueue([draft(pk)])
    held.released.set()
    eventually(lambda: len(held.messages) == 4)
    assert held.messages == [[0], [1, 2, 3], [4, 5, 6], [7]]


def test_events_that_are_enqueued_together_join_no_others_and_are_divided_by_the_bound(
    held, settings
):
    settings.PAYMENT_WEBHOOKS_MESSAGE_SIZE = 3
    enqueue([draft(0)])
    assert held.sending.wait(10)
    enqueue([draft(1)])
    enqueue([draft(pk) for pk in (2, 3, 4, 5, 6)])
    enqueue([draft(7)])
    held.released.set()
    eventually(lambda: len(held.messages) == 5)
    assert held.messages == [[0], [1], [2, 3, 4], [5, 6], [7]]


@pytest.mark.parametrize(
    "fields",
    [
        {"attempts": 1},
        {"enqueue_at": time.time() + 3600},
        {"enqueue_at": None},
    ],
    ids=["tried", "swept", "without a sweep"],
)
def test_an_event_that_may_have_killed_a_worker_travels_alone(fields, held):
    enqueue([draft(0)])
    assert held.sending.wait(10)
    enqueue([draft(1)])
    enqueue([draft(2, **fields)])
    enqueue([draft(3)])
    held.released.set()
    eventually(lambda: sum(len(keys) for keys in held.messages) == 4)
    assert held.messages == [[0], [1], [2], [3]]


def test_of_several_events_only_those_that_were_tried_travel_alone(held):
    enqueue([draft(0)])
    assert held.sending.wait(10)
    swept = {"enqueue_at": time.time() + 3600}
    enqueue([draft(1, **swept), draft(2, attempts=1), draft(3, **swept)])
    held.released.set()
    eventually(lambda: sum(len(keys) for keys in held.messages) == 4)
    assert held.messages == [[0], [2], [1, 3]]


def test_what_is_not_due_is_not_enqueued(broker):
    messages = []
    broker(messages.append)
    enqueue([draft(1, due_at=None), draft(2, due_at=time.time() + 30)])
    enqueue([])
    enqueue([draft(3)])
    eventually(lambda: messages)
    assert messages == [[3]]


def test_events_are_enqueued_after_the_commit_and_not_if_it_is_undone(published):
    with transaction.atomic():
        enqueue([draft(1)])
        assert published() == []
    assert published() == [1]
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        enqueue([draft(2)])
        raise ZeroDivisionError
    assert published() == []


def test_a_broker_that_fails_is_reported_and_left_alone_for_a_while(
    broker, settings, receive, received_signals
):
    settings.PAYMENT_WEBHOOKS_PUBLISH_PAUSE = 0.5
    calls = []

    def send(keys):
        calls.append((keys, time.monotonic()))
        if len(calls) == 1:
            raise ConnectionRefusedError("no broker")

    broker(send)
    first = receive()
    eventually(lambda: calls)
    second, third = receive(), receive()
    eventually(lambda: len(calls) == 2)
    # What came during the pause is one message after it.
    assert [keys for keys, _ in calls] == [[first.pk], [second.pk, third.pk]]
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

    def send(keys):
        calls.append(keys)
        if len(calls) == 1:
            raise error("from the client")

    broker(send)
    first = receive()
    assert first.is_new
    eventually(lambda: calls)
    second = receive()
    eventually(lambda: calls == [[first.pk], [second.pk]])
    assert [type(facts["error"]) for facts in received_signals.of("enqueue_failed")] == [error]


def test_what_comes_soon_after_a_message_travels_together(broker, monkeypatch):
    monkeypatch.setattr(publisher, "GATHERING_TIME", 0.5)
    messages = []
    broker(messages.append)
    enqueue([draft(0)])
    eventually(lambda: messages == [[0]])
    for number in range(1, 4):
        enqueue([draft(number)])
        time.sleep(0.01)
    eventually(lambda: len(messages) == 2)
    assert messages == [[0], [1, 2, 3]]


def test_messages_that_the_broker_does_not_take_do_not_fill_the_memory(held, settings, monkeypatch):
    monkeypatch.setattr(publisher, "GATHERING_TIME", 0)
    monkeypatch.setattr(publisher, "MAX_UNSENT", 10)
    settings.PAYMENT_WEBHOOKS_MESSAGE_SIZE = 1
    sender = ThreadPublisher()
    sender.publish([draft(0)])
    assert held.sending.wait(5)
    for number in range(1, 15):
        sender.publish([draft(number)])
    assert sender.unsent.qsize() == 10
    held.released.set()
    assert sender.flush(10)
    assert held.messages == [[number] for number in range(11)]


def test_of_thousands_of_messages_that_wait_only_the_first_keep_their_contexts(held, monkeypatch):
    monkeypatch.setattr(publisher, "MAX_CONTEXTS", 2)
    trace, linked = contextvars.ContextVar("trace", default="none"), []
    trace.set("first")

    def link(self, contexts):
        linked.extend(context.get(trace) for context in contexts)
        return nullcontext()

    monkeypatch.setattr(ThreadPublisher, "link", link)
    sender = ThreadPublisher()
    sender.publish([draft(0)])
    assert held.sending.wait(5)
    for number in range(1, 5):
        sender.publish([draft(number)])
    held.released.set()
    assert sender.flush(10)
    assert held.messages == [[0], [1, 2, 3, 4]]
    assert linked == ["first", "first", None, None]


def test_messages_are_published_without_celerys_own_retries(monkeypatch, receive):
    calls = []
    monkeypatch.setattr(
        process, "apply_async", lambda *args, **options: calls.append((args, options))
    )
    event = receive()
    eventually(lambda: calls)
    assert calls == [((([event.pk],),), {"retry": False})]


def test_a_message_of_one_event_is_published_in_the_context_of_its_request(broker):
    trace, seen = contextvars.ContextVar("trace", default="none"), []
    broker(lambda keys: seen.append((keys, trace.get())))
    for pk, name in ((1, "first"), (2, "second")):
        token = trace.set(name)
        enqueue([draft(pk)])
        trace.reset(token)
        eventually(lambda pk=pk: len(seen) == pk)
    assert seen == [([1], "first"), ([2], "second")]


def test_a_message_of_several_requests_is_linked_to_all_of_their_contexts(held, monkeypatch):
    trace, linked = contextvars.ContextVar("trace", default="none"), []

    @contextmanager
    def link(self, contexts):
        linked.append([context.get(trace) for context in contexts])
        yield

    monkeypatch.setattr(ThreadPublisher, "link", link)
    for pk, name in ((0, "zeroth"), (1, "first"), (2, "second")):
        token = trace.set(name)
        enqueue([draft(pk)])
        trace.reset(token)
        assert held.sending.wait(10)
    held.released.set()
    eventually(lambda: len(held.messages) == 2)
    assert linked == [["first", "second"]]


def test_flush_waits_for_what_is_unsent_at_most_so_long(held, sender):
    assert sender.flush(0)
    sender.publish([draft(1)])
    assert held.sending.wait(10)
    started = time.monotonic()
    assert sender.flush(0.2) is False
    assert 0.2 <= time.monotonic() - started < 5
    held.released.set()
    assert sender.flush(10)
    assert held.messages == [[1]]


def test_flush_does_not_wait_for_a_thread_that_never_started(sender, monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        sender.publish([draft(1)])
        started = time.monotonic()
        assert sender.flush(30) is False
        assert time.monotonic() - started < 5


def test_a_system_that_has_no_thread_left_changes_nothing_for_the_sender(
    receive, settings, monkeypatch
):
    def start(self):
        raise RuntimeError("can't start new thread")

    sender = load(settings.PAYMENT_WEBHOOKS_PUBLISHER)
    with monkeypatch.context() as patched:
        # Only meanwhile: a second thread must not start beside the one that there is.
        patched.setattr(sender, "thread", threading.Thread())
        patched.setattr(threading.Thread, "start", start)
        event = receive()
    assert event.is_new
    assert (read(event).status, is_in(read(event).enqueue_at, 30)) == ("received", True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix has processes that fork")
def test_a_forked_process_publishes_by_a_thread_of_its_own(broker, sender):
    readable, writable = os.pipe()
    broker(lambda keys: os.write(writable, b"%d %d\n" % (os.getpid(), *keys)))
    sender.publish([draft(1)])
    assert os.read(readable, 100) == b"%d 1\n" % os.getpid()
    child = os.fork()
    if child == 0:
        sender.publish([draft(2)])
        time.sleep(10)
        os._exit(0)
    try:
        assert os.read(readable, 100) == b"%d 2\n" % child
        sender.publish([draft(3)])
        assert os.read(readable, 100) == b"%d 3\n" % os.getpid()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(readable)
        os.close(writable)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix has processes that fork")
def test_a_forked_process_does_not_send_what_its_parent_has_yet_to_send(held, sender):
    sender.publish([draft(1)])
    assert held.sending.wait(10)
    sender.publish([draft(2)])
    child = os.fork()
    if child == 0:
        os._exit(0 if sender.unsent.empty() and sender.flush(0) else 1)
    assert os.waitpid(child, 0)[1] == 0
    held.released.set()
    assert sender.flush(10)
    assert held.messages == [[1], [2]]


def test_callers_at_the_same_time_start_one_thread(sender, monkeypatch):
    started = []

    class SlowThread(threading.Thread):
        def start(self):
            started.append(self)
            time.sleep(0.1)
            super().start()

    monkeypatch.setattr(publisher, "Thread", SlowThread)
    callers = [threading.Thread(target=sender.start) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(started) == 1


def test_a_process_waits_for_its_messages_once_however_often_its_thread_starts(sender, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    before = len(multiprocessing.util._finalizer_registry)
    sender.start()
    sender.start()
    assert len(multiprocessing.util._finalizer_registry) == before + 1
    sender.reset()  # in a process that was forked
    sender.start()
    assert len(multiprocessing.util._finalizer_registry) == before + 2


# ---- an eager Celery


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


# ---- the task


def test_a_message_of_many_events_costs_six_statements_an_event_and_one_query(settings, order):
    handle(settings)
    events = [EventFactory() for _ in range(10)]
    with recorded_statements() as statements:
        process([event.pk for event in events])
    assert {read(event).status for event in events} == {"processed"}
    queries = [text for text in statements if text.startswith("SELECT") and " IN (" in text]
    assert len(queries) == 1
    assert len(statements) <= 6 * len(events) + 1


def test_the_query_of_a_message_leaves_the_bodies_out(settings):
    handle(settings)
    events = [EventFactory(), EventFactory()]
    with recorded_statements() as statements:
        process([event.pk for event in events])
    assert [text for text in statements if "body" in text] == []


def test_the_events_of_a_message_are_processed_in_the_order_of_their_arrival(settings, order):
    seen = []
    handle(settings, apply=lambda self, event: seen.append(event.pk))
    events = [EventFactory() for _ in range(5)]
    process([event.pk for event in reversed(events)])
    assert seen == [event.pk for event in events]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("broken"),
        PermanentFailure("gone"),
        NothingToDo("unpaid"),
        IntegrityError("a key of the handler's own"),
        RecursionError("too deep"),
        MemoryError(),
    ],
)
def test_what_one_event_raises_never_ends_the_batch(error, settings, order):
    def apply(self, event):
        effect(event)
        if event.provider_event_id == "bad":
            raise error

    handle(settings, apply=apply)
    names = ["evt_1", "bad", "evt_2"]
    events = [EventFactory(provider_event_id=name) for name in names]
    process([event.pk for event in events])
    assert effects() == ["evt_1", "evt_2"]
    assert [read(event).attempts for event in events] == [1, 1, 1]
    assert read(events[1]).status != "processed"


def test_a_row_that_cannot_be_recorded_never_ends_the_batch(settings, order):
    """Someone deletes an event's row while its handler fails."""

    def prepare(self, event):
        if event.provider_event_id == "gone":
            Event.objects.filter(pk=event.pk).delete()
            raise ValueError("and its row is gone")

    handle(settings, parent=Effect, prepare=prepare)
    events = [EventFactory(provider_event_id=name) for name in ("gone", "evt_2")]
    process([event.pk for event in events])
    assert effects() == ["evt_2"]


def test_after_its_time_a_task_hands_the_rest_back_as_two_messages(settings, order, broker):
    settings.PAYMENT_WEBHOOKS_TASK_TIME = 0
    messages = []
    broker(messages.append)
    handle(settings, parent=Effect)
    events = [EventFactory() for _ in range(6)]
    keys = [event.pk for event in events]
    process(keys)
    eventually(lambda: len(messages) == 2)
    # At least one event was processed, whatever the time.
    assert [read(event).status for event in events] == ["processed"] + ["received"] * 5
    assert messages == [keys[1:3], keys[3:]]
    assert [columns(event)["attempts"] for event in events] == [1, 0, 0, 0, 0, 0]


def test_what_is_handed_back_comes_to_its_end_message_by_message(settings, order, published):
    settings.PAYMENT_WEBHOOKS_TASK_TIME = 0
    handle(settings, parent=Effect)
    events = [EventFactory() for _ in range(9)]
    messages, count = [[event.pk for event in events]], 0
    while messages:
        process(messages.pop())
        count += 1
        messages += [keys for _, (keys,) in published.messages()]
        assert count <= len(events)
    assert {read(event).status for event in events} == {"processed"}
    assert {read(event).attempts for event in events} == {1}
    assert len(effects()) == len(events)


def test_a_soft_time_limit_hands_the_rest_back_and_ends_the_task(settings, order, published):
    def apply(self, event):
        effect(event)
        if event.provider_event_id == "slow":
            raise SoftTimeLimitExceeded

    handle(settings, apply=apply)
    names = ["evt_1", "slow", "evt_2", "evt_3", "evt_4", "evt_5"]
    events = [EventFactory(provider_event_id=name) for name in names]
    with pytest.raises(SoftTimeLimitExceeded):
        process([event.pk for event in events])
    rows = [(read(event).status, read(event).attempts) for event in events]
    assert rows == [("processed", 1), ("received", 1)] + [("received", 0)] * 4
    assert "SoftTimeLimitExceeded" in read(events[1]).error
    assert effects() == ["evt_1"]
    keys = [event.pk for event in events]
    assert [keys for _, (keys,) in published.messages()] == [keys[2:4], keys[4:]]


def test_a_soft_time_limit_between_two_events_loses_none(settings, order, monkeypatch, published):
    events = [EventFactory(), EventFactory(), EventFactory()]

    def process_event(event):
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(publisher, "process_event", process_event)
    with pytest.raises(SoftTimeLimitExceeded):
        process([event.pk for event in events])
    assert published() == [event.pk for event in events[1:]]
    assert {read(event).attempts for event in events} == {0}
    # The one in progress is unknown to others; the sweeper has it.
    assert is_in(read(events[0]).enqueue_at, 30)


def test_an_event_that_kills_its_worker_is_counted_on_itself_alone(settings, order, published):
    def apply(self, event):
        effect(event)
        if event.provider_event_id == "deadly":
            raise WorkerKilled

    handle(settings, apply=apply)
    names = ["evt_1", "deadly", "evt_2", "evt_3"]
    events = [EventFactory(provider_event_id=name) for name in names]
    with pytest.raises(WorkerKilled):
        process([event.pk for event in events])
    assert [read(event).attempts for event in events] == [1, 1, 0, 0]
    assert effects() == ["evt_1"]
    # The others are due as before: the next worker processes them.
    process([event.pk for event in events])
    assert effects() == ["evt_1", "evt_2", "evt_3"]
    assert [read(event).attempts for event in events] == [1, 1, 1, 1]


def test_a_key_that_is_named_twice_is_processed_once(settings, order):
    handle(settings, parent=Effect)
    event = EventFactory()
    process([event.pk, event.pk])
    assert effects() == [event.provider_event_id]
    assert read(event).attempts == 1


def test_a_missing_event_is_reported_and_not_processed(received_signals, published):
    process([12345])
    assert received_signals == []
    assert published() == []
    assert Event.objects.count() == 0


def test_a_message_without_keys_asks_nothing_of_the_database(published):
    with recorded_statements() as statements:
        process([])
    assert statements == []
    assert published() == []


def test_an_event_that_fails_in_a_batch_leaves_the_connection_fit_for_the_next(settings, order):
    def apply(self, event):
        effect(event)
        if event.provider_event_id == "bad":
            with connection.cursor() as cursor:
                cursor.execute("SELECT nothing FROM nowhere")

    handle(settings, apply=apply)
    events = [EventFactory(provider_event_id=name) for name in ("bad", "evt_2")]
    process([event.pk for event in events])
    assert effects() == ["evt_2"]
    assert not connection.in_atomic_block


def test_the_task_has_a_fixed_name_and_no_result():
    assert process.name == "payment_webhooks.process_events"
    assert process.ignore_result is True
    assert process.app.tasks[process.name].name == process.name
