"""What runs inside a Celery worker: the sweep timer, the last messages, care for connections."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from celery import Celery
from celery import signals as celery_signals

from django_payment_webhooks.publisher import LAST_WAIT, ThreadPublisher
from django_payment_webhooks.sweeper import sweep_events
from django_payment_webhooks.worker import SweepStep


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
def test_a_worker_asks_for_no_sweeps_if_the_interval_is_off(never, settings):
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
