"""The sweeper: it enqueues what is due, so that no lost message, dead worker or failed broker matters.

Every Celery worker asks for it, so that no project can forget to schedule it; the command ``sweep_payment_webhooks``
does the same from cron.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Any, Callable

from appconf import AppConf
from celery import shared_task
from django.db import OperationalError, connections, router, transaction
from django.utils import timezone

from . import signals
from .conf import settings
from .exceptions import Overtaken
from .models import Event
from .processing import gap, process


class SweeperConf(AppConf):
    """How often a worker sweeps, in seconds (None for never), and how many events it enqueues at most."""

    SWEEP_INTERVAL = 10
    SWEEP_BATCH = 1000

    class Meta:
        prefix = "payment_webhooks"


def sweep(enqueue: Callable[[int], Any]) -> int:
    """Call ``enqueue`` with the keys of the events that are due and that no worker has taken, oldest first.

    Returns how many they were. Raises what ``enqueue`` raises; the sweep ends there, and the next goes on.
    """
    swept = 0
    due = Event.objects.filter(enqueue_at__lte=timezone.now()).order_by("enqueue_at").defer("body")
    for event in due[: settings.PAYMENT_WEBHOOKS_SWEEP_BATCH]:
        # Marked first: a crash in between delays the event, and a message too many costs nothing.
        with suppress(Overtaken, OperationalError):
            put_off(event)
            enqueue(event.pk)
            swept += 1
    signals.sweep_finished.send_robust(Event, enqueued=swept)
    return swept


def put_off(event: Event) -> None:
    """Put off the next sweep of an event. Raises ``Overtaken`` if a connection holds its row, perhaps a dead one."""
    # A row that somebody has changed by hand may lack one of the two; it must not hold up the
    # others.
    enqueue_at = timezone.now() + timedelta(seconds=gap(event.due_at or event.enqueue_at))
    database = router.db_for_write(Event)
    if not connections[database].features.has_select_for_update_skip_locked:
        return event.change(enqueue_at=enqueue_at)
    with transaction.atomic(using=database):
        if (
            not Event.objects.select_for_update(skip_locked=True)
            .filter(pk=event.pk)
            .values_list("pk")
        ):
            raise Overtaken
        event.change(enqueue_at=enqueue_at)


def enqueue_now(pk: int) -> None:
    """Send the message of one event at once. Raises what the broker's client raises."""
    process.apply_async((pk,), retry=False)


@shared_task(name="payment_webhooks.sweep_events", ignore_result=True)
def sweep_events() -> None:
    """Enqueue the events that are due."""
    sweep(enqueue_now)
