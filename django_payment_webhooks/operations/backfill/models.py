"""The progress of backfills: one row for each run."""

from __future__ import annotations

from typing import Any

from django.db import models, router
from django.utils import timezone

from ...exceptions import Overtaken
from . import APP_LABEL


class RunManager(models.Manager):
    """Reads from the database that is written to: a lagging replica would have an old cursor."""

    def get_queryset(self) -> models.QuerySet:
        """Return all runs."""
        return super().get_queryset().using(router.db_for_write(self.model))


class Run(models.Model):
    """One pass through a provider's list of events, unfinished until the end of the list.

    ``since`` and ``until`` are Unix seconds, which no time zone shifts.
    """

    id = models.BigAutoField(primary_key=True)
    provider = models.CharField(max_length=64)
    since = models.FloatField()
    until = models.FloatField()
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    # Where the next page begins, and how many pages were fetched.
    cursor = models.TextField(blank=True)
    pages = models.PositiveIntegerField(default=0)
    checked = models.PositiveIntegerField(default=0)
    unreadable = models.PositiveIntegerField(default=0)
    # Counted from the events when the run is finished.
    missed = models.PositiveIntegerField(default=0)

    objects = RunManager()

    class Meta:
        # Imported where the app is not installed, this module must not add its model to the app
        # around it.
        app_label = APP_LABEL
        base_manager_name = "objects"

    def __str__(self) -> str:
        return f"{self.provider} {self.pk}"

    @property
    def mark(self) -> str:
        """The ``verified_by`` of events that this run found."""
        return f"backfill:{self.pk}"

    def change(self, **values: Any) -> None:
        """Record the progress after one more page.

        Raises ``Overtaken`` if another process has continued or restarted the run.
        """
        values["pages"] = self.pages + 1
        if not Run.objects.filter(pk=self.pk, pages=self.pages).update(**values):
            raise Overtaken
        self.__dict__.update(values)
