"""An optional app that records what happened to each event, for the admin's pages.

The event's row says how things stand, but not how they came to be. This app listens to the signals
and records that. It is a witness, not the truth: a process that is killed between a change and its
entry leaves none.

Other code uses only the functions here. If the app is not installed, they return nothing, so their
callers need not check.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from functools import reduce
from importlib import import_module
from operator import or_
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple, Sequence

# Renamed, as this package's module ``apps`` becomes its attribute.
from django.apps import apps as installed_apps
from django.db import router
from django.db.models import F, Max, Q, Sum
from django.utils import timezone

if TYPE_CHECKING:
    from datetime import datetime

    from ..models import Event
    from .models import AuditRecord, Cause, Conflict, CountedHour, Entry

APP_LABEL = "payment_webhooks_history"
CONFLICTED = "conflicted"
CLOSED = "closed"
# How many events with open conflicts are counted.
MAX_OPEN = 10_000


class RejectionCount(NamedTuple):
    """How many webhooks of a provider, "" for a nonexistent one, were rejected, and why."""

    provider: str
    status: int
    reason: str
    number: int


def is_installed() -> bool:
    """Return whether a history is kept."""
    return installed_apps.is_installed(__name__)


def read_entries(events: Sequence[Event], limit: int) -> list[Entry]:
    """Return the newest entries of some events, in chronological order."""
    if not is_installed():
        return []
    entries = find_rows("Entry").filter(event_id__in=[event.pk for event in events])
    with_others = entries.select_related("other").defer("other__body")
    return list(with_others.order_by("-pk")[:limit])[::-1]


def read_rejections(since: datetime) -> list[RejectionCount]:
    """Return how many webhooks were rejected since an hour's start, the largest count first."""
    if not is_installed():
        return []
    rows = find_rows("Rejection").filter(hour__gte=since)
    groups = rows.values_list("provider", "status", "reason").annotate(total=Sum("count"))
    return [RejectionCount(*group) for group in groups.order_by("-total")]


def read_last_sweep() -> datetime | None:
    """Return when the last sweep finished, or None if that is not known."""
    if not is_installed():
        return None
    moment: datetime | None = find_rows("Sweep").values_list("finished_at", flat=True).first()
    return moment


def read_counted_hours(since: datetime) -> list[CountedHour]:
    """Return what was received in each hour since a moment that has been counted."""
    if not is_installed():
        return []
    return list(find_rows("CountedHour").filter(start__gte=since, is_exact=True))


def read_traceback(event: Event) -> str:
    """Return the traceback of an event's last failed attempt, or "" if it is not known."""
    if not is_installed():
        return ""
    found = find_rows("Entry").filter(event_id=event.pk).exclude(traceback="")
    text: str = found.order_by("-pk").values_list("traceback", flat=True).first() or ""
    return text


def read_last_failure(keys: Sequence[int]) -> datetime | None:
    """Return when the last of the failed attempts at some events was, None if it is not known."""
    if not is_installed():
        return None
    failed = find_rows("Entry").filter(event_id__in=list(keys), verb="retried")
    moment: datetime | None = failed.aggregate(last=Max("at"))["last"]
    return moment


def read_causes(keys: Sequence[str]) -> dict[str, Cause]:
    """Return what is known about causes, by key."""
    if not is_installed():
        return {}
    found: dict[str, Cause] = find_rows("Cause").in_bulk(list(keys))
    return found


def find_causes(text: str, limit: int) -> list[str]:
    """Return the keys of the causes whose names contain a text, the newest first."""
    if not is_installed():
        return []
    names = ("exception", "place", "text")
    condition = reduce(or_, (Q(**{f"{name}__icontains": text}) for name in names))
    found = find_rows("Cause").filter(condition).order_by("-first_seen")
    return list(found.values_list("pk", flat=True)[:limit])


def list_old_causes(before: datetime) -> list[str]:
    """Return the keys of the causes neither seen nor acknowledged since a moment."""
    if not is_installed():
        return []
    is_old = Q(acknowledged_at__isnull=True) | Q(acknowledged_at__lt=before)
    found = find_rows("Cause").filter(is_old, last_seen__lt=before)
    return list(found.values_list("pk", flat=True))


def forget_cause(key: str, before: datetime) -> bool:
    """Forget a cause unless it was seen since a moment. Returns whether it was forgotten."""
    return bool(find_rows("Cause").filter(pk=key, last_seen__lt=before).delete()[0])


def acknowledge(key: str, by: str, note: str, newest: int, count: int) -> bool:
    """Record who acknowledged a cause, with a note. Returns whether the cause is known here.

    It covers the ``count`` events that have the cause now; ``newest`` is the key of the newest.
    """
    if not is_installed():
        return False
    changed: int = (
        find_rows("Cause")
        .filter(pk=key)
        .update(
            acknowledged_by=by[:255],
            acknowledged_at=timezone.now(),
            acknowledged_id=newest,
            acknowledged_count=count,
            note=note,
        )
    )
    return bool(changed)


def forget(event: Event) -> None:
    """Erase what is recorded about an event, except what was done, when and by whom."""
    if is_installed():
        find_rows("Entry").filter(event_id=event.pk).update(text="", traceback="")
        find_rows("Conflict").filter(event_id=event.pk).update(difference="", note="")


def forget_differences(event: Event) -> None:
    """Erase how an event's body differed from others, once that body is gone."""
    if is_installed():
        find_rows("Entry").filter(event_id=event.pk, verb=CONFLICTED).update(text="")
        find_rows("Conflict").filter(event_id=event.pk).update(difference="")


def count_open_conflicts() -> int:
    """Return how many events have open conflicts, up to one more than the bound."""
    if not is_installed():
        return 0
    return len(list_open("event_id").distinct()[: MAX_OPEN + 1])


def count_open_by_provider() -> Counter[str]:
    """Return how many conflicts of each provider are open, up to a bound for all of them."""
    return Counter(list_open("event__provider")[:MAX_OPEN]) if is_installed() else Counter()


def list_open(column: str, is_open: bool = True) -> Any:
    """Return a column of the open or closed conflicts, as a query."""
    found = find_rows("Conflict").filter(closed_at__isnull=is_open)
    return found.values_list(column, flat=True)


def read_conflicts(event: Event) -> list[Conflict]:
    """Return the conflicts of an event, the oldest first."""
    if not is_installed():
        return []
    found = find_rows("Conflict").filter(event_id=event.pk).select_related("other")
    return list(found.defer("other__body", "other__confirmation").order_by("pk"))


def close_conflicts(event: Event, by: str, reason: str) -> bool:
    """Close an event's open conflicts with a note. Returns whether there were any."""
    if not is_installed():
        return False
    now = timezone.now()
    found = find_rows("Conflict").filter(event_id=event.pk, closed_at__isnull=True)
    if not found.update(closed_at=now, closed_by=by[:255], note=reason):
        return False
    entry = {"verb": CLOSED, "attempts": event.attempts, "text": reason, "by": by[:255]}
    find_rows("Entry").create(event_id=event.pk, at=now, **entry)
    return True


def write_audit(verb: str, subject: str, by: str, reason: str = "", number: int = 1) -> int | None:
    """Record an action that leaves no other trace: an erasure, or a look at a payload.

    ``subject`` says what was acted on, such as "order A1". It has no key that an erased row still
    has, and outlasts the rows. Returns the record's primary key.
    """
    if not is_installed():
        return None
    record = {"verb": verb, "subject": subject, "by": by[:255], "reason": reason}
    key: int = find_rows("AuditRecord").create(at=timezone.now(), number=number, **record).pk
    return key


def add_to_audit(key: int | None) -> bool:
    """Count one more event in an audit record. Returns whether the record exists."""
    if key is None:
        return False
    return bool(find_rows("AuditRecord").filter(pk=key).update(number=F("number") + 1))


def write_look(event: Event, by: str, reason: str = "") -> None:
    """Record who looked at an event's payload, by whatever means."""
    write_audit("looked at", f"the payload of {event}", by, reason)


def read_audit(limit: int) -> list[AuditRecord]:
    """Return the audit records, the newest first."""
    return list(find_rows("AuditRecord").order_by("-pk")[:limit]) if is_installed() else []


@contextmanager
def without_rejections() -> Iterator[None]:
    """Count no rejected webhooks in the block, so that no thread starts to write them."""
    if not is_installed():
        yield
        return
    with import_module(f"{__name__}.receivers").rejections.paused():
        yield


def find_rows(name: str) -> Any:
    """Return all rows of one of the history's models, found by name."""
    model = installed_apps.get_model(APP_LABEL, name)
    return model._default_manager.using(router.db_for_write(model))
