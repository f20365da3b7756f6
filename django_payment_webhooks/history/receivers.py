"""Receivers that record the app's signals."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Lock, Timer
from typing import Any, Iterator

from appconf import AppConf
from django.db import IntegrityError, connections, router, transaction
from django.db.models import F
from django.dispatch import receiver
from django.utils import timezone

from .. import signals
from ..conf import settings
from ..models import Event
from ..providers.causes import find_cause
from ..providers.comparison import find_difference, list_changes
from ..providers.personal import find_personal, hide_personal
from ..publisher import enter_tenant, get_tenants
from . import CLOSED, CONFLICTED
from .models import Cause, Conflict, Entry, Rejection, Sweep
from .tracebacks import describe_traceback

#: The statuses that leave an entry; the receipt leaves none.
STATUSES = [status for status in Event.TRANSITIONS if status != Event.RECEIVED]
VERBS = (*STATUSES, CONFLICTED, "released", "retried", "replayed", CLOSED)
UNKNOWN_PROVIDER = ""
# How exactly it is known when a cause was last seen.
SEEN_AGAIN = timedelta(days=1)


class HistoryConf(AppConf):
    """How many seconds a process counts rejected webhooks before it writes the count."""

    REJECTIONS_INTERVAL = 10

    class Meta:
        prefix = "payment_webhooks"


# ---- what happened to an event


def write_entry(
    verb: str,
    event: Event,
    text: str = "",
    by: str = "",
    other: Event | None = None,
    traceback: str = "",
) -> None:
    """Write an entry, without ``other`` if that is not saved."""
    # A savepoint if the signal was sent in a transaction, which an error must not break.
    with transaction.atomic(using=router.db_for_write(Entry)):
        Entry.objects.create(
            event_id=event.pk,
            at=timezone.now(),
            verb=verb,
            attempts=event.attempts,
            text=text,
            traceback=traceback,
            by=by[:255],
            other_id=other.pk if other else None,
        )


def write_each(status: str) -> None:
    """Write an entry whenever an event gets a status, with the reason in its row."""

    @receiver(
        getattr(signals, f"event_{status}"),
        weak=False,
        dispatch_uid=f"payment_webhooks.history.event_{status}",
    )
    def write_status(event: Event, error: Exception | None = None, **_: Any) -> None:
        if status == Event.FAILED:
            write_failure(status, event, error)
        else:
            write_entry(status, event, event.error)


def write_failure(verb: str, event: Event, error: Exception | None) -> None:
    """Record that an attempt failed, and why: the event's row has the error's text."""
    forget_traceback(event)
    write_entry(verb, event, event.error, traceback=describe_traceback(error))
    if event.cause_key:
        write_cause(event, error)


def forget_traceback(event: Event) -> None:
    """Erase the previous attempt's traceback: only the last is kept."""
    known = Entry.objects.filter(event_id=event.pk).exclude(traceback="")
    keys = list(known.values_list("pk", flat=True))
    if keys:  # update by primary key, which locks no neighbours
        Entry.objects.filter(pk__in=keys).update(traceback="")


def write_cause(event: Event, error: Exception | None) -> None:
    """Record the cause of an event's failed attempt, or that a known one was seen again."""
    now = timezone.now()
    known = Cause.objects.filter(pk=event.cause_key)
    seen = known.values_list("last_seen", flat=True).first()
    if seen is not None:
        if now - seen > SEEN_AGAIN:
            known.filter(last_seen=seen).update(last_seen=now)
        return
    found = find_cause(error, event.error, event.provider, find_personal(event) or ())
    with suppress(IntegrityError), transaction.atomic(using=router.db_for_write(Cause)):
        Cause.objects.create(
            key=event.cause_key,
            exception=found.exception[:255],
            place=found.place[:255],
            text=hide_personal(event, found.text),
            first_seen=now,
            last_seen=now,
        )


for each_status in STATUSES:
    write_each(each_status)


@receiver(signals.event_retried, dispatch_uid="payment_webhooks.history.retried")
def write_retried(event: Event, error: Exception | None = None, **_: Any) -> None:
    """Record that an attempt failed and will be retried."""
    write_failure("retried", event, error)


@receiver(signals.event_released, dispatch_uid="payment_webhooks.history.released")
def write_released(event: Event, by: Event, **_: Any) -> None:
    """Record that what an event waited for has arrived."""
    write_entry("released", event, other=by)


@receiver(signals.event_replayed, dispatch_uid="payment_webhooks.history.replayed")
def write_replayed(event: Event, by: str = "", reason: str = "", **_: Any) -> None:
    """Record who replayed an event, and why."""
    write_entry("replayed", event, reason, by=by)


@receiver(signals.event_conflicted, dispatch_uid="payment_webhooks.history.conflicted")
def write_conflicted(event: Event, other: Event, **_: Any) -> None:
    """Write how a later event contradicts this one, once: providers repeat what they send."""
    text = find_difference(event, other)
    known = Entry.objects.filter(event_id=event.pk, verb=CONFLICTED)
    # Compared in Python, as some databases take A and a for the same.
    if (text, other.pk) not in known.values_list("text", "other_id"):
        write_entry(CONFLICTED, event, text, other=other)
        with transaction.atomic(using=router.db_for_write(Conflict)):
            Conflict.objects.create(
                event_id=event.pk,
                other_id=other.pk,
                at=timezone.now(),
                difference=json.dumps(list_changes(event, other)),
            )


# ---- what the overview needs


def add(model: Any, key: dict[str, Any], values: dict[str, Any], first: dict[str, Any]) -> None:
    """Update a key's row, or create it with its first values.

    Each statement is its own transaction, so a process that is stopped in between holds no lock.
    """
    for _ in range(2):
        if model.objects.filter(**key).update(**values):
            return
        with suppress(IntegrityError), transaction.atomic(using=router.db_for_write(model)):
            model.objects.create(**key, **first)
            return
        # Another process was first, and its row exists now.


@receiver(signals.sweep_finished, dispatch_uid="payment_webhooks.history.sweep")
def write_sweep(enqueued: int, **_: Any) -> None:
    """Record that a sweep finished."""
    values = {"finished_at": timezone.now(), "enqueued": enqueued}
    add(Sweep, {"pk": 1}, values, values)


class Rejections:
    """Counts rejected webhooks in memory, and lets a thread add the counts to the database.

    A flood of forgeries must neither cost a query each nor wait for a database that is down. What a
    process has not written when it ends is lost.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.timer = Timer(0, self.run)
        self.counts: Counter[tuple[Any, ...]] = Counter()
        self.is_paused = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count nothing in the block."""
        self.is_paused = True
        try:
            yield
        finally:
            self.is_paused = False

    def count(self, *key: Any) -> None:
        """Count one more."""
        if self.is_paused:
            return
        with self.lock:
            self.counts[(get_tenants().current(), *key)] += 1
            if not self.timer.is_alive():  # not started yet, or left behind by a fork
                self.start()

    def start(self) -> None:
        """Start the thread that will write the counts."""
        self.timer = Timer(settings.PAYMENT_WEBHOOKS_REJECTIONS_INTERVAL, self.run)
        self.timer.daemon = True
        self.timer.start()

    def run(self) -> None:
        """Write the counts, as long as there are any. This is the thread."""
        try:
            self.write()
        finally:
            connections.close_all()  # those of this thread
            with self.lock:
                if self.counts:
                    self.start()

    def write(self) -> None:
        """Add the counts to the database. Raises its errors, and keeps the counts not written."""
        with self.lock:
            counts = self.counts
            self.counts = Counter()
        try:
            for key, count in list(counts.items()):
                tenant, *values = key
                names = dict(zip(("hour", "provider", "status", "reason"), values))
                with enter_tenant(tenant):
                    add(Rejection, names, {"count": F("count") + count}, {"count": count})
                del counts[key]
        finally:
            with self.lock:
                self.counts.update(counts)


rejections = Rejections()


@receiver(signals.webhook_rejected, dispatch_uid="payment_webhooks.history.rejected")
def count_rejected(provider: str, status: int, reason: str, **_: Any) -> None:
    """Count a rejected webhook. Nonexistent providers are not named: anyone can make them up."""
    known = provider if provider in settings.PAYMENT_WEBHOOKS_PROVIDERS else UNKNOWN_PROVIDER
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    rejections.count(hour, known, status, reason)
