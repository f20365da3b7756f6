"""An optional app that finds missed webhooks by asking the provider.

A host names a source for a provider: a class that reads the provider's own lists. A backfill
receives each event in such a list as if it had come as a webhook; a reconciliation compares the
provider's payments with ours. A backfill's progress is a row, so that the next process, on any
machine, continues after one that was killed.

Other code uses only the functions here. Without the app, they report that nothing was missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

# Renamed, as this package's module ``apps`` becomes its attribute.
from django.apps import apps as installed_apps
from django.db.models import Max, Sum

if TYPE_CHECKING:
    from datetime import datetime

APP_LABEL = "payment_webhooks_backfill"


class Finding(NamedTuple):
    """How many of a provider's events never arrived as webhooks, and how many were checked.

    Counts the backfills of a period that found something.
    """

    provider: str
    missed: int
    checked: int


def is_installed() -> bool:
    """Return whether the app is installed, so that a backfill can keep its place."""
    return installed_apps.is_installed(__name__)


def read_findings(since: datetime) -> list[Finding]:
    """Return the findings of backfills that ended since a moment, the largest first."""
    if not is_installed():
        return []
    runs = find_runs().filter(finished_at__gte=since, missed__gt=0)
    groups = runs.values_list("provider").annotate(missed_sum=Sum("missed"), all=Sum("checked"))
    return [Finding(*group) for group in groups.order_by("-missed_sum", "provider")]


def read_last_ends() -> dict[str, datetime]:
    """Return when the last backfill of each provider ended."""
    if not is_installed():
        return {}
    ended = find_runs().filter(finished_at__isnull=False)
    return dict(ended.values_list("provider").annotate(Max("finished_at")).order_by("provider"))


def find_runs() -> Any:
    """Return the rows of all runs, from a model found by name."""
    return installed_apps.get_model(APP_LABEL, "Run").objects.all()
