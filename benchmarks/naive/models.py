"""The table of the naive programs."""

from __future__ import annotations

from django.db import models


class Event(models.Model):
    """One webhook."""

    RECEIVED, PROCESSED = "received", "processed"

    id = models.BigAutoField(primary_key=True)
    provider = models.CharField(max_length=64)
    event_id = models.CharField(max_length=255)
    type = models.CharField(max_length=255)
    order_id = models.CharField(max_length=255)
    body = models.BinaryField()
    received_at = models.DateTimeField()
    status = models.CharField(max_length=16)
    processed_at = models.DateTimeField(null=True)

    class Meta:
        # Not unique=True, which adds a second index to a text column on PostgreSQL.
        unique_together = [["event_id"]]

    def __str__(self) -> str:
        return self.event_id
