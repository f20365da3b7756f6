"""The event: one row, the truth about what was received and what became of it."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from typing import Any, Iterator, Sequence

from django.db import models, router, transaction
from django.utils import timezone
from django.utils.functional import cached_property

from . import conf, signals
from .conf import get_provider, settings
from .exceptions import Overtaken


def due_in(delay: float, grace: float = 0) -> dict[str, Any]:
    """Return when a worker may take an event, and when the sweeper enqueues it again.

    Both are Unix times in seconds, which no time zone shifts, whatever ``USE_TZ`` is.
    """
    due_at = time.time() + delay
    return {"due_at": due_at, "enqueue_at": due_at + grace}


def digest(*names: str) -> str:
    """Return a short key for some names, which no collation confuses with another."""
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()[:32]


class EventManager(models.Manager):
    """Reads from the database that is written to: a lagging replica would miss duplicates."""

    def get_queryset(self) -> models.QuerySet:
        """Return all events."""
        return super().get_queryset().using(router.db_for_write(self.model))

    def look_up(self, condition: str, values: Sequence[Any], columns: str = "*") -> Iterator[Event]:
        """Yield the events that meet a condition in SQL, with these columns.

        For queries made for every event: building a queryset costs three times the query itself.
        """
        table = self.model._meta.db_table
        yield from self.raw(f"SELECT {columns} FROM {table} WHERE {condition}", values)


class Event(models.Model):
    """One event of a provider, from its receipt to its end."""

    RECEIVED, WAITING, APPLIED = "received", "waiting", "applied"
    PROCESSED, DUPLICATE, IGNORED, FAILED = "processed", "duplicate", "ignored", "failed"
    #: The statuses that may follow each one. An effect that is complete is final.
    TRANSITIONS = {
        RECEIVED: {WAITING, APPLIED, PROCESSED, DUPLICATE, IGNORED, FAILED},
        WAITING: {RECEIVED, APPLIED, PROCESSED, DUPLICATE, IGNORED, FAILED},
        APPLIED: {PROCESSED, FAILED},
        PROCESSED: set(),
        DUPLICATE: set(),
        IGNORED: {RECEIVED, PROCESSED, DUPLICATE},
        FAILED: {RECEIVED, APPLIED, PROCESSED, DUPLICATE},
    }

    id = models.BigAutoField(primary_key=True)
    provider = models.CharField(max_length=64)
    provider_event_id = models.CharField(max_length=255)
    dedup_key = models.CharField(max_length=32)
    fingerprint = models.CharField(max_length=32, blank=True)
    type = models.CharField(max_length=255)
    order_id = models.CharField(max_length=255, blank=True)
    order_key = models.CharField(max_length=32, blank=True)
    payment_id = models.CharField(max_length=255, blank=True)
    payment_key = models.CharField(max_length=32, blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField(default=timezone.now, db_index=True)
    verified_by = models.CharField(max_length=64, blank=True)
    # The columns that change are adjacent, and the body is last: PostgreSQL's WAL stays small.
    status = models.CharField(max_length=9, default=RECEIVED, choices=[(s, s) for s in TRANSITIONS])
    attempts = models.PositiveIntegerField(default=0)
    version = models.PositiveIntegerField(default=0)
    due_at = models.FloatField(null=True)
    enqueue_at = models.FloatField(null=True, db_index=True)
    waiting_since = models.FloatField(null=True)
    finished_at = models.DateTimeField(null=True)
    idempotency_key = models.CharField(max_length=32, null=True)
    error = models.TextField(blank=True)
    cause_key = models.CharField(max_length=32, null=True)
    confirmation = models.BinaryField(null=True)
    body = models.BinaryField()

    objects: models.Manager[Event] = EventManager()
    #: Whether the webhook just received brought the event. Not a column.
    is_new: bool

    class Meta:
        base_manager_name = "objects"
        # unique=True and db_index=True would add a second index to each text column on PostgreSQL.
        unique_together = [["dedup_key"], ["idempotency_key"]]
        indexes = [
            models.Index(fields=["order_key"], name="payment_webhooks_order_key"),
            models.Index(fields=["payment_key"], name="payment_webhooks_payment_key"),
            # With the id, since queries ask for the oldest and newest event of a status.
            models.Index(fields=["status", "id"], name="payment_webhooks_status"),
        ]

    def __str__(self) -> str:
        known = ascii(f"{self.type} {self.provider_event_id}")[1:-1]
        return known if self.type else f"unparsed event, received {self.received_at:%F %T}"

    @cached_property
    def payload(self) -> Any:
        """The event as the provider confirmed it, or else sent it, with numbers as int or Decimal.

        Raises ``ValueError`` if it could not be parsed.
        """
        return get_provider(self.provider).payload(bytes(self.confirmation or self.body))

    @cached_property
    def data(self) -> dict[str, Any]:
        """The fields found in the payload, such as ``charge_id``, by name."""
        return get_provider(self.provider).read(self.payload)

    @cached_property
    def money(self) -> conf.Money | None:
        """The event's money: ``amount``, a Decimal in major units, and ``currency``.

        None if it has none. Raises ``ValueError`` if the provider sent no valid amount.
        """
        return get_provider(self.provider).read_money(self.payload)

    def change(self, raised: Exception | None = None, **values: Any) -> None:
        """Change the row, and announce a new status. Raises ``Overtaken`` if another did first."""
        before = self.status
        status = values.get("status", before)
        if status not in {before, *self.TRANSITIONS[before]}:
            raise ValueError(f"An event that is {before} can't become {status}.")
        values["version"] = self.version + 1
        # Guarded by the version alone: a guard with an index would let updates deadlock on MariaDB.
        if not Event.objects.filter(pk=self.pk, version=self.version).update(**values):
            raise Overtaken
        self.__dict__.update(values)
        if status != before:
            self.announce(raised)

    def announce(self, raised: Exception | None = None) -> None:
        """Send the signal named after the event's status once the row is committed."""
        signal = getattr(signals, f"event_{self.status}")
        send = partial(signal.send_robust, Event, event=self, error=raised)
        transaction.on_commit(send, using=router.db_for_write(Event))

    def take(self) -> None:
        """Lease the event to a worker. The attempt counts at once, as the work can kill the worker.

        ``enqueue_at`` stays as it is: it has an index, which makes changing it expensive.
        """
        lease = settings.PAYMENT_WEBHOOKS_LEASE
        self.change(attempts=self.attempts + 1, due_at=time.time() + lease)

    def claim(self, key: str, delivers: bool) -> dict[str, Any]:
        """Lock the row, prove that it is ours, claim its effect, and write its next status.

        Returns the values the row must have when the transaction ends.
        """
        if delivers:
            effect: dict[str, Any] = {"idempotency_key": key, "error": "", "cause_key": None}
            self.reschedule(settings.PAYMENT_WEBHOOKS_LEASE, status=self.APPLIED, **effect)
        else:
            self.finish(self.PROCESSED, idempotency_key=key)
        names = ("version", "idempotency_key", "status", "due_at", "finished_at")
        return {name: getattr(self, name) for name in names}

    def confirm(self, written: dict[str, Any]) -> None:
        """Prove at the end of a transaction that the row still has what :meth:`claim` wrote.

        Raises ``TransactionManagementError``. If a handler hides an error, PostgreSQL and Django
        roll back in silence, and after a deadlock MySQL continues in a new transaction.
        """
        stored = Event.objects.look_up("id = %s", [self.pk], ", ".join(["id", *written]))
        if not any(written.items() <= vars(row).items() for row in stored):
            raise transaction.TransactionManagementError("The handler hid a database error.")

    def reschedule(self, delay: float, grace: float = 0, **values: Any) -> None:
        """Make the event due after a delay, and let the sweeper enqueue it a grace later."""
        self.change(**values, **due_in(delay, grace))

    def finish(self, status: str, error: str = "", cause: str | None = None, **values: Any) -> None:
        """Give the event a final status: nothing more is due. A failed event also gets a cause."""
        ended = {"finished_at": timezone.now(), "due_at": None, "enqueue_at": None}
        self.change(status=status, error=error, cause_key=cause, **ended, **values)
