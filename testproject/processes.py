"""The shop's processes, for the demo and for tests: web server, Celery worker and warehouse.

::

    env = shop_environment(folder)
    manage(env, "migrate")
    manage(env, "create_orders", "A1")
    with start_downstream(env) as warehouse:
        env["DOWNSTREAM_URL"] = warehouse.base_url
        with start_server(env) as server, start_worker(env) as worker:
            event = make_event("charge.succeeded", "A1")
            assert post_webhook(server.base_url, event).status == 200
            wait_until(lambda: read_status(env, event) == "processed")

All of them are real. What is still running at the end of the Python process is killed. Unix only.
"""

import atexit
import glob
import hashlib
import hmac
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timezone
from typing import NamedTuple
from urllib.parse import urlsplit

from downstream import Control

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(FOLDER)
SECRET = "the shared secret of the demo and the tests"
TIMED_SECRET = "the shared secret of the partner who signs the time"
PATH = "/v1/webhooks/payment"
LONGEST_PAUSE = 0.25

#: Everything happens in seconds, not in minutes. A lease must be longer than a call of the
#: warehouse.
QUICK = {
    "DOWNSTREAM_TIMEOUT": 2,
    "PAYMENT_WEBHOOKS_PUBLISH_PAUSE": 0.5,
    "PAYMENT_WEBHOOKS_SWEEP_INTERVAL": 0.5,
    "PAYMENT_WEBHOOKS_SWEEP_GRACE": 1,
    "PAYMENT_WEBHOOKS_SWEEP_CEILING": 2,
    "PAYMENT_WEBHOOKS_LEASE": 3,
    "PAYMENT_WEBHOOKS_WAIT_DEADLINE": 60,
    "PAYMENT_WEBHOOKS_BACKOFF_BASE": 0.2,
    "PAYMENT_WEBHOOKS_BACKOFF_CEILING": 2,
    "PAYMENT_WEBHOOKS_MAX_ATTEMPTS": 8,
}


def read_file(path):
    """Return the text of a file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def shop_environment(var_dir, **overrides):
    """Return the environment of the shop's processes: a dict of texts, ready to be changed.

    ``var_dir`` is the folder for the SQLite file, the queue and the logs; two shops must not share
    it. ``overrides`` are environment variables by their names, for example
    ``DATABASE_URL="postgres://..."``; None leaves one out. Every variable of ``.env.example`` that
    the caller's own environment has is left out, and timing is ``QUICK``.
    """
    example = read_file(os.path.join(FOLDER, ".env.example"))
    names = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    # They talk only to this machine, so a proxy would only be in the way.
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in names and "_proxy" not in name.lower()
    }
    # The processes import what this one imports, from wherever they are started.
    folders = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    folders = [os.path.abspath(folder) for folder in folders]
    if ROOT in map(os.path.abspath, sys.path):
        folders.append(ROOT)
    values = dict(QUICK, VAR_DIR=var_dir, ENV_FILE=os.devnull, SECRET_KEY=uuid.uuid4().hex)
    values.update(
        PAYMENT_WEBHOOKS_SECRETS=SECRET,
        PAYMENT_WEBHOOKS_SECRETS_TIMED=TIMED_SECRET,
        PYTHONPATH=os.pathsep.join(folders),
        PYTHONUNBUFFERED=1,
    )
    values.update(overrides)
    env.update((name, str(value)) for name, value in values.items() if value is not None)
    return env


def manage(env, *arguments):
    """Run a command of ``manage.py``. Returns what it prints, or raises ``RuntimeError``."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=FOLDER, env=env, capture_output=True)
    if done.returncode:
        error = done.stderr.decode(errors="replace")
        raise RuntimeError(f"manage.py {' '.join(arguments)} failed: {error}")
    return done.stdout.decode()


def shop_state(env):
    """Return what the command ``shop_state`` prints."""
    return json.loads(manage(env, "shop_state"))


def read_status(env, event):
    """Return the status of an event that :func:`make_event` made, or None if it is not stored."""
    statuses = {row["provider_event_id"]: row["status"] for row in shop_state(env)["events"]}
    return statuses.get(event["event_id"])


def wait_until(condition, timeout=20, interval=0.1):
    """Call ``condition`` until it returns something true, and return that.

    ``interval`` is the first pause in seconds. They grow, as to ask takes what is waited for its
    time: a question to a database is a connection. Raises ``TimeoutError`` after ``timeout``
    seconds.
    """
    end, longest = time.monotonic() + timeout, max(interval, LONGEST_PAUSE)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise TimeoutError(f"It did not happen within {timeout} seconds.")
        time.sleep(interval)
        interval = min(2 * interval, longest)


class Process:
    """A running process of the shop, with all its children.

    As a context manager it is stopped at the end. ``base_url`` is the address of a server or a
    warehouse, without a slash at the end of a server's. ``control``, a :class:`downstream.Control`,
    makes a warehouse misbehave. ``log`` is the path of the file with its output.
    """

    base_url = None
    control = None
    running = []
    counter = itertools.count(1)

    def __init__(self, name, command, env):
        folder = os.path.join(env["VAR_DIR"], "logs")
        os.makedirs(folder, exist_ok=True)
        self.log = os.path.join(folder, f"{name}-{next(self.counter)}.log")
        with open(self.log, "wb") as file:
            options = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT}
            # A group of its own: it can be killed as a whole, and Ctrl-C is not for it.
            self.popen = subprocess.Popen(
                command, cwd=FOLDER, env=env, start_new_session=True, **options
            )
        self.running.append(self)

    @property
    def pid(self):
        """The id of the main process, and of the process group."""
        return self.popen.pid

    def is_running(self):
        """Return whether the main process lives."""
        return self.popen.poll() is None

    def output(self):
        """Return what it has printed."""
        return read_file(self.log)

    def children(self):
        """Return the ids of the direct children, such as those of a worker's pool. Linux only."""
        paths = glob.glob(f"/proc/{self.pid}/task/*/children")
        return [int(pid) for path in paths for pid in read_file(path).split()]

    def kill_children(self):
        """Kill the direct children with SIGKILL, and return their ids. Linux only.

        The main process lives on, and replaces them after a moment. On the embedded broker it does
        so only for a child that is at work: start the worker with ``concurrency=1``.
        """
        killed = self.children()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        return killed

    def kill(self):
        """Kill it and its children with SIGKILL, so that none of them can finish anything."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # none is left
        self.popen.wait()
        if self in self.running:
            self.running.remove(self)

    def stop(self, timeout=10):
        """Ask it to end with SIGTERM, and kill what is left of it after ``timeout`` seconds."""
        self.popen.terminate()
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def wait_until(self, is_ready, timeout=30):
        """Wait until it is ready, and return it.

        Raises ``RuntimeError`` with its output if it ends or hangs.
        """
        with suppress(TimeoutError):
            wait_until(lambda: is_ready() or not self.is_running(), timeout, interval=0.05)
            if self.is_running():
                return self
        state = "is not ready" if self.is_running() else "has ended"
        self.kill()
        raise RuntimeError(f"{self.log} {state}:\n{self.output()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@atexit.register
def kill_all():
    """Kill all processes that were started and not stopped."""
    for process in list(Process.running):
        process.kill()


def find_port():
    """Return a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def accepts(port):
    """Return whether a server listens at a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def start_server(env, port=None):
    """Start the web server, and return it once it listens.

    Give the ``port`` of a killed server to start it again at the same address.
    """
    port = port or find_port()
    address = f"127.0.0.1:{port}"
    command = ["-m", "gunicorn", "testproject.wsgi", "--bind", address]
    server = Process("server", [sys.executable, *command], env)
    server.base_url = f"http://{address}"
    server.port = port
    return server.wait_until(lambda: accepts(port))


def start_worker(env, concurrency=2, name="worker"):
    """Start a Celery worker with ``concurrency`` children, and return it once it takes events.

    ``name`` is what its log is called. The embedded broker is good for one worker at a time.
    """
    command = f"-m celery -A testproject worker --loglevel INFO --concurrency {concurrency}"
    # A name that nobody has had at this broker: it locks the queue of a name, for a while after a
    # death, too.
    hostname = f"{name}-{uuid.uuid4().hex[:8]}@%h"
    command += f" --hostname {hostname} --without-gossip --without-mingle"
    worker = Process(name, [sys.executable, *command.split()], env)
    return worker.wait_until(lambda: " ready." in worker.output())


def start_downstream(env, port=0):
    """Start the warehouse, and return it.

    Give its ``base_url`` to the others as ``DOWNSTREAM_URL``.
    """
    downstream = Process("downstream", [sys.executable, "downstream.py", "--port", str(port)], env)
    downstream.wait_until(lambda: downstream.output().endswith("\n"))
    downstream.base_url = downstream.output().strip()
    downstream.control = Control(downstream.base_url)
    return downstream


def make_event(event_type, order_id, event_id=None, **data):
    """Return an event as the default provider sends it. ``data`` adds to what it says.

    Written and signed here, not by the app's own test kit: what is outside of the shop must not
    share its mistakes.
    """
    event = {"event_id": event_id or "evt_" + uuid.uuid4().hex[:12], "type": event_type}
    event["created_at"] = datetime.now(timezone.utc).isoformat()
    event["data"] = dict({"order_id": order_id, "amount": "10.00", "currency": "EUR"}, **data)
    return event


def sign(body, secret=SECRET):
    """Return the signature of a body in bytes: the value of ``X-Signature``."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Answer(NamedTuple):
    """What a webhook was answered with, and after how many seconds."""

    status: int
    body: bytes
    seconds: float

    @property
    def data(self):
        """The JSON of the body; an empty dict if it is none."""
        try:
            return json.loads(self.body.decode())
        except ValueError:
            return {}


def post_webhook(base_url, event, secret=SECRET, path=PATH, headers=(), chunked=False, timeout=10):
    """Sign an event and post it, on a connection of its own. Returns the :class:`Answer`.

    ``event`` is a dict, or the bytes of any other body. ``headers`` are added, and replace
    ``X-Signature`` if they have it. ``chunked`` sends the body without a ``Content-Length``. Raises
    what :mod:`http.client` raises.
    """
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    sent = {"Content-Type": "application/json", "X-Signature": sign(body, secret)}
    sent.update(headers)
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=timeout)
    started = time.monotonic()
    try:
        content = iter([body]) if chunked else body
        connection.request("POST", path, content, sent, encode_chunked=chunked)
        response = connection.getresponse()
        return Answer(response.status, response.read(), time.monotonic() - started)
    finally:
        connection.close()


def post_at_once(count, *arguments, **options):
    """Call :func:`post_webhook` with the same arguments in ``count`` threads at once."""
    barrier = threading.Barrier(count)

    def post(_):
        barrier.wait()
        return post_webhook(*arguments, **options)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(post, range(count)))
