"""What runs inside a Celery worker: the sweep timer, and the care for connections that the database has ended."""

from typing import Any

from celery import bootsteps
from celery.signals import celeryd_init, task_postrun
from django.db import connections

from .conf import settings
from .sweeper import sweep_events


class SweepStep(bootsteps.StartStopStep):
    """The part of a worker that asks for a sweep at regular intervals."""

    requires = {"celery.worker.consumer.tasks:Tasks"}

    def start(self, consumer: Any) -> None:
        """Set the timer, again with each connection to the broker: a lost one clears all timers."""
        interval = settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL
        if interval:
            # A sweep that no worker has begun before the next one is due is not needed any more.
            options = {"expires": interval, "retry": False}
            consumer.timer.call_repeatedly(interval, sweep_events.apply_async, kwargs=options)


@celeryd_init.connect
def add_sweep_step(instance: Any, **_: Any) -> None:
    """Add the step to the worker that is being set up."""
    instance.app.steps["consumer"].add(SweepStep)


# With CELERY_DB_REUSE_MAX Celery keeps a connection for many tasks, whether or not it still works:
# all would fail.
@task_postrun.connect
def close_ended_connections(**_: Any) -> None:
    """Close the connections that have failed and do not work any more. The next task opens new ones."""
    for connection in connections.all():
        if connection.errors_occurred and not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
