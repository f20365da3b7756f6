"""The event: one row, which is the truth about what was received and what became of it."""

import hashlib
from datetime import timedelta
from functools import partial

from django.db import models, router, transaction
from django.utils import timezone
from django.utils.functional import cached_property

from . import signals
from .conf import get_provider
from .exceptions import Overtaken

# With the id, as the oldest and the newest of a status are asked for: see migration 0003.
INDEXES = (["order_key"], ["status", "id"])


def digest(*names: str) -> str:
    """Return a key for names. Unlike them it is short, and the same text for every collation of a database."""
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()[:40]


class EventManager(models.Manager):
    """Uses the database that is written to: a replica that lags behind knows no duplicates."""

    def get_queryset(self) -> models.QuerySet:
        """Return all events."""
        return super().get_queryset().using(router.db_for_write(self.model))


class Event(models.Model):
    """One event of a provider, from its receipt to its end. It is changed by :meth:`change` alone."""

    RECEIVED, WAITING, APPLIED = "received", "waiting", "applied"
    PROCESSED, DUPLICATE, IGNORED, FAILED = "processed", "duplicate", "ignored", "failed"
    STATUSES = [
        (name, name) for name in (RECEIVED, WAITING, APPLIED, PROCESSED, DUPLICATE, IGNORED, FAILED)
    ]

    id = models.BigAutoField(primary_key=True)
    provider = models.CharField(max_length=64)
    provider_event_id = models.CharField(max_length=255)
    dedup_key = models.CharField(max_length=40)
    type = models.CharField(max_length=255)
    order_id = models.CharField(max_length=255, blank=True)
    order_key = models.CharField(max_length=40)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField(db_index=True)
    body = models.BinaryField()
    payload_path = models.CharField(max_length=255, blank=True)
    verified_by = models.CharField(max_length=12, blank=True)
    status = models.CharField(max_length=16, choices=STATUSES, default=RECEIVED)
    attempts = models.PositiveIntegerField(default=0)
    version = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    enqueue_at = models.DateTimeField(null=True, db_index=True)
    waiting_since = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    idempotency_key = models.CharField(max_length=40, null=True)
    error = models.TextField(blank=True)

    objects = EventManager()

    class Meta:
        # Not unique=True and db_index=True: on PostgreSQL these add a second index to a text
        # column.
        unique_together = [["dedup_key"], ["idempotency_key"]]
        indexes = [
            models.Index(fields=names, name="payment_webhooks_" + names[0]) for names in INDEXES
        ]

    def __str__(self) -> str:
        return "%s %s" % (self.type or "unparsed", self.provider_event_id)

    @cached_property
    def payload(self) -> dict:
        """The event as the provider sent it, its numbers as int or Decimal. Raises ``ValueError`` if unparsed."""
        return get_provider(self.provider).payload(bytes(self.body), self.payload_path)

    @cached_property
    def data(self) -> dict:
        """The fields that the provider's paths find in the payload, by name, such as ``charge_id`` and ``amount``."""
        return get_provider(self.provider).read(self.payload)

    def change(self, **values: object) -> None:
        """Change the row, and tell if its status is new. Raises ``Overtaken`` if it is not as it was read."""
        is_news = values.get("status", self.status) != self.status
        values["version"] = self.version + 1
        # The version is the only guard: MariaDB would walk the index of any other column, and
        # deadlock.
        if not Event.objects.filter(pk=self.pk, version=self.version).update(**values):
            raise Overtaken
        self.__dict__.update(values)
        if is_news:
            self.announce()

    def announce(self) -> None:
        """Send the signal that has the name of the event's status, once the row is committed."""
        send = getattr(signals, "event_" + self.status).send_robust
        transaction.on_commit(partial(send, Event, event=self), using=router.db_for_write(Event))

    def schedule(self, delay: float, grace: float = 0, **values: object) -> None:
        """Make the event due after a delay; the sweeper enqueues it after a grace, too. Both are in seconds."""
        due_at = timezone.now() + timedelta(seconds=delay)
        self.change(due_at=due_at, enqueue_at=due_at + timedelta(seconds=grace), **values)

    def finish(self, status: str, error: str = "") -> None:
        """Give the event a final status: nothing is due any more."""
        self.change(
            status=status, error=error, finished_at=timezone.now(), due_at=None, enqueue_at=None
        )
