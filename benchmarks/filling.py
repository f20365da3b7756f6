"""Fills a table with copies of its newest row, so that nothing here must know all its columns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

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
    """Copy the newest row of a table, on PostgreSQL.

    ``copies`` has SQL for the columns that differ from copy to copy, and ``source`` is SQL for what
    it refers to, such as the numbers n.
    """
    insert_copies(table, copies, find_newest(table), source)
    query(f"VACUUM ANALYZE {table}")
    make_checkpoint()


def find_newest(table: str) -> int:
    """Return the key of the newest row of a table."""
    return query(f"SELECT max(id) FROM {table}")


def insert_copies(table: str, copies: Mapping[str, str], key: int, source: str) -> None:
    """Insert copies of the row of a key."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_description(cursor, table)
    columns = [column.name for column in found if column.name != "id"]
    values = [copies.get(name, f'"{name}"') for name in columns]
    names = ", ".join(f'"{name}"' for name in columns)
    query(
        f"INSERT INTO {table} ({names}) SELECT {', '.join(values)}"
        f" FROM (SELECT * FROM {table} WHERE id = {key}) AS newest, {source}"
    )


# ---- on each database


class Dialect(NamedTuple):
    """How a database is told to fill a table.

    ``numbers`` are those from ``first`` to ``last``, as a column n; ``moment`` is the time of a
    column with seconds since 1970. ``prepare`` and ``finish`` are what to run before and after.
    """

    numbers: str
    moment: str
    prepare: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()


DIALECTS = {
    "postgresql": Dialect(
        "generate_series({first}, {last}) AS n",
        "to_timestamp(seconds)",
        prepare=("SET maintenance_work_mem = '512MB'",),
        finish=("VACUUM ANALYZE", "CHECKPOINT"),
    ),
    "mysql": Dialect(
        "(SELECT seq AS n FROM seq_{first}_to_{last}) AS numbers",
        "from_unixtime(seconds)",
        prepare=("SET sql_mode = 'ANSI'", "SET time_zone = '+00:00'"),
        finish=("ANALYZE TABLE {table}",),
    ),
    "sqlite": Dialect(
        "(WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers"
        " WHERE n < {last}) SELECT n FROM numbers)",
        "strftime('%Y-%m-%d %H:%M:%f', seconds, 'unixepoch')",
        finish=("ANALYZE",),
    ),
}


def get_dialect() -> Dialect:
    """Return the dialect of the database."""
    return DIALECTS[connection.vendor]


# ---- indexes


@contextmanager
def without_indexes(table: str) -> Iterator[None]:
    """Leave out what a table has beside its primary key, and build it again at the end.

    To fill millions of rows takes a tenth of the time so.
    """
    pairs = FINDERS[connection.vendor](table)
    for drop, _ in pairs:
        query(drop)
    yield
    for _, create in pairs:
        query(create)


def find_postgresql_indexes(table: str) -> list[tuple[str, str]]:
    """Return for each index the statements that drop it and create it."""
    constraints = list_pairs(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype = 'u'",
        table,
    )
    indexes = list_pairs(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = %s::regclass AND NOT indisprimary AND indexrelid NOT IN"
        " (SELECT conindid FROM pg_constraint)",
        table,
    )
    alter = f"ALTER TABLE {table}"
    return [
        *(
            (f'{alter} DROP CONSTRAINT "{name}"', f'{alter} ADD CONSTRAINT "{name}" {definition}')
            for name, definition in constraints
        ),
        *((f"DROP INDEX {name}", definition) for name, definition in indexes),
    ]


def find_mysql_indexes(table: str) -> list[tuple[str, str]]:
    """Return the statements that drop all indexes at once and create them."""
    indexes = list_pairs(
        "SELECT index_name, concat(if(max(non_unique), '', 'UNIQUE '), 'INDEX \"', index_name,"
        " '\" (', group_concat(column_name ORDER BY seq_in_index), ')')"
        " FROM information_schema.statistics WHERE table_schema = database()"
        " AND table_name = %s AND index_name <> 'PRIMARY' GROUP BY index_name",
        table,
    )
    drops = ", ".join(f'DROP INDEX "{name}"' for name, _ in indexes)
    creates = ", ".join(f"ADD {definition}" for _, definition in indexes)
    return [(f"ALTER TABLE {table} {drops}", f"ALTER TABLE {table} {creates}")]


def find_sqlite_indexes(table: str) -> list[tuple[str, str]]:
    """Return for each index the statements that drop it and create it."""
    indexes = list_pairs(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = %s"
        " AND sql IS NOT NULL",
        table,
    )
    return [(f'DROP INDEX "{name}"', definition) for name, definition in indexes]


FINDERS = {
    "postgresql": find_postgresql_indexes,
    "mysql": find_mysql_indexes,
    "sqlite": find_sqlite_indexes,
}


def list_pairs(statement: str, table: str) -> list[tuple[str, str]]:
    """Return the rows that a statement has for a table."""
    with connection.cursor() as cursor:
        cursor.execute(statement, [table])
        return list(cursor.fetchall())
