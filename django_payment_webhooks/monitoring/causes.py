"""Groups failed and retried events by cause.

This is quick however many events have failed: it leaps from one cause to the next in an index,
counts a bounded number of each cause's events, and reads a few.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Iterator, NamedTuple, Sequence

from django.db import connections, router
from django.utils.translation import gettext

from .. import history
from ..models import Event
from ..operations.transactions import commit
from ..providers.causes import describe_reason, is_bug, read_name
from ..providers.personal import find_personal, prepare
from ..providers.redaction import redact_text
from .newest import list_newest, match

# The most events of a cause that are counted. Beyond, it is only known that there are more.
MAX_COUNTED = 10000
# The most events of a cause, from the newest, that are read.
MAX_READ = 100
# The most events read of all causes and statuses together.
MAX_ROWS = 600
# The most events whose money is read, of all causes together, as each must be parsed.
MAX_PARSED = 200
# How many of the newest failed events are searched first if there are too many causes.
MAX_NEWEST = 1000
MAX_CAUSES = 20
# The most causes that are listed. Beyond, it is only known that there are more.
MAX_LISTED = 200
MAX_TITLE = 200

UNFINISHED = (Event.RECEIVED, Event.WAITING, Event.APPLIED)
STATUSES = (Event.FAILED, *UNFINISHED)
COLUMNS = ("pk", "type", "provider", "received_at", "due_at", "error")

# Finds the next cause of events with a status.
NEXT = "SELECT MIN(cause_key) FROM {table} WHERE status = %s AND cause_key > %s"
# Counts the events with a status and a cause, up to a bound, and finds the oldest.
COUNT = """
SELECT {index}, (
    SELECT COUNT(*) FROM (
        SELECT id FROM {table} WHERE status = %s AND cause_key = %s LIMIT {limit}
    ) AS counted
), (SELECT MIN(id) FROM {table} WHERE status = %s AND cause_key = %s)
"""


class CauseCount(NamedTuple):
    """A number of events or causes. ``is_bounded`` is whether there are more."""

    number: int
    is_bounded: bool


class FailureCause(NamedTuple):
    """What is broken.

    ``key`` is what the events have as ``cause_key``; ``title`` says it in words, of the
    error's text the fixed part alone, and ``exception`` is the error's type, empty without.
    ``failed`` events have ended; those that are ``retrying`` are to be tried again, the first of
    them in ``next_seconds``, 0.0 if now. ``first`` and ``last`` are when the oldest and the newest
    event were received, and ``retrying_since`` when the oldest that is not given up was.

    ``types``, ``providers`` and ``money``, the sums by their currencies, are those of all events,
    or if ``is_partial`` of the newest. ``newest`` is the primary key of the newest event.
    ``is_bug`` is whether the error is surely a bug of the host's code. ``record`` is what the
    history has of the cause, with the first time that it was ever seen and who has acknowledged it;
    None without.
    """

    key: str
    title: str
    exception: str
    failed: CauseCount
    retrying: CauseCount
    next_seconds: float | None
    first: datetime
    last: datetime
    retrying_since: datetime | None
    types: list[str]
    providers: list[str]
    money: dict[str, Decimal]
    is_partial: bool
    newest: int
    is_bug: bool
    is_acknowledged: bool
    record: Any

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for JSON. Times and amounts need ``DjangoJSONEncoder``."""
        values = dict(self._asdict())
        record = values.pop("record")
        for name in ("failed", "retrying"):
            found = values[name]
            values[name] = {"count": found.number, "is_bounded": found.is_bounded}
        values["first_seen"] = record and record.first_seen
        values["acknowledged_by"] = record.acknowledged_by if self.is_acknowledged else ""
        values["note"] = record.note if self.is_acknowledged else ""
        return values


class Share(NamedTuple):
    """The events with a status and a cause: how many, the oldest, and the newest ones read."""

    status: str
    number: int
    oldest: int
    rows: list[dict[str, Any]]


def read_causes(limit: int = MAX_CAUSES, parsed: int = MAX_PARSED) -> list[FailureCause]:
    """Return the causes of failed and of retried events, those with the most events first.

    If there are more than ``limit``, they are those of events that are being retried, then those
    of the newest that have failed. The money of ``parsed`` events is read, all causes together.
    """
    return read_named(find_keys(limit), parsed)


def read_cause(key: str, parsed: int = MAX_PARSED) -> FailureCause | None:
    """Return one cause, or None if no event has it."""
    for found in read_named([key], parsed):
        return found
    return None


def list_keys() -> list[str]:
    """Return the keys of all causes, in the order of :func:`read_causes`, up to one too many."""
    return find_keys(MAX_LISTED + 1)


def count_keys(keys: Sequence[str]) -> CauseCount:
    """Return how many causes were listed, and whether there are more."""
    return CauseCount(min(len(keys), MAX_LISTED), len(keys) > MAX_LISTED)


def search_causes(text: str) -> list[FailureCause]:
    """Return the causes that have a text in their titles, or events of such a type or provider.

    Those that are listed, and those whose names the history finds.
    """
    keys = dict.fromkeys([*list_keys(), *history.find_causes(text, MAX_LISTED)])
    wanted = text.casefold()
    return [
        cause
        for cause in read_named(list(keys), parsed=0)
        if any(
            wanted in name.casefold()
            for name in (cause.key, cause.title, *cause.types, *cause.providers)
        )
    ]


def read_named(keys: Sequence[str], parsed: int) -> list[FailureCause]:
    """Return the causes with these keys that events have, those with the most events first."""
    shares = read_shares(keys)
    records = history.read_causes(list(shares))
    oldest = read_times([share.oldest for found in shares.values() for share in found])
    money = read_money(shares, parsed)
    titles = name_each(shares, records)
    causes = [
        summarize(key, found, oldest, money[key], titles[key], records.get(key))
        for key, found in shares.items()
    ]
    return sorted(causes, key=lambda cause: -cause.failed.number - cause.retrying.number)


# ---- queries


def ask(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query from the events' database."""
    with connections[router.db_for_write(Event)].cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def find_keys(limit: int) -> list[str]:
    """Return the keys of causes: first those of events that are being retried, then the newest."""
    retried = [key for status in UNFINISHED for key in leap(status, limit)]
    failed = list(leap(Event.FAILED, limit + 1))
    if len({*retried, *failed}) > limit:
        failed = [*find_newest_keys(limit), *failed]
    return list(dict.fromkeys([*retried, *failed]))[:limit]


def find_newest_keys(limit: int) -> list[str]:
    """Return the keys of the causes that the newest failed events have."""
    newest = list_newest(Event.objects.all(), [Event.FAILED], MAX_NEWEST)
    events = Event.objects.filter(pk__in=newest).order_by("-pk")
    keys = events.values_list("cause_key", flat=True)
    return [key for key in dict.fromkeys(keys) if key][:limit]


def leap(status: str, limit: int) -> Iterator[str]:
    """Yield the keys of the causes that events of a status have, up to a bound.

    Each is found by one step in the index, however many events the one before has.
    """
    key, question = "", NEXT.format(table=Event._meta.db_table)
    for _ in range(limit):
        ((key,),) = ask(question, [status, key])
        if key is None:
            return
        yield key


def read_shares(keys: Sequence[str]) -> dict[str, list[Share]]:
    """Return the events of each cause by their statuses; no cause that no event has."""
    counts = [count for count in count_all(keys) if count.number]
    newest = find_newest_events(counts)
    rows = read_rows([key for found in newest for key in found])
    shares: dict[str, list[Share]] = {}
    for (key, status, number, oldest), found in zip(counts, newest):
        known = [rows[each] for each in found if each in rows]
        shares.setdefault(key, []).append(Share(status, number, oldest, known))
    # An event that was replayed since it was counted leaves a cause without any.
    return {key: found for key, found in shares.items() if any(share.rows for share in found)}


class Count(NamedTuple):
    """How many events of a status have a cause, up to a bound, and the oldest of them."""

    key: str
    status: str
    number: int
    oldest: int


def count_all(keys: Sequence[str]) -> Iterator[Count]:
    """Yield for each cause and each status how many events there are."""
    facts = {"table": Event._meta.db_table, "limit": MAX_COUNTED + 1}
    counts = [COUNT.format(index=index, **facts) for index in range(len(STATUSES))]
    for key in keys:
        values = [value for status in STATUSES for value in [status, key] * 2]
        for index, number, oldest in ask(" UNION ALL ".join(counts), values):
            yield Count(key, STATUSES[index], number, oldest)


def find_newest_events(counts: Sequence[Count]) -> list[list[int]]:
    """Return the newest events of each cause and status, fewer of each if these are many."""
    most = min(MAX_READ, max(MAX_ROWS // max(len(counts), 1), 1))
    events = Event.objects.all()
    return [
        list_newest(events.filter(**match("cause_key", key)), [status], most, by_cause=True)
        for key, status, *_ in counts
    ]


def read_rows(keys: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return events without their bodies, by primary key."""
    return {row["pk"]: row for row in Event.objects.filter(pk__in=keys).values(*COLUMNS)}


def read_times(keys: Sequence[int]) -> dict[int, datetime]:
    """Return when events were received, by primary key."""
    return dict(Event.objects.filter(pk__in=keys).values_list("pk", "received_at"))


class Sums(NamedTuple):
    """What events are about: their sums by currencies, and of how many events these are."""

    by_currency: dict[str, Decimal]
    number: int


def read_money(shares: dict[str, list[Share]], parsed: int) -> dict[str, Sums]:
    """Return the sums of the newest events of each cause, by its key."""
    most = parsed // max(len(shares), 1)
    keys = {key: [row["pk"] for row in sort_rows(found)[:most]] for key, found in shares.items()}
    chosen = [each for found in keys.values() for each in found]
    events = Event.objects.in_bulk(chosen) if chosen else {}
    return {
        key: add_up([events[each] for each in found if each in events])
        for key, found in keys.items()
    }


def add_up(events: Sequence[Event]) -> Sums:
    """Return the sums of events. Unreadable amounts do not count."""
    sums: dict[str, Decimal] = {}
    number = 0
    for event in events:
        # Whatever a provider's class, or what is wrong in its options, makes of it.
        with suppress(Exception):
            money = event.money
            number += 1
            if money:
                sums[money.currency] = sums.get(money.currency, Decimal(0)) + money.amount
    return Sums(sums, number)


def sort_rows(shares: Sequence[Share]) -> list[dict[str, Any]]:
    """Return the events of a cause that were read, the newest first."""
    rows = [row for share in shares for row in share.rows]
    return sorted(rows, key=lambda row: -row["pk"])


# ---- the answer


def summarize(
    key: str,
    shares: Sequence[Share],
    oldest: dict[int, datetime],
    sums: Sums,
    title: str,
    record: Any,
) -> FailureCause:
    """Return a cause from what is known about it."""
    rows = sort_rows(shares)
    error = rows[0]["error"]
    retrying = [share for share in shares if share.status in UNFINISHED]
    failed = [share for share in shares if share.status == Event.FAILED]
    total = sum(share.number for share in shares)
    return FailureCause(
        key=key,
        title=title,
        exception=record.exception.rpartition(".")[2] if record else read_name(error),
        failed=add_counts(failed),
        retrying=add_counts(retrying),
        next_seconds=find_next(retrying),
        first=find_first(shares, oldest) or rows[-1]["received_at"],
        last=rows[0]["received_at"],
        retrying_since=find_first(retrying, oldest),
        types=sorted({row["type"] for row in rows}),
        providers=sorted({row["provider"] for row in rows}),
        money=dict(sorted(sums.by_currency.items())),
        is_partial=sums.number < total,
        newest=rows[0]["pk"],
        is_bug=is_bug(error),
        is_acknowledged=record is not None and is_acknowledged(record, shares),
        record=record,
    )


def name_each(shares: dict[str, list[Share]], records: dict[str, Any]) -> dict[str, str]:
    """Return the title of each cause: from its record, or else from its newest event's error."""
    newest = {key: sort_rows(found)[0]["pk"] for key, found in shares.items() if key not in records}
    events = Event.objects.defer("body").in_bulk(list(newest.values())) if newest else {}
    prepare(events.values())
    known: dict[str, Any] = dict(records)
    for key, number in newest.items():
        event = events.get(number)
        known[key] = describe_reason(event.error, find_personal(event)) if event else ""
    return {key: name_cause(known[key]) for key in shares}


def name_cause(known: object) -> str:
    """Return a cause's title from its record, or else from an error, without personal data."""
    return redact_text(str(known))[:MAX_TITLE]


def add_counts(shares: Sequence[Share]) -> CauseCount:
    """Return the number of events in some statuses."""
    number = sum(share.number for share in shares)
    return CauseCount(min(number, MAX_COUNTED), number > MAX_COUNTED)


def find_first(shares: Sequence[Share], times: dict[int, datetime]) -> datetime | None:
    """Return when the oldest event was received, or None if there is none, or it is gone."""
    found = [times[share.oldest] for share in shares if share.oldest in times]
    return min(found) if found else None


def find_next(retrying: Sequence[Share]) -> float | None:
    """Return in how many seconds the next attempt is due, or None if there is none."""
    due = [row["due_at"] for share in retrying for row in share.rows if row["due_at"]]
    return max(min(due) - time.time(), 0.0) if due else None


def is_acknowledged(record: Any, shares: Sequence[Share]) -> bool:
    """Return whether a cause's acknowledgement still holds.

    It does until the number of its events has doubled, and as long as one of the acknowledged
    events still has it: a cause that is back after it was gone is news.
    """
    if record.acknowledged_at is None:
        return False
    if min(share.oldest for share in shares) > record.acknowledged_id:
        return False
    return count_newer(record) <= record.acknowledged_count


def count_newer(record: Any) -> int:
    """Return how many events got a cause since it was acknowledged, up to one too many."""
    number = 0
    for status in STATUSES:
        newer = Event.objects.filter(
            status=status, cause_key=record.key, pk__gt=record.acknowledged_id
        )
        number += newer.order_by().values("pk")[: record.acknowledged_count + 1].count()
    return number


def acknowledge(key: str, by: str, note: str, seen: int | None = None) -> bool:
    """Acknowledge a cause, so that nothing warns about it until it changes.

    It changes when the number of its events doubles, or when it is back after it was gone. ``seen``
    is the number of events on the page that the person saw. Returns whether it was recorded, which
    needs the app ``history`` and an event with the cause. Raises ``ValueError`` if the note is
    blank or if twice as many events as were seen have the cause, and ``LockedError`` if the
    database is locked.
    """
    if not note.strip():
        raise ValueError(gettext("Say what is known of the cause: the note is blank."))
    found = read_cause(key, parsed=0)
    if found is None:
        return False
    if seen is not None and found.failed.number + found.retrying.number > 2 * max(seen, 1):
        text = gettext("The cause has changed: far more events have it by now. Look again.")
        raise ValueError(text)
    done: bool = commit(partial(write_acknowledged, found, by, note))
    return done


def write_acknowledged(cause: FailureCause, by: str, note: str) -> bool:
    """Write who knows of a cause, and that for an auditor; returns whether that is known here."""
    count = cause.failed.number + cause.retrying.number
    if not history.acknowledge(cause.key, by, note, cause.newest, count):
        return False
    history.write_audit("acknowledged", f"{cause.title} ({count} events)", by, note)
    return True
