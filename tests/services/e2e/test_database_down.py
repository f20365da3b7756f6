"""The database is away, read-only, full or locked: 503 and ``Retry-After``, and all is well again
without a restart.

PostgreSQL and MariaDB are behind a proxy that can cut a connection as it stores an event. No worker
runs.
"""

import os
import threading
import time
from contextlib import ExitStack, closing, contextmanager

import pytest
from processes import manage, shop_environment, start_server, wait_until

from .conftest import NAMES
from .sockets import PATIENCE, Proxy, exchange, make_request
from .stacks import Database, silent_listener

TABLE = "payment_webhooks_event"
DATABASES = {"postgresql": "TEST_POSTGRES_URL", "mariadb": "TEST_MYSQL_URL"}
PORTS = {"mysql": 3306, "postgres": 5432}
LONGEST = 20  # seconds: how long a refusal may take


class Stage:
    """A web server and its database, seen from both sides."""

    def __init__(self, server, database, proxy=None):
        self.server, self.database, self.proxy = server, database, proxy

    def post(self, event):
        """Post an event. Returns the status, and what the answer says: the word of a 200, the
        sentence of others.
        """
        started = time.monotonic()
        reply = exchange(self.server.port, make_request(event))
        assert time.monotonic() - started < LONGEST
        assert reply.headers["content-type"] == "application/json", reply
        if reply.status == 503:
            assert int(reply.headers["retry-after"]) > 0
        for word in (b"accepted", b"duplicate", b"is not stored"):
            if word in reply.body:
                return reply.status, word.decode()
        raise AssertionError(reply)

    def rows(self):
        """Return the ids of the events that are stored."""
        return sorted(
            row[0] for row in self.database.execute("SELECT provider_event_id FROM " + TABLE)
        )


UNAVAILABLE = (503, "is not stored")
ACCEPTED = (200, "accepted")
DUPLICATE = (200, "duplicate")


def make_body(event_id, size=0):
    """Return the body of a webhook."""
    return (
        '{"event_id": "%s", "type": "charge.succeeded", "note": "%s"}' % (event_id, "x" * size)
    ).encode()


@pytest.fixture(scope="module", params=list(DATABASES))
def server_of_database(request, tmp_path_factory):
    """A web server that reaches its database through a proxy; one server for all tests of a
    database.
    """
    url = os.environ.get(DATABASES[request.param])
    if not url:
        pytest.skip("needs " + NAMES[DATABASES[request.param]])
    folder = str(tmp_path_factory.mktemp("shop"))
    with ExitStack() as stack:
        database = Database(url, folder)
        stack.callback(database.drop)
        # So few threads, each with a connection of its own, that one can know that all of them have
        # been asked.
        env = shop_environment(
            folder, DATABASE_URL=database.url, GUNICORN_CMD_ARGS="--workers 2 --threads 2"
        )
        manage(env, "migrate")
        parts = database.parts
        proxy = stack.enter_context(Proxy(parts.hostname, parts.port or PORTS[parts.scheme]))
        netloc = "%s@127.0.0.1:%d" % (parts.netloc.rpartition("@")[0], proxy.port)
        # Without encryption the proxy can read what passes.
        query = "" if database.is_mysql else "sslmode=disable"
        env["DATABASE_URL"] = parts._replace(
            netloc=netloc, path="/" + database.name, query=query
        ).geturl()
        yield Stage(stack.enter_context(start_server(env)), database, proxy)


@pytest.fixture
def stage(server_of_database):
    """The server and its database, which are well before and after each test, and the server never
    restarted.
    """
    stage = server_of_database
    assert stage.post(make_body("evt_well"))[0] == 200
    children = stage.server.children()
    yield stage
    assert stage.post(make_body("evt_well")) == DUPLICATE
    assert stage.server.children() == children
    assert "Traceback" not in stage.server.output()


def check_outage(stage, name):
    """Check that a new event is refused for now, whether or not it can be understood, and return
    it.
    """
    body = make_body("evt_" + name)
    assert [stage.post(body), stage.post(body), stage.post(b"not JSON " + body)] == [
        UNAVAILABLE
    ] * 3
    return body


def check_recovery(stage, body):
    """Check that the event is accepted as soon as the database can store it, and stored once."""
    before = stage.rows()
    assert [stage.post(body), stage.post(body)] == [ACCEPTED, DUPLICATE]
    assert len(stage.rows()) == len(before) + 1


def notice_ended_connections(stage):
    """Let each thread of the server notice that its connection was ended: it answers 503 once."""
    wait_until(
        lambda: {stage.post(make_body("evt_well")) for _ in range(50)} == {DUPLICATE}, PATIENCE
    )


def test_database_that_refuses_connections_gives_503_until_it_is_back(stage):
    stage.proxy.refuse()
    try:
        body = check_outage(stage, "refused")
    finally:
        stage.proxy.listen()
    notice_ended_connections(stage)
    check_recovery(stage, body)


@pytest.mark.parametrize("server_of_database", ["postgresql"], indirect=True)
def test_database_that_is_read_only_gives_503_and_still_knows_duplicates(stage):
    """MariaDB is read-only as a whole or not at all: see its error 1290 in the next test."""
    change = "ALTER DATABASE %s %%s default_transaction_read_only %%s" % stage.database.name
    stage.database.execute(change % ("SET", "= on"), anywhere=True)
    try:
        stage.database.end_connections()
        notice_ended_connections(stage)
        body = check_outage(stage, "read_only")
    finally:
        stage.database.execute(change % ("RESET", ""), anywhere=True)
        stage.database.end_connections()
    notice_ended_connections(stage)
    check_recovery(stage, body)


# What a server says, by the name of the fault. It is said by a trigger, as a test can't fill the
# server's disk, or make all of it read-only.
ERRORS = {
    "full": {"postgres": "53100", "mysql": "1021"},
    "full_table": {"postgres": "53400", "mysql": "1114"},
    "read_only_server": {"postgres": "25006", "mysql": "1290"},
    "failing_over": {"postgres": "57P01", "mysql": "1053"},
    "too_many_locks": {"postgres": "55P03", "mysql": "1205"},
    "endless_deadlocks": {"postgres": "40P01", "mysql": "1213"},
    "not_allowed": {"postgres": "42501", "mysql": "1142"},
}


@contextmanager
def failing_inserts(database, code):
    """Let every INSERT of an event fail with an error of the database."""
    if database.is_mysql:
        signal = "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = %s, MESSAGE_TEXT = 'for a test'" % code
        database.execute(
            "CREATE TRIGGER fails BEFORE INSERT ON %s FOR EACH ROW %s" % (TABLE, signal)
        )
    else:
        function = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s END $$"
        database.execute(function % ("RAISE EXCEPTION 'for a test' USING ERRCODE = '%s';" % code))
        database.execute(
            "CREATE TRIGGER fails BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION fail()" % TABLE
        )
    try:
        yield
    finally:
        database.execute("DROP TRIGGER fails" + ("" if database.is_mysql else " ON " + TABLE))
        if not database.is_mysql:
            database.execute("DROP FUNCTION fail()")


@pytest.mark.parametrize("fault", ERRORS)
def test_database_that_is_full_or_read_only_gives_503_until_it_is_not(stage, fault):
    with failing_inserts(stage.database, ERRORS[fault][stage.database.parts.scheme]):
        body = check_outage(stage, fault)
        assert stage.post(make_body("evt_well")) == DUPLICATE
    check_recovery(stage, body)


@pytest.mark.parametrize("cut", ["before", "after"])
def test_connection_that_dies_as_an_event_is_stored_gives_503_and_the_next_delivery_is_stored_once(
    stage, cut
):
    body = make_body("evt_cut_" + cut)
    stage.proxy.cut = cut

    assert stage.post(body) == UNAVAILABLE
    assert stage.proxy.cut is None  # it has happened
    assert ("evt_cut_" + cut in stage.rows()) == (cut == "after")

    assert stage.post(body) == (DUPLICATE if cut == "after" else ACCEPTED)
    assert stage.post(body) == DUPLICATE
    assert stage.rows().count("evt_cut_" + cut) == 1


def test_database_that_is_silent_gives_503_after_the_timeout_for_connecting(tmp_path):
    """On PostgreSQL. PyMySQL bounds the connection only, not what the server should say then."""
    with silent_listener() as port:
        url = "postgres://nobody@127.0.0.1:%d/nowhere?connect_timeout=2" % port
        with start_server(shop_environment(str(tmp_path), DATABASE_URL=url)) as server:
            assert Stage(server, None).post(make_body("evt_silent")) == UNAVAILABLE


# ---- SQLite

SETTINGS = """
from django.db.backends.signals import connection_created
from testproject.settings import *
DATABASES["default"]["CONN_MAX_AGE"] = 0
OPTIONS["timeout"] = %(timeout)r

def bound_the_disk(connection, **_):
    if os.path.exists(os.path.join(VAR_DIR, "full")):
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA max_page_count = 1")

connection_created.connect(bound_the_disk)
"""


@contextmanager
def start_on_sqlite(folder, timeout):
    """Start a server on SQLite that waits so long for a lock, and whose disk is full if there is a
    file ``full``.
    """
    with open(os.path.join(folder, "bounded_settings.py"), "w") as file:
        file.write(SETTINGS % {"timeout": timeout})
    env = shop_environment(folder, DJANGO_SETTINGS_MODULE="bounded_settings")
    env["PYTHONPATH"] = folder + os.pathsep + env["PYTHONPATH"]
    manage(env, "migrate")
    with start_server(env) as server:
        yield Stage(server, Database("", folder))
        assert "Traceback" not in server.output()


def test_full_disk_of_sqlite_gives_503_until_there_is_room(tmp_path):
    with start_on_sqlite(str(tmp_path), 20) as stage:
        assert stage.post(make_body("evt_well")) == ACCEPTED
        (tmp_path / "full").touch()
        body = make_body("evt_full", size=100000)
        assert [stage.post(body), stage.post(body)] == [UNAVAILABLE] * 2
        assert stage.post(make_body("evt_well")) == DUPLICATE
        (tmp_path / "full").unlink()
        check_recovery(stage, body)


@contextmanager
def locked(database):
    """Hold SQLite's lock."""
    with closing(database.connect()) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_lock_of_sqlite_that_is_held_for_three_seconds_is_waited_for(tmp_path):
    with start_on_sqlite(str(tmp_path), 20) as stage:
        answers = []
        post = threading.Thread(target=lambda: answers.append(stage.post(make_body("evt_locked"))))
        with locked(stage.database):
            post.start()
            time.sleep(3)
            assert answers == []
        post.join(PATIENCE)
        assert answers == [ACCEPTED]


def test_lock_of_sqlite_that_is_held_for_too_long_gives_503_until_it_is_free(tmp_path):
    with start_on_sqlite(str(tmp_path), 0.5) as stage:
        body = make_body("evt_locked")
        with locked(stage.database):
            assert stage.post(body) == UNAVAILABLE
        check_recovery(stage, body)
