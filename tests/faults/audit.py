"""What is left after the fire: an independent check, by plain SQL, that knows nothing of the app.

It compares what was sent and answered, what the story says must come of it, what the shop's tables
hold, and what the warehouse was told. What it finds is

``lost``
    An event was accepted and has not had its effect, or is gone.
``doubled``
    An event was stored twice, or an effect happened more than once.
``stuck``
    Something is not at its end: an event that is not final, a lease, a lock, a transaction, a
    message.
``wrong``
    Anything else that must not be: a trace of a forgery, a sum that does not agree, a failure
    without a reason.
"""

import contextlib
import sqlite3
from collections import Counter, defaultdict
from decimal import Decimal
from typing import NamedTuple

from .story import expect

FINAL = {"processed", "duplicate", "ignored", "failed"}
EFFECTS = ("payment", "refund", "dispute")
COLUMNS = (
    "provider, provider_event_id, type, order_id, body, status, attempts, due_at, enqueue_at, "
    "finished_at, idempotency_key, error"
)


class Finding(NamedTuple):
    """Something that must not be."""

    kind: str
    what: str


Row = NamedTuple("Row", [(name, object) for name in COLUMNS.split(", ")])


def money(value):
    """Return a sum as the database gave it, or None: SQLite has no decimal numbers."""
    return None if value is None else Decimal(str(value)).quantize(Decimal("0.01"))


def read(database, query):
    """Return the references and the sums in a table, by the order and the kind of effect."""
    found = defaultdict(list)
    for order_id, kind, reference, amount in database.execute(query):
        found[order_id, kind].append((reference, money(amount)))
    return found


def find_leftovers(database, messages):
    """Return what is not at its end yet, apart from what was accepted and is not there. Cheap: it
    is asked again.
    """
    found = []
    for status, count in database.execute(
        "SELECT status, COUNT(*) FROM payment_webhooks_event GROUP BY status"
    ):
        if status not in FINAL:
            found.append("%d events are %s" % (count, status))
    (held,) = database.execute(
        "SELECT COUNT(*) FROM payment_webhooks_event"
        " WHERE due_at IS NOT NULL OR enqueue_at IS NOT NULL OR finished_at IS NULL"
    )
    if held[0]:
        found.append("%d events are due, leased or not finished" % held[0])
    if messages:
        found.append("%d messages are in the queue" % messages)
    return [Finding("stuck", text) for text in found + find_locks(database)]


def find_locks(database):
    """Return the transactions and the locks of the database's other connections."""
    if not database.url:
        with contextlib.closing(
            sqlite3.connect(database.file, timeout=1, isolation_level=None)
        ) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                return ["somebody writes for ever: %s" % error]
        return []
    if database.is_mysql:
        asked = {
            "transactions are open": "information_schema.innodb_trx t"
            " JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id"
            " WHERE p.db = '%s'"
        }
    else:
        asked = {
            "transactions are open": "pg_stat_activity"
            " WHERE datname = '%s' AND xact_start IS NOT NULL"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
            "locks are held": "pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE d.datname = '%s' AND l.pid <> pg_backend_pid()",
        }
    counts = {
        what: database.execute("SELECT COUNT(*) FROM " + source % database.name)
        for what, source in asked.items()
    }
    return ["%d %s" % (count, what) for what, ((count,),) in counts.items() if count]


class Audit:
    """The check. ``accepted`` has, for the key of each event, how often 200 was answered with which
    word.

    ``calls`` are those of the warehouse, ``max_attempts`` is the shop's setting.
    """

    def __init__(self, orders, accepted, database, calls, max_attempts):
        self.orders, self.accepted, self.max_attempts = orders, accepted, max_attempts
        self.findings = []
        self.rows = defaultdict(list)
        for row in database.execute("SELECT %s FROM payment_webhooks_event" % COLUMNS):
            row = Row(*row)
            self.rows[row.provider, row.provider_event_id].append(row)
        self.shop_orders = {
            key: rest
            for key, *rest in database.execute("SELECT id, status, paid_at FROM shop_order")
        }
        self.tables = {
            "ledger": read(
                database, "SELECT order_id, kind, reference, amount FROM shop_ledgerentry"
            ),
            "refunds": read(
                database, "SELECT order_id, 'refund', refund_id, amount FROM shop_refund"
            ),
            "disputes": read(
                database, "SELECT order_id, 'dispute', dispute_id, NULL FROM shop_dispute"
            ),
        }
        self.calls = defaultdict(list)
        for call in calls:
            self.calls[call["order_id"]].append(call)

    def find(self, kind, what, *values):
        """Note a finding."""
        self.findings.append(Finding(kind, what % values))

    def run(self):
        """Return all findings."""
        events = {event.key: event for order in self.orders for event in order.events}
        for event in events.values():
            self.check_event(event)
        for key in set(self.rows) - set(events):
            self.find("wrong", "%s %s was stored, and no provider sent it", *key)
        owners = {}
        for order in self.orders:
            effects = expect(order)
            for effect in effects:
                self.check_statuses(effect)
            self.check_tables(order, [effect for effect in effects if effect.kind in EFFECTS])
            self.check_order(order, any(effect.happens for effect in effects), owners)
        return self.findings

    def check_event(self, event):
        """Check one row: it is there once, as it was sent, and at its end."""
        said, rows = self.accepted.get(event.key, Counter()), self.rows.get(event.key, [])
        if not said:
            self.find("stuck", "%s %s was never answered 200", *event.key)
        if said and not rows:
            self.find("lost", "%s %s was answered 200, and has no row", *event.key)
        if len(rows) > 1 or said["accepted"] > 1:
            self.find(
                "doubled",
                "%s %s has %d rows, and was new %d times",
                *event.key,
                len(rows),
                said["accepted"],
            )
        for row in rows[:1]:
            if (bytes(row.body), row.type, row.order_id) != (
                event.body,
                event.type,
                event.order_id,
            ):
                self.find("wrong", "%s %s was not stored as it was sent", *event.key)
            if row.status not in FINAL:
                self.find("stuck", "%s %s is %s: %s", *event.key, row.status, row.error)
            elif row.due_at or row.enqueue_at or not row.finished_at:
                self.find(
                    "stuck",
                    "%s %s is %s, and still due, leased or not finished",
                    *event.key,
                    row.status,
                )
            if row.status == "failed" and not row.error:
                self.find("wrong", "%s %s failed without a reason", *event.key)
            # One more is counted if the worker dies in the last attempt.
            if row.attempts > self.max_attempts + 1:
                self.find("wrong", "%s %s was tried %d times", *event.key, row.attempts)

    def check_statuses(self, effect):
        """Check how the events ended that tell of one effect."""
        rows = [
            (event, self.rows[event.key][0]) for event in effect.events if self.rows.get(event.key)
        ]
        rows = [
            (event, row) for event, row in rows if row.status in FINAL
        ]  # others are found already
        winners = [row for _, row in rows if row.idempotency_key]
        if effect.happens and not winners and len(rows) == len(effect.events):
            self.find(
                "lost",
                "no event had the %s of %s: %s",
                effect.kind,
                effect.order.id,
                describe(rows),
            )
        if len(winners) > 1:
            self.find(
                "doubled", "%d events had the %s of %s", len(winners), effect.kind, effect.order.id
            )
        if not effect.happens and winners:
            self.find("wrong", "an event of %s had an effect: %s", effect.order.id, describe(rows))
        for event, row in rows:
            allowed = {"duplicate"} if effect.happens and not row.idempotency_key else effect.ends
            is_exhausted = row.status == "failed" and row.attempts >= self.max_attempts
            if row.status not in allowed and (winners or not effect.happens):
                self.find(
                    "lost" if row.status == "failed" else "wrong",
                    "%s %s is %s: %s",
                    *event.key,
                    row.status,
                    row.error,
                )
            elif row.status in allowed and is_exhausted and effect.order.warehouse != 503:
                self.find(
                    "lost", "%s %s failed for want of more attempts: %s", *event.key, row.error
                )

    def check_tables(self, order, effects):
        """Check that each effect of an order is in the shop's tables once, with the right sum, and
        nothing else is.
        """
        for name, table in self.tables.items():
            rest = [(kind, *entry) for kind in EFFECTS for entry in table.get((order.id, kind), [])]
            for effect in effects:
                if name not in ("ledger", effect.kind + "s"):
                    continue
                found = [
                    entry
                    for entry in rest
                    if entry[0] == effect.kind and entry[1] in effect.references
                ]
                rest = [entry for entry in rest if entry not in found]
                what = (effect.kind, order.id, name)
                if len(found) > int(effect.happens):
                    kind = "doubled" if effect.happens else "wrong"
                    self.find(kind, "the %s of %s is in the %s %d times", *what, len(found))
                elif len(found) < int(effect.happens):
                    self.find("lost", "the %s of %s is not in the %s", *what)
                elif found and found[0][2] != effect.amount:
                    self.find("wrong", "the %s of %s is in the %s with %s", *what, found[0][2])
            for entry in rest:
                self.find(
                    "wrong", "nobody told of the %s %s of %s in the %s", *entry[:2], order.id, name
                )

    def check_order(self, order, is_paid, owners):
        """Check that an order is paid if its events say so, and that the warehouse knows of it, by
        one key.
        """
        status, paid_at = self.shop_orders.get(order.id, [None, None])
        if order.exists and (status, bool(paid_at)) != ("paid" if is_paid else "new", is_paid):
            self.find(
                "lost" if is_paid else "wrong",
                "the order %s is %s, paid at %s",
                order.id,
                status,
                paid_at,
            )
        calls = self.calls.get(order.id, [])
        called = {call["key"] for call in calls}
        keys = {
            row.idempotency_key
            for event in order.events
            for row in self.rows.get(event.key, [])
            if event.type == "charge.succeeded" and row.idempotency_key
        }
        if not is_paid:
            if calls:
                self.find("wrong", "the warehouse was told of %s, which is not paid", order.id)
            return
        if len(called) > 1:
            self.find("doubled", "the warehouse was told of %s by %d keys", order.id, len(called))
        elif (
            not called or order.warehouse is None and 200 not in {call["status"] for call in calls}
        ):
            self.find("lost", "the warehouse was not told of %s", order.id)
        elif len(keys) == 1 and called != keys:
            self.find("wrong", "the key of %s is not the event's", order.id)
        for key in called:
            if owners.setdefault(key, order.id) != order.id:
                self.find("wrong", "the orders %s and %s have one key", owners[key], order.id)


def describe(rows):
    """Return how some events ended."""
    return "; ".join(
        "%s %s is %s (%s)" % (*event.key, row.status, row.error or "no error")
        for event, row in rows
    )
