"""Finds what is due: what waited for an applied event, and what lost its message or its worker.

Every Celery worker sweeps, so no project can forget to schedule it; the command
``sweep_payment_webhooks`` does the same from cron.
"""

from __future__ import annotations

import time
from contextlib import suppress
from logging import getLogger
from typing import Any, Callable, Mapping, Sequence

from appconf import AppConf
from celery import shared_task
from django.db import Error, OperationalError

from . import signals
from .conf import settings
from .exceptions import Overtaken
from .models import Event
from .providers.subject import list_keys
from .publisher import enqueue, enter_tenant, get_tenants, is_suspect, send_message, unless_locked
from .retrying import find_pause, start_over

logger = getLogger(__name__)

# How many waiting events an event releases. Each of those releases as many once applied.
MAX_RELEASED = 100
# The statuses without an effect: an event that has its effect is confirmed for good.
UNSETTLED = {Event.RECEIVED, Event.WAITING, Event.IGNORED, Event.FAILED}
MAX_TRIES = 5


class SweeperConf(AppConf):
    """How often a worker sweeps, in seconds (None for never), and the most events per sweep."""

    SWEEP_INTERVAL = 10
    SWEEP_BATCH = 1000

    class Meta:
        prefix = "payment_webhooks"


# ---- release


def release(event: Event, **_: Any) -> None:
    """Make the events that wait for this one's order or payment due, now that its type counts.

    A receiver of signals, connected by ``worker``. The next sweep makes up for an error: the
    event's own effects are committed.
    """
    subject = list_keys(event)
    if not subject:
        return
    try:
        keys = find_waiting(subject)
        if keys:
            release_all(keys, event)
    except Exception:
        logger.exception("release failed event=%s", event.pk)


def find_waiting(subject: Mapping[str, str]) -> list[int]:
    """Return the keys of the events that wait for an order or a payment, given by their columns.

    The query must be cheap, as most often nothing waits.
    """
    either = " OR ".join(f"{column} = %s" for column in subject)
    condition = f"({either}) AND status = %s AND due_at > %s LIMIT {MAX_RELEASED}"
    values = [*subject.values(), Event.WAITING, time.time()]
    return [other.pk for other in Event.objects.look_up(condition, values, "id")]


def release_all(keys: Sequence[int], by: Event) -> None:
    """Make those of the events due that are still waiting."""
    others = Event.objects.filter(pk__in=keys, status=Event.WAITING).defer("body")
    enqueue([other for other in others if release_one(other, by)])


def release_one(event: Event, by: Event) -> bool:
    """Make a waiting event due. Returns whether it was still waiting."""
    try:
        with unless_locked(event):
            event.reschedule(0, settings.PAYMENT_WEBHOOKS_SWEEP_GRACE)
    except Overtaken:
        return False
    signals.event_released.send_robust(Event, event=event, by=by)
    return True


# ---- ask again


def ask_again(events: Sequence[Event], **_: Any) -> None:
    """Ask a provider again about events that it resends.

    Its answer may have changed: a forged webhook can arrive before the payment, and many providers
    send the same body for every change. A receiver of a signal, connected by ``worker``.
    """
    for event in events:
        if not event.is_new and event.confirmation is not None:
            restart(event.pk)


def restart(key: int) -> None:
    """Make an event due as if it were new, unless it has had its effect.

    A worker that is asking about it is overtaken: its answer may be older than the webhook.
    """
    for _ in range(MAX_TRIES):
        event = Event.objects.defer("body").get(pk=key)
        if event.status not in UNSETTLED or event.idempotency_key:
            return
        with suppress(Overtaken), unless_locked(event):
            start_over(event)
            enqueue([event])
            return


# ---- sweep


def sweep(send: Callable[[Sequence[int]], Any]) -> int:
    """Sweep the events of every tenant. Returns how many were found.

    A database error in one tenant does not hold up the others: it is raised at the end.
    """
    swept, failed = 0, None
    for name in get_tenants().all():
        try:
            with enter_tenant(name):
                swept += sweep_here(send)
        except Error as error:
            failed = error
            if name:
                logger.error("sweep failed tenant=%s error=%r", name, error)
    if failed is not None:
        raise failed
    return swept


def sweep_here(send: Callable[[Sequence[int]], Any]) -> int:
    """Call ``send`` with the keys of due events that no worker has, the oldest first.

    Returns how many there were. Raises what ``send`` raises: the sweep then ends, and the next one
    continues. An event that was tried or swept before travels alone, in case it kills a worker.
    """
    swept = 0
    together: list[int] = []
    due = Event.objects.filter(enqueue_at__lte=time.time()).order_by("enqueue_at").defer("body")
    for event in list(due[: settings.PAYMENT_WEBHOOKS_SWEEP_BATCH]):
        travels_alone = is_suspect(event)
        # Marked first: a crash in between only delays the event, and an extra message is harmless.
        if not mark(event):
            continue
        swept += 1
        if travels_alone:
            send([event.pk])
            continue
        together.append(event.pk)
        if len(together) == settings.PAYMENT_WEBHOOKS_MESSAGE_SIZE:
            send(together)
            together = []
    if together:
        send(together)
    signals.sweep_finished.send_robust(Event, enqueued=swept)
    return swept


def mark(event: Event) -> bool:
    """Put off the next sweep of an event. Returns whether a worker should look at it now."""
    # A row changed by hand may lack one of the two; it must not hold up the others.
    due_at = event.due_at or event.enqueue_at
    # A connection, perhaps a dead one, may hold the row.
    with suppress(Overtaken, OperationalError), unless_locked(event):
        if due_at > time.time():
            # The version stays: the worker that has the event until then must not be overtaken.
            mine = Event.objects.filter(pk=event.pk, version=event.version)
            mine.update(enqueue_at=due_at)
            return False
        event.change(enqueue_at=time.time() + find_pause(due_at))
        return True
    return False


@shared_task(name="payment_webhooks.sweep_events", ignore_result=True)
def sweep_events() -> None:
    """Enqueue the events that are due."""
    sweep(send_message)
