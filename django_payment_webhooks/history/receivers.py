"""Receivers of the app's signals that write down what they hear."""

from collections import Counter
from contextlib import suppress
from threading import Lock, Timer
from typing import Any, Dict

from appconf import AppConf
from django.db import IntegrityError, connections, router, transaction
from django.db.models import F
from django.dispatch import receiver
from django.utils import timezone

from .. import signals
from ..conf import settings
from ..models import Event
from .models import Entry, Rejection, Sweep

VERBS = (
    "waiting",
    "applied",
    "processed",
    "duplicate",
    "ignored",
    "failed",
    "conflicted",
    "released",
    "retried",
    "replayed",
)
UNKNOWN_PROVIDER = ""


class HistoryConf(AppConf):
    """How long, in seconds, a process gathers rejected webhooks before it writes down how many they were."""

    REJECTIONS_INTERVAL = 10

    class Meta:
        prefix = "payment_webhooks"


def read_text(verb: str, event: Event, facts: Any) -> str:
    """Return what there is to say of a verb, beside it."""
    if verb == "replayed":
        return facts.get("reason", "")
    if verb == "retried":
        return repr(facts.get("error"))[:500]
    return "" if verb == "released" else event.error


def listen(verb: str) -> None:
    """Write an entry each time that the signal of this verb is sent."""

    @receiver(
        getattr(signals, "event_" + verb),
        weak=False,
        dispatch_uid="payment_webhooks.history." + verb,
    )
    def write(event: Event, **facts: Any) -> None:
        values = {"verb": verb, "attempts": event.attempts, "text": read_text(verb, event, facts)}
        if verb == "replayed":
            values["by"] = facts.get("by", "")[:255]
        else:
            other = facts.get("by") or facts.get("other")
            values["other_id"] = other.pk if other else None
        # A savepoint, if the signal was sent within somebody's transaction: an error must not spoil
        # that.
        with transaction.atomic(using=router.db_for_write(Entry)):
            Entry.objects.create(event_id=event.pk, at=timezone.now(), **values)


for name in VERBS:
    listen(name)


def add(model: Any, key: Dict[str, Any], values: Dict[str, Any], first: Dict[str, Any]) -> None:
    """Update the row of a key, or create it with its first values.

    Each statement is a transaction of its own: a process that is stopped in between holds no lock.
    """
    for _ in range(2):
        if model.objects.filter(**key).update(**values):
            return
        with suppress(IntegrityError), transaction.atomic(using=router.db_for_write(model)):
            model.objects.create(**key, **first)
            return
        # Another process was first: its row is there now.


@receiver(signals.sweep_finished, dispatch_uid="payment_webhooks.history.sweep")
def write_sweep(enqueued: int, **_: Any) -> None:
    """Write down that a sweep was finished."""
    values = {"finished_at": timezone.now(), "enqueued": enqueued}
    add(Sweep, {"pk": 1}, values, values)


class Rejections:
    """Counts rejected webhooks in memory, and adds the counts to the database by a thread of its own.

    A flood of forgeries must not cost a query each, nor wait for a database that is down. What is not yet written when
    a process ends is lost.
    """

    def __init__(self) -> None:
        self.lock, self.timer = Lock(), Timer(0, self.run)
        self.counts: Counter = Counter()

    def count(self, *key: Any) -> None:
        """Count one more."""
        with self.lock:
            self.counts[key] += 1
            if not self.timer.is_alive():  # not started yet, or left behind by a fork
                self.start()

    def start(self) -> None:
        """Have the counts written after a while."""
        self.timer = Timer(settings.PAYMENT_WEBHOOKS_REJECTIONS_INTERVAL, self.run)
        self.timer.daemon = True
        self.timer.start()

    def run(self) -> None:
        """Write the counts, and go on for as long as there are some. This is the thread."""
        try:
            self.write()
        finally:
            connections.close_all()  # those of this thread
            with self.lock:
                if self.counts:
                    self.start()

    def write(self) -> None:
        """Add the counts to the database. Raises its errors; what was not written is kept."""
        with self.lock:
            counts, self.counts = self.counts, Counter()
        try:
            for key, count in list(counts.items()):
                names = dict(zip(("hour", "provider", "status", "reason"), key))
                add(Rejection, names, {"count": F("count") + count}, {"count": count})
                del counts[key]
        finally:
            with self.lock:
                self.counts.update(counts)


rejections = Rejections()


@receiver(signals.webhook_rejected, dispatch_uid="payment_webhooks.history.rejected")
def count_rejected(provider: str, status: int, reason: str, **_: Any) -> None:
    """Count a rejected webhook. Anybody can choose the name of a provider: an unknown one is not kept."""
    known = provider if provider in settings.PAYMENT_WEBHOOKS_PROVIDERS else UNKNOWN_PROVIDER
    rejections.count(
        timezone.now().replace(minute=0, second=0, microsecond=0), known, status, reason
    )
