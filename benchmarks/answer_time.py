"""How long the answer to a webhook takes while a worker is at work, beside the least that an endpoint can do.

::

    python -m benchmarks.answer_time [--requests 1000] [--clients 2]

A real server (gunicorn), a real worker and a real broker. Clients post to the app's view and to ``baseline.py`` in
turn, over connections that they keep open, so that both see the same machine. Every webhook brings a new event for an
order of its own, which the worker applies in the meantime.

The stacks are SQLite with the embedded broker, and PostgreSQL with RabbitMQ if ``TEST_POSTGRES_URL`` and
``TEST_RABBITMQ_URL`` say where they are. The database is created and dropped.
"""

import argparse
import http.client
import importlib.util
import json
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import kombu
from processes import (
    PATH,
    make_event,
    manage,
    shop_environment,
    shop_state,
    sign,
    start_server,
    start_worker,
)

from . import ROOT

VIEWS = {"baseline": "/baseline", "webhook": PATH}
WARM_UP = 50  # requests of each client that are not counted


def say(text):
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def create_database(url):
    """Create a PostgreSQL database. Gives its address, and drops it at the end."""
    parts, name = urlsplit(url), "benchmark_" + uuid.uuid4().hex[:12]
    driver = __import__("psycopg" if importlib.util.find_spec("psycopg") else "psycopg2")

    def execute(statement):
        place = {
            "host": parts.hostname,
            "port": parts.port,
            "user": parts.username,
            "password": parts.password,
        }
        place = {name: value for name, value in place.items() if value}
        with closing(driver.connect(dbname="postgres", **place)) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)

    execute("CREATE DATABASE " + name)
    try:
        yield parts._replace(path="/" + name).geturl()
    finally:
        execute("DROP DATABASE %s WITH (FORCE)" % name)


@contextmanager
def stacks():
    """Give the stacks that can be measured: names, each with the environment variables that make it."""
    postgres, rabbitmq = os.environ.get("TEST_POSTGRES_URL"), os.environ.get("TEST_RABBITMQ_URL")
    found = {"SQLite, embedded broker": {}}
    if not postgres or not rabbitmq:
        say(
            "Without TEST_POSTGRES_URL and TEST_RABBITMQ_URL, PostgreSQL with RabbitMQ is left out."
        )
        yield found
    else:
        with create_database(postgres) as url:
            found["PostgreSQL, RabbitMQ"] = {"DATABASE_URL": url, "CELERY_BROKER_URL": rabbitmq}
            yield found


def delete_queue(url, name):
    """Delete what the shop has left at the broker."""
    with kombu.Connection(url) as connection, closing(connection.SimpleQueue(name)) as queue:
        queue.queue.delete()
        queue.queue.exchange.delete()


def cpu_seconds(*processes):
    """Return the processor time that processes and their children have used. Linux only."""
    ticks = 0
    for pid in [pid for process in processes for pid in [process.pid, *process.children()]]:
        with open("/proc/%d/stat" % pid) as file:
            ticks += sum(int(field) for field in file.read().rpartition(")")[2].split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def post_in_turn(base_url, orders):
    """Post to each view about each order, on one connection. Returns the seconds that each answer took, by view."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=30)
    seconds = {view: [] for view in VIEWS}
    for order in orders:
        for view in random.sample(sorted(VIEWS), len(VIEWS)):
            body = json.dumps(
                make_event("charge.succeeded", order, charge_id="ch_" + order)
            ).encode()
            headers = {"Content-Type": "application/json", "X-Signature": sign(body)}
            started = time.perf_counter()
            connection.request("POST", VIEWS[view], body, headers)
            response = connection.getresponse()
            response.read()
            seconds[view].append(time.perf_counter() - started)
            if response.status != 200:
                sys.exit("The %s was answered with %d." % (view, response.status))
    connection.close()
    return {view: values[WARM_UP:] for view, values in seconds.items()}


def count_processed(env):
    """Return how many events are processed."""
    return sum(event["status"] == "processed" for event in shop_state(env)["events"])


def measure(env, requests, clients):
    """Return the seconds of each answer by view, and the worker's share in the time."""
    manage(env, "migrate")
    manage(env, "shell", "-c", "from benchmarks.baseline import create_table; create_table()")
    count = requests // clients + WARM_UP
    manage(env, "create_orders", "--count", str(count * clients), "--prefix", "b")
    shares = [
        ["b%d" % (client * count + number + 1) for number in range(count)]
        for client in range(clients)
    ]
    with start_server(env) as server, start_worker(env) as worker:
        used, started = cpu_seconds(worker), time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            results = list(pool.map(lambda orders: post_in_turn(server.base_url, orders), shares))
        elapsed = time.perf_counter() - started
        used = (cpu_seconds(worker) - used) / elapsed
        processed = count_processed(env)
    seconds = {view: sum((result[view] for result in results), []) for view in VIEWS}
    return (
        seconds,
        "%d webhooks in %.0f s; the worker processed %d of them meanwhile, with %.0f %% of a core"
        % (
            count * clients,
            elapsed,
            processed,
            used * 100,
        ),
    )


def main():
    """Measure every stack, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--requests",
        type=int,
        default=1000,
        help="how many are counted for each view (default: 1000)",
    )
    parser.add_argument(
        "--clients", type=int, default=2, help="how many post at the same time (default: 2)"
    )
    options = parser.parse_args()
    line = "| %-23s | %-8s | %11s | %8s | %15s | %12s |"
    table = [
        line % ("stack", "view", "median [ms]", "p95 [ms]", "ratio of medians", "ratio of p95")
    ]
    table.append(line % ("---", "---", "---:", "---:", "---:", "---:"))
    with stacks() as found:
        for name, urls in found.items():
            with tempfile.TemporaryDirectory() as folder:
                env = shop_environment(
                    folder, CELERY_QUEUE="benchmark_" + uuid.uuid4().hex[:12], **urls
                )
                env.update(DJANGO_SETTINGS_MODULE="benchmarks.baseline_settings")
                env["PYTHONPATH"] = os.pathsep.join(
                    [env["PYTHONPATH"], os.path.join(ROOT, "testproject"), ROOT]
                )
                try:
                    seconds, remark = measure(env, options.requests, options.clients)
                finally:
                    if urls:
                        delete_queue(urls["CELERY_BROKER_URL"], env["CELERY_QUEUE"])
            say("%s: %s." % (name, remark))
            median = {view: statistics.median(values) * 1000 for view, values in seconds.items()}
            p95 = {
                view: sorted(values)[int(len(values) * 0.95)] * 1000
                for view, values in seconds.items()
            }
            for view in VIEWS:
                ratios = [
                    "%.2f" % (numbers[view] / numbers["baseline"]) for numbers in (median, p95)
                ]
                table.append(
                    line % (name, view, "%.1f" % median[view], "%.1f" % p95[view], *ratios)
                )
    say("\n" + "\n".join(table))


if __name__ == "__main__":
    main()
