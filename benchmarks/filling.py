"""Fills a table with copies of its newest row, so that nothing here must know all its columns."""

from __future__ import annotations

import time
from collections.abc import Mapping

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
