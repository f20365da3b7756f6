"""The programs that are measured, and everything that the measurements know of the app's inside."""

from __future__ import annotations

import json
import sys
from typing import NamedTuple

from django.core.management import call_command
from django.test import Client
from processes import PATH, sign

from .generator import write_event
from .meters import query


class Program(NamedTuple):
    """An endpoint with its worker. ``unfinished`` is SQL: whether an event is still to be done."""

    name: str
    path: str
    many_path: str
    prefix: str
    table: str
    unfinished: str
    sweeps: bool = False


APP = Program(
    name="this app",
    path=PATH,
    many_path=PATH + "/many",
    prefix="payment_webhooks_",
    table="payment_webhooks_event",
    unfinished="status IN ('received', 'waiting', 'applied')",
    sweeps=True,
)
SQL = Program(
    name="naive",
    path="/naive",
    many_path="/naive-many",
    prefix="naive_",
    table="naive_event",
    unfinished="status = 'received'",
)
ORM = SQL._replace(name="naive, ORM", path="/naive-orm")

#: What differs from one row to the next in a table that is filled with copies of one: columns, with
#: SQL for the copy number n.
COPIES = {
    APP.table: {
        "provider_event_id": "'evt_' || n",
        "dedup_key": "left(encode(sha256(('d' || n)::bytea), 'hex'), length(dedup_key))",
        "order_id": "'A' || n / 3",
        "order_key": "left(encode(sha256(('o' || n / 3)::bytea), 'hex'), length(order_key))",
        "idempotency_key": "left(encode(sha256(('k' || n)::bytea), 'hex'), length(dedup_key))",
    },
    SQL.table: {
        "event_id": "'evt_' || n",
        "order_id": "'A' || n / 3",
    },
}


def receive_event(size: int = 500) -> None:
    """Let the app receive an event, in this process."""
    body = json.dumps(write_event("A1", size)).encode()
    answer = Client(HTTP_HOST="localhost").post(
        APP.path, body, content_type="application/json", HTTP_X_SIGNATURE=sign(body)
    )
    if answer.status_code != 200:
        sys.exit(f"An event was answered with {answer.content!r}.")


def sweep() -> None:
    """Send the messages of all events that are due."""
    call_command("sweep_payment_webhooks", verbosity=0)


def write_moment(moment: str) -> str:
    """Return SQL for a moment as the schedule keeps it, which differs between versions."""
    kind = read_kind_of_schedule()
    if kind == "bigint":
        return f"(extract(epoch FROM {moment}) * 1000000)::bigint"
    if kind == "double precision":
        return f"extract(epoch FROM {moment})"
    return moment


def let_time_pass(seconds: float) -> None:
    """Move the schedule of all events into the past."""
    units = {"bigint": seconds * 1000000, "double precision": seconds}
    span = units.get(read_kind_of_schedule(), f"interval '{seconds} seconds'")
    query(f"UPDATE {APP.table} SET due_at = due_at - {span}, enqueue_at = enqueue_at - {span}")


def read_kind_of_schedule() -> str:
    """Return the type of the columns that say when an event is due."""
    return query(
        "SELECT data_type FROM information_schema.columns"
        " WHERE table_name = %s AND column_name = 'due_at'",
        APP.table,
    )
