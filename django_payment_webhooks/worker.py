"""What runs beside a Celery worker's tasks.

The release of what waits, the sweeps, the last messages of a process that ends, and the care for
connections that the database ended.
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

# Here, and not where it is written: this module is the last to be loaded, and so the log reports
# an event before those that it releases.
for fulfils in (signals.event_applied, signals.event_processed, signals.event_duplicate):
    fulfils.connect(release, dispatch_uid="payment_webhooks.release")
signals.webhook_received.connect(ask_again, dispatch_uid="payment_webhooks.ask_again")


class SweepStep(bootsteps.StartStopStep):
    """The part of a worker that has its pool sweep at regular intervals."""

    requires = {"celery.worker.consumer.tasks:Tasks"}

    def start(self, consumer: Any) -> None:
        """Set the timer, again with each connection to the broker: a lost one clears all timers."""
        interval = settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL
        if interval:
            consumer.timer.call_repeatedly(interval, ask_for_sweep, (consumer.pool,))


# Not by a message, which would wait in the queue behind a backlog of events.
def ask_for_sweep(pool: Any) -> None:
    """Have the process, thread or greenlet of a worker's pool that is free first sweep."""
    pool.apply_async(Sweeps.catch_up, (time.monotonic(),), callback=ignore)


def ignore(result: Any) -> None:
    """Do nothing with what the pool returns: some pools insist on a callback."""


class Sweeps:
    """The sweeps in one process of a worker's pool."""

    #: When the last one began, by the clock that all processes of the machine share.
    began_at = 0.0

    @classmethod
    def catch_up(cls, asked_at: float) -> None:
        """Sweep, unless this process has begun to since it was asked: it may have been busy."""
        if asked_at > cls.began_at:
            cls.began_at = time.monotonic()
            sweep_events.apply(throw=False)
            # As Celery does it after each task, but not after what is applied in place.
            close_old_connections()


@celeryd_init.connect
def add_sweep_step(instance: Any, **_: Any) -> None:
    """Add the step to the worker that is being set up."""
    instance.app.steps["consumer"].add(SweepStep)


@celeryd_after_setup.connect
def report_limits(instance: Any, **_: Any) -> None:
    """Log what is wrong with the worker's time limits, which its command line can change."""
    for text in find_limit_faults(instance.time_limit, instance.soft_time_limit):
        logger.warning(text)


# A child of the pool ends without asking anybody else, perhaps right after a task that handed back
# what was left of its message.
@worker_process_shutdown.connect
def send_the_last(**_: Any) -> None:
    """Wait until the messages of a worker's child are sent, for a bounded time."""
    flush()


# With CELERY_DB_REUSE_MAX Celery keeps a connection for many tasks, whether or not it still works:
# all of them would fail.
@task_postrun.connect
def close_ended_connections(**_: Any) -> None:
    """Close the connections that do not work any more. The next task opens new ones."""
    for connection in connections.all():
        if connection.errors_occurred and not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
