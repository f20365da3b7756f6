"""What is kept: an entry for each thing that happened to an event, and what the overview needs."""

from __future__ import annotations

import json

from django.db import models
from django.utils import timezone

from ..models import Event
from . import APP_LABEL

# Each model names its app: if that is not installed, importing this module must not add its models
# to the app around it.


class Entry(models.Model):
    """Something that happened to an event. Its receipt has no entry, as the row says it all."""

    id = models.BigAutoField(primary_key=True)
    # No database constraint: it would lock the event's row, which a worker may hold.
    event = models.ForeignKey(
        Event, on_delete=models.CASCADE, related_name="history", db_constraint=False
    )
    at = models.DateTimeField()
    verb = models.CharField(max_length=16)
    attempts = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    # Only the last attempt's: tracebacks are long, and those of one event much alike.
    traceback = models.TextField(blank=True)
    by = models.CharField(max_length=255, blank=True)
    other = models.ForeignKey(
        Event, on_delete=models.SET_NULL, null=True, related_name="+", db_constraint=False
    )

    class Meta:
        app_label = APP_LABEL
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"{self.verb} {self.text}"


class Conflict(models.Model):
    """Two events that contradict each other, open until someone has reviewed and closed it.

    ``difference`` is a JSON list with the path, the old and the new value of each difference.
    """

    id = models.BigAutoField(primary_key=True)
    event = models.ForeignKey(
        Event, on_delete=models.CASCADE, related_name="conflicts", db_constraint=False
    )
    other = models.ForeignKey(
        Event, on_delete=models.SET_NULL, null=True, related_name="+", db_constraint=False
    )
    at = models.DateTimeField()
    difference = models.TextField(blank=True)
    closed_at = models.DateTimeField(null=True, db_index=True)
    closed_by = models.CharField(max_length=255, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        app_label = APP_LABEL

    def __str__(self) -> str:
        return f"of event {self.event_id}"

    @property
    def changes(self) -> list[list[str]]:
        """The differences, each a list of a path, the earlier and the later event's value."""
        found: list[list[str]] = json.loads(self.difference or "[]")
        return found


class Cause(models.Model):
    """What failed attempts have in common, recorded when the first of them fails.

    Workers change nothing but when it was last seen, and that once a day: an outage must not have
    all of them wait for one row. Somebody who acknowledges it does: that holds for the
    ``acknowledged_count`` events that had the cause, of which ``acknowledged_id`` was the newest,
    and for as many again.
    """

    key = models.CharField(max_length=32, primary_key=True)
    exception = models.CharField(max_length=255, blank=True)
    place = models.CharField(max_length=255, blank=True)
    text = models.TextField(blank=True)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField(default=timezone.now)
    acknowledged_by = models.CharField(max_length=255, blank=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_id = models.BigIntegerField(null=True)
    acknowledged_count = models.PositiveIntegerField(default=0)
    note = models.TextField(blank=True)

    class Meta:
        app_label = APP_LABEL

    def __str__(self) -> str:
        title = ": ".join(filter(None, [self.exception.rpartition(".")[2], self.text]))
        return f"{title} in {self.place}" if self.place else title


class Rejection(models.Model):
    """How many webhooks were rejected for a reason in an hour. Their senders are not recorded."""

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    provider = models.CharField(max_length=64, blank=True)
    status = models.PositiveSmallIntegerField()
    reason = models.CharField(max_length=32)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        app_label = APP_LABEL
        unique_together = [["hour", "provider", "status", "reason"]]

    def __str__(self) -> str:
        return f"{self.count} times {self.reason}"


class Sweep(models.Model):
    """The last sweep, in a single row."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    finished_at = models.DateTimeField()
    enqueued = models.PositiveIntegerField()

    class Meta:
        app_label = APP_LABEL

    def __str__(self) -> str:
        return f"{self.enqueued} enqueued"


class CountedHour(models.Model):
    """What was received in an hour that is over.

    The primary keys of its events lie between ``first`` and ``last``, as do those of ``strays``, a
    JSON list of events of the hours around it. Together they are ``number`` events, most of which
    had the status ``usual`` when counted. ``latest`` is also JSON: when each provider's last event
    was received, in seconds since 1970.
    """

    start = models.DateTimeField(primary_key=True)
    number = models.PositiveIntegerField(default=0)
    first = models.BigIntegerField(default=0)
    last = models.BigIntegerField(default=0)
    usual = models.CharField(max_length=9, default=Event.PROCESSED)
    strays = models.TextField(default="[]")
    latest = models.TextField(default="{}")
    #: Whether ``strays`` is complete. If there are too many, the events are counted each time.
    is_exact = models.BooleanField(default=True)

    class Meta:
        app_label = APP_LABEL

    def __str__(self) -> str:
        return f"{self.number} from {self.start:%F %T}"


class AuditRecord(models.Model):
    """An action that leaves no other trace: erasing an order, or reading a payload.

    It has no link to an event, as it must outlast the row, and must not lead to an erased one.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    by = models.CharField(max_length=255, blank=True)
    verb = models.CharField(max_length=32)
    subject = models.TextField()
    reason = models.TextField(blank=True)
    number = models.PositiveIntegerField(default=1)

    class Meta:
        app_label = APP_LABEL

    def __str__(self) -> str:
        return f"{self.verb} {self.subject}"
