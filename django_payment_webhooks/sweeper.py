"""Finds what is due: what waits for an applied event, and what lost its message or its worker.

Every Celery worker sweeps, so that no project can forget to schedule it; the command
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

# How many waiting events one event releases. Once applied, each of them releases as many.
MAX_RELEASED = 100
# An event that has an effect is confirmed for good.
UNSETTLED = {Event.RECEIVED, Event.WAITING, Event.IGNORED, Event.FAILED}
MAX_TRIES = 5


class SweeperConf(AppConf):
    """How often a worker sweeps, in seconds (None for never), and how many events at most."""

    SWEEP_INTERVAL = 10
    SWEEP_BATCH = 1000

    class Meta:
        prefix = "payment_webhooks"


# ---- release


def release(event: Event, **_: Any) -> None:
    """Make the events due that wait for this one's order or payment, now that its type counts.

    A receiver of signals, which ``worker`` connects.
    An error is left to the next sweep: the event's own effects are committed.
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

    For most nothing waits, so that the question is to cost little.
    """
    either = " OR ".join(f"{column} = %s" for column in subject)
    condition = f"({either}) AND status = %s AND due_at > %s LIMIT {MAX_RELEASED}"
    values = [*subject.values(), Event.WAITING, time.time()]
    return [other.pk for other in Event.objects.look_up(condition, values, "id")]


def release_all(keys: Sequence[int], by: Event) -> None:
    """Make events due that were waiting, those that still do."""
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
    """Have a provider asked again about events that it sends again.

    Its answer may have been another then: a forged webhook can come before the payment, and many
    providers send the same body for each change. A receiver of a signal, which ``worker`` connects.
    """
    for event in events:
        if not event.is_new and event.confirmation is not None:
            restart(event.pk)


def restart(key: int) -> None:
    """Make an event due as if it had just come, unless it has its effect.

    A worker that asks about it is overtaken: what it is told may be older than the webhook.
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

    A database's error with one tenant does not keep the others waiting: it is raised at the end.
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
    """Call ``send`` with the keys of events that are due and that no worker has, oldest first.

    Returns how many they were. Raises what ``send`` raises; the sweep ends there, and the next goes
    on. What was tried or swept before is named alone, in case it kills a worker.
    """
    swept = 0
    together: list[int] = []
    due = Event.objects.filter(enqueue_at__lte=time.time()).order_by("enqueue_at").defer("body")
    for event in list(due[: settings.PAYMENT_WEBHOOKS_SWEEP_BATCH]):
        travels_alone = is_suspect(event)
        # Marked first: a crash in between delays the event, and a message too many costs nothing.
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
    """Put off the next sweep of an event. Returns whether a worker is to look at it now."""
    # A row that was changed by hand may lack one of the two; it must not hold up the others.
    due_at = event.due_at or event.enqueue_at
    # A connection may hold the row, perhaps a dead one.
    with suppress(Overtaken, OperationalError), unless_locked(event):
        if due_at > time.time():
            # A worker has it until then, and must not be overtaken: the version stays.
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
