"""Fills the table with what operators look at, on PostgreSQL, MariaDB or SQLite."""

from __future__ import annotations

import hashlib
import time

from .filling import find_newest, get_dialect, insert_copies, without_indexes
from .meters import query
from .programs import APP, receive_event
from .report import say

#: How many events one statement inserts.
BATCH = 500000
#: The cause of a third of those that have one, if there are three causes.
CAUSE = hashlib.md5(b"cause0").hexdigest()
#: What becomes of the event n.
STATUS = """CASE WHEN n < {count} * {failed} THEN 'failed'
    WHEN n > {count} * (1 - 1 / {days}) AND n % 10 < 2 THEN 'failed'
    WHEN n > {count} * (1 - 1 / {days}) AND n % 10 = 2 THEN 'received'
    WHEN n % 1000 < 966 THEN 'processed'
    WHEN n % 1000 < 976 THEN 'duplicate' WHEN n % 1000 < 990 THEN 'ignored'
    WHEN n % 1000 < 993 THEN 'waiting' WHEN n % 1000 < 995 THEN 'applied'
    ELSE 'received' END"""
#: The events' columns that differ; moments are in seconds since 1970.
COPIES = {
    "provider": "CASE WHEN n % 10 = 0 THEN 'timed' ELSE 'default' END",
    "provider_event_id": "'evt_' || n",
    "dedup_key": "md5('d' || n)",
    "order_id": "'A' || (n - n % 3)",
    "order_key": "md5('o' || (n - n % 3))",
    "payment_id": "'ch_' || n",
    "payment_key": "md5('p' || n)",
    "received_at": "{moment}",
    "occurred_at": "{moment}",
    "status": "new_status",
    "attempts": "CASE WHEN has_cause THEN 3 ELSE 1 END",
    "version": "3",
    "due_at": "CASE WHEN NOT is_final THEN {now} + n % 600 - 300 END",
    "enqueue_at": "CASE WHEN NOT is_final THEN {now} + n % 600 - 20 END",
    "waiting_since": "CASE WHEN new_status = 'waiting' THEN seconds END",
    "finished_at": "CASE WHEN is_final THEN {moment} END",
    "idempotency_key": "CASE WHEN new_status IN ('processed', 'applied') THEN md5('k' || n) END",
    "cause_key": "CASE WHEN has_cause THEN md5('cause' || (n % {causes})) END",
    "error": "CASE WHEN has_cause THEN 'KeyError(''warehouse_id'')' ELSE '' END",
}
SOURCE = """(
    SELECT n, seconds, new_status, new_status IN ('failed', 'received') AS has_cause,
        new_status IN ('processed', 'duplicate', 'ignored', 'failed') AS is_final
    FROM (
        SELECT n, {now} - {days} * 86400.0 * ({count} - n) / {count} AS seconds,
            {status} AS new_status
        FROM {numbers}
    ) AS numbered
) AS copies"""
#: What the history has of the causes, and of conflicts: every thousandth event, half of them open.
CAUSES = """
INSERT INTO payment_webhooks_history_cause ("key", exception, place, text, first_seen, last_seen,
    acknowledged_by, acknowledged_count, note)
SELECT md5('cause' || n), 'KeyError', 'shop.handlers:ship', 'warehouse ' || n, CURRENT_TIMESTAMP,
    CURRENT_TIMESTAMP, '', 0, '' FROM {numbers}"""
CONFLICTS = """
INSERT INTO payment_webhooks_history_conflict (event_id, other_id, at, difference, closed_at,
    closed_by, note)
SELECT id, id - 1, received_at, '[]', CASE WHEN id % 2000 = 0 THEN received_at END, '', ''
FROM payment_webhooks_event WHERE id % 1000 = 0"""


def prepare_database() -> None:
    """Let this session's statements mean the same on each database."""
    for statement in get_dialect().prepare:
        query(statement)


def fill(count: int, days: float, failed: float, causes: int) -> None:
    """Fill the table with copies of an event that is received now."""
    receive_event()
    started = time.monotonic()
    with without_indexes(APP.table):
        insert_events(count, days=days, failed=failed, causes=causes)
    numbers = get_dialect().numbers
    query(CAUSES.format(numbers=numbers.format(first=0, last=causes - 1)))
    query(CONFLICTS)
    for statement in get_dialect().finish:
        query(statement.format(table=APP.table))
    say(f"filled in {time.monotonic() - started:.0f} s")


def insert_events(count: int, **facts: float) -> None:
    """Insert the copies, batch by batch, so that no transaction is too large."""
    dialect, key = get_dialect(), find_newest(APP.table)
    values = dict(facts, count=count, now=time.time(), moment=dialect.moment)
    values["status"] = STATUS.format(**values)
    copies = {name: sql.format(**values) for name, sql in COPIES.items()}
    for first in range(1, count + 1, BATCH):
        numbers = dialect.numbers.format(first=first, last=min(first + BATCH - 1, count))
        insert_copies(APP.table, copies, key, SOURCE.format(numbers=numbers, **values))
