"""What a Celery worker runs in addition to its tasks.

It releases waiting events, sweeps, sends the last messages of a process that ends, and closes
connections that the database has ended.
"""

from __future__ import annotations

import time
from logging import getLogger
from typing import Any

from celery import bootsteps
from celery.signals import celeryd_after_setup, celeryd_init, task_postrun, worker_process_shutdown
from django.db import close_old_connections, connections

from . import signals
from .conf import settings
from .publisher import find_limit_faults, flush
from .sweeper import ask_again, release, sweep_events

logger = getLogger(__name__)

# Connected here because this module is loaded last: the log reports an event before those that it
# releases.
for fulfils in (signals.event_applied, signals.event_processed, signals.event_duplicate):
    fulfils.connect(release, dispatch_uid="payment_webhooks.release")
signals.webhook_received.connect(ask_again, dispatch_uid="payment_webhooks.ask_again")


class SweepStep(bootsteps.StartStopStep):
    """The part of a worker that makes its pool sweep at regular intervals."""

    requires = {"celery.worker.consumer.tasks:Tasks"}

    def start(self, consumer: Any) -> None:
        """Set the timer, for each connection to the broker: losing one clears all timers."""
        interval = settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL
        if interval:
            consumer.timer.call_repeatedly(interval, ask_for_sweep, (consumer.pool,))


# Not with a message, which would wait in the queue behind a backlog of events.
def ask_for_sweep(pool: Any) -> None:
    """Let the first free process, thread or greenlet of a worker's pool sweep."""
    pool.apply_async(Sweeps.catch_up, (time.monotonic(),), callback=ignore)


def ignore(result: Any) -> None:
    """Ignore the result. Some pools insist on a callback."""


class Sweeps:
    """The sweeps in one process of a worker's pool."""

    #: When the last one began, on the clock that all processes of the machine share.
    began_at = 0.0

    @classmethod
    def catch_up(cls, asked_at: float) -> None:
        """Sweep, unless this process, if it was busy, has begun to since it was asked."""
        if asked_at > cls.began_at:
            cls.began_at = time.monotonic()
            sweep_events.apply(throw=False)
            # Celery does this after each task, but not after functions applied in the pool.
            close_old_connections()


@celeryd_init.connect
def add_sweep_step(instance: Any, **_: Any) -> None:
    """Add the step to a worker that is starting."""
    instance.app.steps["consumer"].add(SweepStep)


@celeryd_after_setup.connect
def report_limits(instance: Any, **_: Any) -> None:
    """Log problems with the worker's time limits, which its command line can change."""
    for text in find_limit_faults(instance.time_limit, instance.soft_time_limit):
        logger.warning(text)


# A child of the pool skips all other exit hooks, perhaps right after a task has handed back the
# rest of its message.
@worker_process_shutdown.connect
def send_the_last(**_: Any) -> None:
    """Wait, for a bounded time, until the messages of a worker's child are sent."""
    flush()


# With CELERY_DB_REUSE_MAX, Celery keeps a connection for many tasks even if it no longer works, and
# all of them would fail.
@task_postrun.connect
def close_ended_connections(**_: Any) -> None:
    """Close connections that no longer work. The next task opens new ones."""
    for connection in connections.all():
        if connection.errors_occurred and not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
