"""The shop on each broker and database, seen from outside: through its addresses, its database and
its queue.
"""

import base64
import glob
import importlib.util
import json
import os
import signal
import socket
import sqlite3
import threading
import uuid
from collections import Counter
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

import kombu
import pymysql
from amqp.exceptions import ChannelError
from processes import (
    accepts,
    make_event,
    manage,
    post_webhook,
    shop_environment,
    start_downstream,
    start_server,
    start_worker,
    wait_until,
)

PATIENCE = 60  # seconds
POSTGRES_DRIVER = "psycopg" if importlib.util.find_spec("psycopg") else "psycopg2"


class Database:
    """A database, created for one shop. Each question is asked on a connection of its own, with
    plain SQL.
    """

    def __init__(self, url, var_dir):
        self.parts = urlsplit(url)
        self.name = "e2e_" + uuid.uuid4().hex[:12]
        self.file = os.path.join(var_dir, "shop.sqlite3")
        self.is_mysql = self.parts.scheme == "mysql"
        self.url = self.parts._replace(path="/" + self.name).geturl() if url else None
        if url:
            self.execute("CREATE DATABASE " + self.name, anywhere=True)

    def connect(self, anywhere=False):
        """Return a connection that commits each statement; to a database that is always there if
        ``anywhere``.
        """
        if not self.url:
            return sqlite3.connect(self.file, timeout=20, isolation_level=None)
        parts = {"host": self.parts.hostname, "port": self.parts.port, "user": self.parts.username}
        parts = {
            name: value
            for name, value in dict(parts, password=self.parts.password).items()
            if value
        }
        if self.is_mysql:
            return pymysql.connect(
                database=None if anywhere else self.name, autocommit=True, **parts
            )
        driver = __import__(POSTGRES_DRIVER)
        connection = driver.connect(dbname="postgres" if anywhere else self.name, **parts)
        connection.autocommit = True
        return connection

    def execute(self, statement, anywhere=False):
        """Run a statement, and return its rows."""
        with closing(self.connect(anywhere)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def lock(self, order_id):
        """Hold the lock of an order's row. Not for SQLite."""
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT id FROM shop_order WHERE id = '%s' FOR UPDATE" % order_id)
            yield
            cursor.execute("ROLLBACK")

    def end_connections(self):
        """End all connections, as a restart of the server does. Not for SQLite."""
        if self.is_mysql:
            rows = self.execute(
                "SELECT id FROM information_schema.processlist WHERE db = '%s'" % self.name, True
            )
            for (key,) in rows:
                with suppress(pymysql.MySQLError):  # one that has ended by itself
                    self.execute("KILL %d" % key, anywhere=True)
        else:
            backends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'"
            self.execute(backends % self.name, anywhere=True)

    def drop(self):
        """Drop it, whoever is still connected."""
        if self.url:
            self.execute(
                "DROP DATABASE %s%s" % (self.name, "" if self.is_mysql else " WITH (FORCE)"),
                anywhere=True,
            )


class Queue:
    """The queue of one shop, between the web server and the worker."""

    def __init__(self, url, name, var_dir):
        self.url, self.name, self.folder = url, name, os.path.join(var_dir, "queue")

    @contextmanager
    def open(self):
        """Open the queue at the broker."""
        connection = kombu.Connection(self.url, connect_timeout=5)
        with connection, closing(connection.SimpleQueue(self.name)) as queue:
            yield queue

    def size(self):
        """Return how many messages are in it."""
        if not self.url:
            return len(glob.glob(os.path.join(self.folder, "*.msg")))
        try:
            with self.open() as queue:
                return queue.qsize()
        except ChannelError:
            return 0  # Redis has no empty lists

    def list_keys(self):
        """Return the keys of the events that each message names. The messages stay in it."""
        read = self.read_messages if self.url else self.read_files
        return [arguments[0] for arguments in read()]

    def read_files(self):
        """Return the arguments of each of the embedded broker's messages."""
        for path in glob.glob(os.path.join(self.folder, "*.msg")):
            try:
                with open(path) as file:
                    message = json.load(file)
            except (OSError, ValueError):
                continue  # a worker has taken it, or it is just being written
            body = json.loads(base64.b64decode(message["body"]).decode())
            yield body[0]

    def read_messages(self):
        """Return the arguments of each message of the broker."""
        messages = []
        with self.open() as queue:
            with suppress(queue.Empty):
                while True:
                    messages.append(queue.get(timeout=0.5))
            for message in messages:
                message.requeue()
        return [message.payload[0] for message in messages]

    def purge(self):
        """Lose all messages."""
        if self.url:
            with self.open() as queue:
                queue.clear()
        for path in glob.glob(os.path.join(self.folder, "*.msg")):
            with suppress(FileNotFoundError):  # a worker may have been quicker
                os.remove(path)

    def drop(self):
        """Delete it."""
        if self.url:
            with self.open() as queue:
                queue.queue.delete()
                queue.queue.exchange.delete()


class Shop:
    """The shop's processes on one broker and one database."""

    def __init__(self, var_dir, database_url, broker_url):
        self.folder, self.orders = os.path.join(var_dir, "logs"), 0
        self.database = Database(database_url, var_dir)
        self.queue = Queue(broker_url, self.database.name, var_dir)
        timing = {"PAYMENT_WEBHOOKS_MAX_ATTEMPTS": 4}
        urls = {
            "DATABASE_URL": self.database.url,
            "CELERY_BROKER_URL": broker_url,
            "CELERY_QUEUE": self.queue.name,
        }
        self.env = shop_environment(var_dir, **dict(timing, **urls))
        self.server = self.worker = self.downstream = None

    def start(self):
        """Create the tables and some orders, and start the processes."""
        manage(self.env, "migrate")
        manage(self.env, "create_orders", "--count", "100", "--prefix", "e")
        self.downstream = start_downstream(self.env)
        self.warehouse = self.downstream.control
        self.env["DOWNSTREAM_URL"] = self.downstream.base_url
        self.server = start_server(self.env)
        self.worker = start_worker(self.env)
        return self

    def stop(self):
        """End the processes, and leave nothing behind at the services."""
        for process in (self.server, self.worker, self.downstream):
            if process:
                process.kill()
        self.queue.drop()
        self.database.drop()

    @contextmanager
    def without_worker(self, is_killed=True):
        """Kill the worker, or stop it, and start another one afterwards."""
        if is_killed:
            self.worker.kill()
        else:
            self.worker.stop(timeout=3)
        try:
            yield
        finally:
            self.worker = start_worker(self.env)

    def restart_server(self):
        """Start the web server again at the same address, after it was killed."""
        wait_until(
            lambda: not accepts(self.server.port), PATIENCE
        )  # its children end a little later
        self.server = start_server(self.env, self.server.port)

    def next_order(self):
        """Return the id of an order that no other test knows."""
        self.orders += 1
        return "e%d" % self.orders

    def charge(self, order_id):
        """Return an event: the order was paid."""
        return make_event("charge.succeeded", order_id, charge_id="ch_" + order_id)

    def refund(self, order_id):
        """Return an event: some of the money went back."""
        return make_event("refund.created", order_id, refund_id="re_" + order_id, amount="1.00")

    def post(self, event, **options):
        """Post an event to the shop, and return the answer."""
        return post_webhook(self.server.base_url, event, **options)

    def events(self):
        """Return the status, the attempts and the error of each event, by the provider's id."""
        rows = self.database.execute(
            "SELECT provider_event_id, status, attempts, error "
            "FROM payment_webhooks_event ORDER BY id"
        )
        return {row[0]: row[1:] for row in rows}

    def status(self, event):
        """Return the status of an event, None if it is not stored."""
        return self.events().get(event["event_id"], [None])[0]

    def enqueue_at(self, event):
        """Return when an event is to be swept, in Unix seconds; None if it is final."""
        rows = self.database.execute(
            "SELECT enqueue_at FROM payment_webhooks_event WHERE provider_event_id = '%s'"
            % event["event_id"]
        )
        return rows[0][0]

    def wait_for(self, status, *events):
        """Wait until all these events have a status. Raises ``AssertionError``."""
        try:
            wait_until(lambda: {self.status(event) for event in events} == {status}, PATIENCE, 0.05)
        except TimeoutError:
            raise AssertionError(
                "not all of %s are %s: %s" % (events, status, self.events())
            ) from None

    def effects(self, order_id):
        """Return how often each kind of effect happened to an order."""
        rows = self.database.execute(
            "SELECT kind FROM shop_ledgerentry WHERE order_id = '%s'" % order_id
        )
        return dict(Counter(kind for (kind,) in rows))

    def calls(self, order_id):
        """Return the calls about an order that the warehouse had."""
        return self.warehouse.history(order_id)

    def kill_child_at_work(self):
        """Kill the worker's child that is connected to the warehouse, and leave the others and
        their parent alone.
        """
        port = ":%04X" % urlsplit(self.downstream.base_url).port
        with open("/proc/net/tcp") as file:
            rows = [line.split() for line in file]
        sockets = {"socket:[%s]" % row[9] for row in rows if row[2].endswith(port)}
        for pid in self.worker.children():
            if sockets & {os.readlink(link) for link in glob.glob("/proc/%d/fd/*" % pid)}:
                return os.kill(pid, signal.SIGKILL)
        raise AssertionError("no child of the worker is connected to the warehouse")

    def logs(self):
        """Return the end of each process's log, by its name."""
        logs = {}
        for path in sorted(glob.glob(os.path.join(self.folder, "*.log"))):
            with open(path, errors="replace") as file:
                logs[os.path.basename(path)] = "".join(file.readlines()[-60:])
        return logs


@contextmanager
def silent_listener():
    """Listen at a port, accept everybody, read nothing and say nothing. Gives the port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        accepted = []

        def accept():
            while True:
                try:
                    accepted.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        for client in accepted:
            client.close()
