"""What the drivers of the databases raise: what passes by itself, and what does not."""

from django.db import OperationalError, ProgrammingError


def caused_by(error, **attributes):
    """Return a database error with its driver's error as the cause."""
    error.__cause__ = type("DriverError", (Exception,), attributes)()
    return error


TRANSIENT = {
    "MySQL's deadlock": lambda: OperationalError(1213, "Deadlock found when trying to get lock"),
    "MySQL's lock wait": lambda: OperationalError(1205, "Lock wait timeout exceeded"),
    "MariaDB's snapshot": lambda: OperationalError(1020, "Record has changed since last read"),
    "PyMySQL's lock wait": lambda: caused_by(
        OperationalError(1205, "Lock wait timeout exceeded"), sqlstate="HY000"
    ),
    "psycopg2's deadlock": lambda: caused_by(OperationalError("deadlock detected"), pgcode="40P01"),
    "psycopg's deadlock": lambda: caused_by(
        OperationalError("deadlock detected"), sqlstate="40P01"
    ),
    "psycopg's serialization": lambda: caused_by(
        OperationalError("could not serialize"), sqlstate="40001"
    ),
    "SQLite's lock": lambda: OperationalError("database is locked"),
    "SQLite's table lock": lambda: OperationalError("database table is locked"),
}
LASTING = {
    "MySQL went away": lambda: OperationalError(2006, "MySQL server has gone away"),
    "PostgreSQL ends": lambda: caused_by(
        OperationalError("terminating connection"), sqlstate="57P01"
    ),
    "no such table": lambda: ProgrammingError("no such table"),
    "read-only": lambda: OperationalError(1290, "running with the --read-only option"),
    "nothing said": lambda: OperationalError(),
}
