"""Which services there are, for every run of the tests.

``DATABASE_URL`` is the run's database, SQLite by default. Some tests use further services beside
it: ``TEST_POSTGRES_URL``, ``TEST_MYSQL_URL``, ``TEST_RABBITMQ_URL`` and ``TEST_REDIS_URL``, as tox
sets them. A test that needs one which does not answer is left out. With ``REQUIRE_SERVICES=1`` it
fails.
"""

from __future__ import annotations

import hashlib
import os

import environ
import kombu
import pymysql
import pytest

try:
    import psycopg
except ImportError:  # Python 3.7
    import psycopg2 as psycopg

ROOT = os.path.dirname(os.path.abspath(__file__))
SERVERS = ["TEST_POSTGRES_URL", "TEST_MYSQL_URL", "TEST_RABBITMQ_URL", "TEST_REDIS_URL"]
ARE_REQUIRED = os.environ.get("REQUIRE_SERVICES", "") not in ("", "0")
PATIENCE = 3  # seconds: how long a service may take to answer


def connect(url):
    """Connect to a service, once. A database of that name need not be there."""
    if url.startswith("postgres"):
        psycopg.connect(url, dbname="postgres", connect_timeout=PATIENCE).close()
    elif url.startswith("mysql"):
        found = environ.Env.db_url_config(url)
        names = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}
        options = {name: found[key] for key, name in names.items() if found[key]}
        pymysql.connect(connect_timeout=PATIENCE, read_timeout=PATIENCE, **options).close()
    elif not url.startswith("sqlite"):
        waits = ["read_timeout", "write_timeout"]
        if url.startswith("redis"):
            waits = ["socket_timeout", "socket_connect_timeout"]
        options = dict.fromkeys(waits, PATIENCE)
        with kombu.Connection(url, connect_timeout=PATIENCE, transport_options=options) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0)


def find_fault(variable):
    """Return why the service that a variable names can't be used: None if it can."""
    url = os.environ.get(variable, "")
    if not url:
        return f"{variable} is empty, or not set"
    try:
        connect(url)
    except Exception as error:
        return f"{type(error).__name__}: {error}".strip().splitlines()[0]
    return None


# At once: the tests read the environment when they are imported.
FAULTS = {variable: find_fault(variable) for variable in SERVERS}
DATABASE_FAULT = find_fault("DATABASE_URL") if "DATABASE_URL" in os.environ else None
for variable in SERVERS:
    if FAULTS[variable]:
        os.environ[variable] = ""
# pytest-django names its test databases by it: no other checkout shall have the same.
CHECKOUT = hashlib.sha256(ROOT.encode()).hexdigest()[:8]
os.environ["TOX_PARALLEL_ENV"] = os.environ.get("TOX_PARALLEL_ENV", "") + "_" + CHECKOUT


def pytest_report_header():
    """Say which services can be used."""
    return [f"{variable}: {FAULTS[variable] or 'answers'}" for variable in SERVERS]


def pytest_sessionstart():
    """End a run at once that has no database."""
    if DATABASE_FAULT:
        reason = f"All tests are left out: {DATABASE_FAULT}"
        pytest.exit(reason, returncode=int(ARE_REQUIRED))


def pytest_collection_modifyitems(config, items):
    """Run what needs no database on SQLite alone: once is enough."""
    if not os.environ.get("DATABASE_URL", "").startswith(("postgres", "mysql")):
        return
    others = [item for item in items if not needs_database(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if needs_database(item)]


def needs_database(item):
    """Return whether a test asks for the database, and has anything to find out on a second one."""
    if item.get_closest_marker("once") or item.get_closest_marker("long"):
        return False
    fixtures = {"db", "transactional_db"} & set(item.fixturenames)
    return bool(fixtures or item.get_closest_marker("django_db"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Fail a test that would be skipped for lack of a service, if services are required."""
    outcome = yield
    report = outcome.get_result()
    if ARE_REQUIRED and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        if reason.startswith("Skipped: needs "):
            report.outcome = "failed"
            report.longrepr = f"REQUIRE_SERVICES is set. {reason}"
