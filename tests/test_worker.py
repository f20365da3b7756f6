"""What runs inside a Celery worker: the sweeps, the last messages, care for connections."""

from __future__ import annotations

import pickle
import threading
import time
from types import SimpleNamespace

import pytest
from celery import Celery
from celery import signals as celery_signals
from celery.concurrency import get_implementation
from django.db import OperationalError, connection

from django_payment_webhooks import sweeper
from django_payment_webhooks.publisher import LAST_WAIT, ThreadPublisher
from django_payment_webhooks.sweeper import sweep_events
from django_payment_webhooks.worker import Sweeps, SweepStep, ask_for_sweep

from .factories import EventFactory


class FakeTimer:
    """A worker's timer that is wound by hand."""

    def __init__(self):
        self.entries = []

    def call_repeatedly(self, secs, fun, args=(), kwargs=None):
        self.entries.append((secs, fun, args, kwargs or {}))

    def ring(self):
        for _, fun, args, kwargs in self.entries:
            fun(*args, **kwargs)


class BusyPool:
    """A worker's pool that does nothing until the test says so. What it gets is pickled."""

    def __init__(self):
        self.jobs = []

    def apply_async(self, target, args, callback):
        self.jobs.append(pickle.dumps((target, args)))

    def work(self):
        while self.jobs:
            target, args = pickle.loads(self.jobs.pop(0))
            target(*args)


def start_timer(pool):
    """Start the step of a worker with this pool, and return its timer."""
    consumer = SimpleNamespace(timer=FakeTimer(), pool=pool)
    SweepStep(consumer).start(consumer)
    return consumer.timer


@pytest.mark.django_db(transaction=True)
def test_a_worker_has_its_pool_sweep_and_the_queue_is_not_asked(
    published, settings, received_signals
):
    settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL = 7
    pool = BusyPool()
    event = EventFactory(due_at=time.time() - 60, enqueue_at=time.time() - 1)
    timer = start_timer(pool)
    assert [secs for secs, *_ in timer.entries] == [7]
    timer.ring()
    assert (published.messages(), received_signals.names()) == ([], [])
    pool.work()
    assert published() == [event.pk]
    assert received_signals.names() == ["sweep_finished"]


@pytest.mark.django_db(transaction=True)
def test_a_process_that_was_busy_sweeps_once_for_all_that_it_was_asked(received_signals):
    pool = BusyPool()
    timer = start_timer(pool)
    for _ in range(3):
        timer.ring()
    pool.work()
    assert received_signals.names() == ["sweep_finished"]
    timer.ring()
    pool.work()
    assert received_signals.names() == ["sweep_finished"] * 2


@pytest.mark.django_db
def test_a_sweep_that_fails_is_logged_and_does_not_harm_the_pool(monkeypatch, caplog):
    def fail(send):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(sweeper, "sweep", fail)
    Sweeps.catch_up(time.monotonic())
    assert "server closed the connection" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_sweep_leaves_no_connection_open_beyond_its_age(monkeypatch):
    closed = []
    connection.ensure_connection()
    monkeypatch.setattr(connection, "close_at", 0)
    monkeypatch.setattr(connection, "close", lambda: closed.append(connection.alias))
    Sweeps.catch_up(time.monotonic())
    assert "default" in closed


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["solo", "threads"])
def test_celery_s_pools_take_the_sweep_as_it_is_given_to_them(name, monkeypatch):
    has_swept = threading.Event()
    monkeypatch.setattr(sweeper, "sweep", lambda send: has_swept.set())
    pool = get_implementation(name)(1)
    pool.start()
    ask_for_sweep(pool)
    assert has_swept.wait(20)
    pool.stop()


@pytest.mark.parametrize("never", [None, 0])
def test_a_worker_does_not_sweep_if_the_interval_is_off(never, settings):
    settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL = never
    assert start_timer(BusyPool()).entries == []


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


def test_a_child_of_a_worker_that_ends_sends_its_last_messages(monkeypatch):
    waits = []
    with monkeypatch.context() as patched:
        patched.setattr(ThreadPublisher, "flush", lambda self, timeout: waits.append(timeout))
        celery_signals.worker_process_shutdown.send(sender=None, pid=1, exitcode=0)
    assert waits == [LAST_WAIT]


def test_a_worker_whose_command_line_sets_a_long_time_limit_says_so(caplog):
    worker = SimpleNamespace(time_limit=900, soft_time_limit=None)
    celery_signals.celeryd_after_setup.send(sender="worker@here", instance=worker, conf=None)
    assert "hard time limit is 900 seconds, and PAYMENT_WEBHOOKS_LEASE is 300" in caplog.text


def test_the_task_has_a_fixed_name_and_no_result():
    assert sweep_events.name == "payment_webhooks.sweep_events"
    assert sweep_events.ignore_result is True
    assert sweep_events.app.tasks[sweep_events.name].name == sweep_events.name
