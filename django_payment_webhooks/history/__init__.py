"""What happened to each event, kept: an app of its own, for the admin's timelines and overview.

The event's row says what is; it forgets how it came to be. This app listens to the signals and
writes that down. It is a witness, not the truth: a process that is killed between a change and its
entry leaves none.

The functions here are its only door: all answer that there is nothing if it is not installed, so
that nobody else has to ask.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from functools import reduce
from importlib import import_module
from operator import or_
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple, Sequence

# Under another name: this package has a module apps, which becomes an attribute of it.
from django.apps import apps as installed_apps
from django.db import router
from django.db.models import F, Q, Sum
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
    """How many webhooks of a provider, "" for one that does not exist, were rejected and why."""

    provider: str
    status: int
    reason: str
    number: int


def is_installed() -> bool:
    """Return whether a history is kept."""
    return installed_apps.is_installed(__name__)


def read_entries(events: Sequence[Event], limit: int) -> list[Entry]:
    """Return the newest entries of some events, the oldest of them first."""
    if not is_installed():
        return []
    entries = find_rows("Entry").filter(event_id__in=[event.pk for event in events])
    with_others = entries.select_related("other").defer("other__body")
    return list(with_others.order_by("-pk")[:limit])[::-1]


def read_rejections(since: datetime) -> list[RejectionCount]:
    """Return how many webhooks were rejected since the hour of a moment, the most first."""
    if not is_installed():
        return []
    rows = find_rows("Rejection").filter(hour__gte=since)
    groups = rows.values_list("provider", "status", "reason").annotate(total=Sum("count"))
    return [RejectionCount(*group) for group in groups.order_by("-total")]


def read_last_sweep() -> datetime | None:
    """Return when the last sweep was finished, None if that is not known."""
    if not is_installed():
        return None
    moment: datetime | None = find_rows("Sweep").values_list("finished_at", flat=True).first()
    return moment


def read_counted_hours(since: datetime) -> list[CountedHour]:
    """Return what was received within the hours since a moment, of those that were counted."""
    if not is_installed():
        return []
    return list(find_rows("CountedHour").filter(start__gte=since, is_exact=True))


def read_traceback(event: Event) -> str:
    """Return the traceback of an event's last failed attempt, "" if it is not known."""
    if not is_installed():
        return ""
    found = find_rows("Entry").filter(event_id=event.pk).exclude(traceback="")
    text: str = found.order_by("-pk").values_list("traceback", flat=True).first() or ""
    return text


def read_causes(keys: Sequence[str]) -> dict[str, Cause]:
    """Return what is known of causes, by their keys."""
    if not is_installed():
        return {}
    found: dict[str, Cause] = find_rows("Cause").in_bulk(list(keys))
    return found


def find_causes(text: str, limit: int) -> list[str]:
    """Return the keys of causes that have a text in what they are called, the newest first."""
    if not is_installed():
        return []
    names = ("exception", "place", "text")
    condition = reduce(or_, (Q(**{f"{name}__icontains": text}) for name in names))
    found = find_rows("Cause").filter(condition).order_by("-first_seen")
    return list(found.values_list("pk", flat=True)[:limit])


def list_old_causes(before: datetime) -> list[str]:
    """Return the keys of the causes that were neither seen nor acknowledged since a moment."""
    if not is_installed():
        return []
    is_old = Q(acknowledged_at__isnull=True) | Q(acknowledged_at__lt=before)
    found = find_rows("Cause").filter(is_old, last_seen__lt=before)
    return list(found.values_list("pk", flat=True))


def forget_cause(key: str, before: datetime) -> bool:
    """Forget a cause that was not seen since a moment, and return whether it was done."""
    return bool(find_rows("Cause").filter(pk=key, last_seen__lt=before).delete()[0])


def acknowledge(key: str, by: str, note: str, newest: int, count: int) -> bool:
    """Write who knows of a cause, with a note; returns whether the cause is known here.

    That ``count`` events have it, of which ``newest`` is the key of the newest, is what it holds
    for.
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
    """Forget what is written of an event; that it happened, when and by whom, stays."""
    if is_installed():
        find_rows("Entry").filter(event_id=event.pk).update(text="", traceback="")
        find_rows("Conflict").filter(event_id=event.pk).update(difference="")


def forget_differences(event: Event) -> None:
    """Forget in what an event's body differed from others, once that body is gone."""
    if is_installed():
        find_rows("Entry").filter(event_id=event.pk, verb=CONFLICTED).update(text="")
        find_rows("Conflict").filter(event_id=event.pk).update(difference="")


def count_open_conflicts() -> int:
    """Return how many events have conflicts that nobody has closed, up to one too many."""
    if not is_installed():
        return 0
    return len(list_open("event_id").distinct()[: MAX_OPEN + 1])


def count_open_by_provider() -> Counter[str]:
    """Return how many conflicts of each provider nobody has closed, up to a bound in all."""
    return Counter(list_open("event__provider")[:MAX_OPEN]) if is_installed() else Counter()


def list_open(column: str, is_open: bool = True) -> Any:
    """Return a column of the conflicts that are open, or closed, as a query."""
    found = find_rows("Conflict").filter(closed_at__isnull=is_open)
    return found.values_list(column, flat=True)


def read_conflicts(event: Event) -> list[Conflict]:
    """Return the conflicts of an event, the oldest first."""
    if not is_installed():
        return []
    found = find_rows("Conflict").filter(event_id=event.pk).select_related("other")
    return list(found.defer("other__body", "other__confirmation").order_by("pk"))


def close_conflicts(event: Event, by: str, reason: str) -> bool:
    """Close an event's open conflicts, with a note, and return whether there were any."""
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
    """Write down what somebody did that leaves no other trace: an erasure, or a look at a payload.

    ``subject`` says to what, such as "order A1". It names no event by a key that an erased row
    still has, and stays when the rows are gone. Returns the record's primary key.
    """
    if not is_installed():
        return None
    record = {"verb": verb, "subject": subject, "by": by[:255], "reason": reason}
    key: int = find_rows("AuditRecord").create(at=timezone.now(), number=number, **record).pk
    return key


def add_to_audit(key: int | None) -> bool:
    """Count one event more in what was written down; returns whether that is there."""
    if key is None:
        return False
    return bool(find_rows("AuditRecord").filter(pk=key).update(number=F("number") + 1))


def write_look(event: Event, by: str, reason: str = "") -> None:
    """Write down who looked at an event's payload, on whatever way."""
    write_audit("looked at", f"the payload of {event}", by, reason)


def read_audit(limit: int) -> list[AuditRecord]:
    """Return what was written down of what somebody did, the newest first."""
    return list(find_rows("AuditRecord").order_by("-pk")[:limit]) if is_installed() else []


@contextmanager
def without_rejections() -> Iterator[None]:
    """Count no rejected webhooks meanwhile, so that no thread starts to write them: for tests."""
    if not is_installed():
        yield
        return
    with import_module(f"{__name__}.receivers").rejections.paused():
        yield


def find_rows(name: str) -> Any:
    """Return all rows of one of the history's models. Only Django knows where that is."""
    model = installed_apps.get_model(APP_LABEL, name)
    return model._default_manager.using(router.db_for_write(model))
