"""Missed webhooks, found by asking the provider: an app of its own, as a run keeps its place.

A host names a source for a provider: a class that reads the provider's own lists. A backfill
receives each event of such a list as if it had come as a webhook; a reconciliation compares the
provider's payments with ours. How far a backfill has come is a row, so that a process that is
killed, on any machine, is continued by the next one.

The functions here are its only door for the rest: without the app they answer that nothing was
missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

# Under another name: this package has a module apps, which becomes an attribute of it.
from django.apps import apps as installed_apps
from django.db.models import Max, Sum

if TYPE_CHECKING:
    from datetime import datetime

APP_LABEL = "payment_webhooks_backfill"


class Finding(NamedTuple):
    """How many events of a provider its webhooks had missed, of how many that were looked at.

    Of the backfills that ended within a time, those that found something count.
    """

    provider: str
    missed: int
    checked: int


def is_installed() -> bool:
    """Return whether the app is installed, so that a backfill can keep its place."""
    return installed_apps.is_installed(__name__)


def read_findings(since: datetime) -> list[Finding]:
    """Return what backfills that ended since a moment have found, the most first."""
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
    """Return the rows of all runs. Only Django knows where they are."""
    return installed_apps.get_model(APP_LABEL, "Run").objects.all()
