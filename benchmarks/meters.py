"""What is measured: processor time, memory, and what PostgreSQL says of itself."""

from __future__ import annotations

import glob
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import connection

#: In /proc/<pid>/stat, counted behind the name: the time of the process and of its ended children.
TIMES = slice(11, 15)


def find_tree(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield pid
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        for child in read(path).split():
            yield from find_tree(int(child))


def read(path: str) -> str:
    """Return the text of a file; nothing if its process has ended."""
    try:
        with open(path) as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def read_seconds(process: Any) -> float:
    """Return the processor time that a process, its children and those before them have used."""
    ticks = 0
    for pid in find_tree(process.pid):
        fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[TIMES])
    return ticks / os.sysconf("SC_CLK_TCK")


class ProcessorTime:
    """The processor time of some processes, in seconds by their names, from a moment on."""

    def __init__(self, **processes: Any) -> None:
        self.processes = processes
        self.before = self._read()

    def _read(self) -> dict[str, float]:
        return {name: read_seconds(process) for name, process in self.processes.items()}

    def stop(self) -> Counter:
        """Return the time since then."""
        used = Counter(self._read())
        used.subtract(self.before)
        return used


def read_own_seconds() -> float:
    """Return the processor time of this process, and of the database's one for its connection.

    That of a database on another machine, and of the helpers of a parallel query, is missing.
    """
    return time.process_time() + read_connection_seconds()


def read_connection_seconds() -> float:
    """Return the processor time of the database's process, or thread, for the connection."""
    questions = {
        "postgresql": "SELECT pg_backend_pid()",
        "mysql": "SELECT tid FROM information_schema.processlist WHERE id = connection_id()",
    }
    if connection.vendor not in questions:
        return 0.0
    number = query(questions[connection.vendor])
    for path in glob.glob(f"/proc/*/task/{number}/schedstat"):
        return int(read(path).split()[0]) / 1e9
    return 0.0


def forget_peaks(process: Any) -> None:
    """Let the peak of each process' memory be what it has now."""
    for pid in find_tree(process.pid):
        with open(f"/proc/{pid}/clear_refs", "w") as file:
            file.write("5")


def read_peak(process: Any) -> float:
    """Return the most megabytes that a process of a tree has had since :func:`forget_peaks`."""
    return max(read_memory(pid, "VmHWM") for pid in find_tree(process.pid))


def read_memory(pid: int, name: str) -> float:
    """Return a line of a process' status, in megabytes."""
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    return 0


# ---- PostgreSQL


def query(statement: str, *values: object) -> Any:
    """Run a statement, and return the first value of its first row."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        if cursor.description is None:
            return None
        return cursor.fetchone()[0]


def read_log_position() -> int:
    """Return how many bytes PostgreSQL has written into its log (WAL) since it was made."""
    return int(query("SELECT pg_current_wal_insert_lsn() - '0/0'"))


class Updates(NamedTuple):
    """How many updates a table has had, and how many of them were HOT: they changed no index."""

    all: int
    hot: int


def count_updates(table: str) -> Updates:
    """Count the updates of a table. Those of other sessions may be missing until they end."""
    query("SELECT pg_stat_force_next_flush()")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = %s", [table]
        )
        return Updates(*cursor.fetchone())


def forget_statements() -> None:
    """Count statements from now on, but not those of this session."""
    query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    query("SET pg_stat_statements.track = 'none'")
    query("SELECT pg_stat_statements_reset()")


def count_statements() -> int:
    """Return how many statements there were, beside the one that marks an order as paid."""
    return query(
        "SELECT sum(calls) FROM pg_stat_statements JOIN pg_database ON oid = dbid"
        " WHERE datname = current_database() AND query NOT LIKE 'UPDATE %shop_order%'"
    )


def make_checkpoint() -> None:
    """Make a checkpoint: the next change of each page puts the whole page into the log."""
    query("CHECKPOINT")


@contextmanager
def no_page_images() -> Iterator[None]:
    """Leave whole pages out of the log: what it is long after a checkpoint."""
    set_page_images("off")
    try:
        yield
    finally:
        set_page_images("on")


def set_page_images(value: str) -> None:
    """Switch whole pages in the log on or off, and wait until it has happened."""
    query(f"ALTER SYSTEM SET full_page_writes = {value}")
    query("SELECT pg_reload_conf()")
    query("SELECT pg_sleep(0.5)")


def measure_tables(prefix: str) -> int:
    """Return the bytes of all tables of a prefix, with their indexes and large values."""
    return query(
        "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class"
        " WHERE relkind = 'r' AND starts_with(relname, %s)",
        prefix,
    )
