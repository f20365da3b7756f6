"""Fills a table with copies of its newest row, so that nothing here must know all its columns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.db import connection

from .meters import make_checkpoint, query
from .programs import COPIES, Program


def fill(program: Program, count: int) -> float:
    """Fill the table of a program. Returns how many seconds it took."""
    started = time.monotonic()
    moment = f"newest.received_at - ({count} - n) * interval '1 second'"
    copies = dict(COPIES[program.table], received_at=moment, body="substring(body FOR 100)")
    copy_newest(program.table, copies, f"generate_series(1, {count}) AS n")
    return time.monotonic() - started


def copy_newest(table: str, copies: Mapping[str, str], source: str) -> None:
    """Copy the newest row of a table.

    ``copies`` has SQL for the columns that differ from copy to copy, and ``source`` is SQL for what
    it refers to, such as the numbers n.
    """
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_description(cursor, table)
    columns = [column.name for column in found if column.name != "id"]
    values = [copies.get(name, f'"{name}"') for name in columns]
    names = ", ".join(f'"{name}"' for name in columns)
    query(
        f"INSERT INTO {table} ({names}) SELECT {', '.join(values)}"
        f" FROM (SELECT * FROM {table} ORDER BY id DESC LIMIT 1) AS newest, {source}"
    )
    query(f"VACUUM ANALYZE {table}")
    make_checkpoint()


@contextmanager
def without_indexes(table: str) -> Iterator[None]:
    """Leave out what a table has beside its primary key, and build it again at the end.

    To fill millions of rows takes a tenth of the time so.
    """
    constraints = list_pairs(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype = 'u'",
        table,
    )
    for name, _ in constraints:
        query(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    indexes = list_pairs(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = %s::regclass AND NOT indisprimary",
        table,
    )
    for name, _ in indexes:
        query(f"DROP INDEX {name}")
    yield
    for name, definition in constraints:
        query(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
    for _, definition in indexes:
        query(definition)


def list_pairs(statement: str, table: str) -> list[tuple[str, str]]:
    """Return the rows that a statement has for a table."""
    with connection.cursor() as cursor:
        cursor.execute(statement, [table])
        return list(cursor.fetchall())
