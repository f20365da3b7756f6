"""The stage: PostgreSQL, Redis, the web server, a worker; orders, webhooks and messages."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, ContextManager

import django
import redis
from django.core.management import call_command
from processes import QUICK, Process, accepts, find_port, shop_environment

from . import ROOT
from .generator import Answers, Generator, Task
from .meters import query
from .programs import Program, sweep
from .servers import start_postgres, start_redis

#: Messages are sent to the one, and taken from the other: in between they are counted.
QUEUE = "benchmark"
WORKER_QUEUE = "benchmark-worker"
SERVER_OPTIONS = "--workers 2 --threads 4 --keep-alive 75 --timeout 300 --log-level warning"
PATIENCE = 120  # seconds that a batch of events may take


class Stage:
    """The shop's processes, and what the programs do with them."""

    def __init__(self, env: dict[str, str], postgres: Process, broker: Process) -> None:
        self.env = env
        self.postgres = postgres
        self.broker = broker
        self.redis = redis.Redis.from_url(broker.url)
        self.server: Any = None
        self.generator: Any = None

    @contextmanager
    def serve(self) -> Iterator[Process]:
        """Start the web server, and the generator of webhooks."""
        port = find_port()
        command = [sys.executable, "-m", "gunicorn", "testproject.wsgi"]
        command += ["--bind", f"127.0.0.1:{port}"]
        with Process("server", command, self.env) as server, Generator() as generator:
            server.base_url = f"http://127.0.0.1:{port}"
            server.wait_until(lambda: accepts(port))
            self.server = server
            self.generator = generator
            yield server

    @contextmanager
    def work(self) -> Iterator[Process]:
        """Start a worker with two processes. It gets nothing before it is handed over."""
        env = dict(self.env, CELERY_QUEUE=WORKER_QUEUE)
        command = [sys.executable, "-m", "celery", "-A", "testproject", "worker"]
        command += ["--concurrency", "2", "--loglevel", "WARNING"]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        with Process("worker", command, env) as worker:
            yield worker

    def prepare(self, program: Program, count: int, clients: int = 8) -> None:
        """Create orders, and write a webhook for each."""
        prefix = uuid.uuid4().hex[:8] + "-"
        create_orders(prefix, count)
        self.generator.prepare(Task(self.server.base_url, program.path, prefix, count, clients))

    def post(self) -> Answers:
        """Post the webhooks that were prepared."""
        return self.generator.post()

    # ---- the messages

    def store(self, program: Program, count: int) -> None:
        """Store events that are due, whose messages wait to be handed over."""
        self.prepare(program, count)
        self.post()
        self.settle()
        if program.sweeps:
            self.purge()
            sweep()

    def settle(self) -> None:
        """Wait until everything that is to be sent has been sent."""
        length = -1
        while length != self.count_messages():
            length = self.count_messages()
            time.sleep(0.3)

    def count_messages(self) -> int:
        """Return how many messages wait to be handed over."""
        return self.redis.llen(QUEUE)

    def purge(self) -> None:
        """Drop the messages that wait to be handed over."""
        self.redis.delete(QUEUE)

    def hand_over(self) -> None:
        """Give the worker all messages at once."""
        if self.count_messages():
            self.redis.rename(QUEUE, WORKER_QUEUE)

    def count_at_hand(self) -> int:
        """Return how many messages the worker has, in its queue or in its memory."""
        return self.redis.llen(WORKER_QUEUE) + self.redis.hlen("unacked")


def wait_for(condition: Callable[[], bool], interval: float = 0.02) -> bool:
    """Wait until something is true. Returns whether it has become so in time."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(interval)
    return True


def count_unfinished(program: Program, after: int = 0) -> int:
    """Return how many events are still to be processed, of those with a larger key than one."""
    return query(
        f"SELECT count(*) FROM {program.table} WHERE id > %s AND {program.unfinished}", after
    )


def find_newest(program: Program) -> int:
    """Return the key of the newest event."""
    return query(f"SELECT coalesce(max(id), 0) FROM {program.table}")


def create_orders(prefix: str, count: int) -> None:
    """Create orders, whose ids are the prefix and a number from 1."""
    query(
        "INSERT INTO shop_order (id, amount, currency, status)"
        " SELECT %s || n, 10, 'EUR', 'new' FROM generate_series(1, %s) AS n",
        prefix,
        count,
    )


@contextmanager
def set_stage(database: str = "", **overrides: str) -> Iterator[Stage]:
    """Start the servers, and make the tables. Everything is gone at the end.

    ``database`` is the URL of one to use instead of a new PostgreSQL, and to leave as it is then.
    ``overrides`` are environment variables of the shop.
    """
    # A program that is ended ends what it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = tempfile.mkdtemp(prefix="benchmark-")
    # PostgreSQL runs as another user if this is root.
    os.chmod(folder, 0o711)
    try:
        with find_database(folder, database) as postgres, start_redis(folder) as broker:
            services = {"DATABASE_URL": postgres.url, "CELERY_BROKER_URL": broker.url}
            env = read_environment(folder, **services, **overrides)
            set_up(env)
            yield Stage(env, postgres, broker)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_database(folder: str, url: str) -> ContextManager[Any]:
    """Return what has the ``url`` of a database: a new PostgreSQL if none is given."""
    return nullcontext(SimpleNamespace(url=url)) if url else start_postgres(folder)


def read_environment(folder: str, **overrides: str) -> dict[str, str]:
    """Return the environment of the shop's processes, with the app's own defaults for all times."""
    values: dict[str, Any] = dict.fromkeys(QUICK)
    values["CELERY_QUEUE"] = QUEUE
    values["LOG_LEVEL"] = "WARNING"
    values["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    values["GUNICORN_CMD_ARGS"] = SERVER_OPTIONS
    values.update(overrides)
    env = shop_environment(folder, **values)
    folders = [env["PYTHONPATH"], os.path.join(ROOT, "testproject"), ROOT]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
    return env


def set_up(env: dict[str, str]) -> None:
    """Make this process one of the shop's, and its tables."""
    os.environ.update(env)
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
