"""How far a backfill has come: one row for each run."""

from __future__ import annotations

from typing import Any

from django.db import models, router
from django.utils import timezone

from ...exceptions import Overtaken
from . import APP_LABEL


class RunManager(models.Manager):
    """Uses the database that is written to: a replica that lags behind knows an old place."""

    def get_queryset(self) -> models.QuerySet:
        """Return all runs."""
        return super().get_queryset().using(router.db_for_write(self.model))


class Run(models.Model):
    """One passage through a provider's list of events. It is unfinished until that list ended.

    ``since`` and ``until`` are Unix seconds: no time zone and no summer time shifts them.
    """

    id = models.BigAutoField(primary_key=True)
    provider = models.CharField(max_length=64)
    since = models.FloatField()
    until = models.FloatField()
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    # From where the next page is fetched, and how many pages were.
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
        """What the events that this run found have as ``verified_by``."""
        return f"backfill:{self.pk}"

    def change(self, **values: Any) -> None:
        """Write how far it has come, after one more page.

        Raises ``Overtaken`` if another process has been at it meanwhile, or began again.
        """
        values["pages"] = self.pages + 1
        if not Run.objects.filter(pk=self.pk, pages=self.pages).update(**values):
            raise Overtaken
        self.__dict__.update(values)
