"""The fault campaign: ``python3 dev.py faults``.

It starts the shop, sends it thousands of webhooks, and meanwhile kills its processes and breaks
whatever they need, at random moments from a seed that it prints. Then everything is started again,
and after a bounded quiet time an independent check reads the database. Its exit status is 1 if
anything was lost, doubled, stuck or wrong.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from processes import (
    accepts,
    kill_all,
    manage,
    shop_environment,
    start_downstream,
    start_server,
    start_worker,
    wait_until,
)

from ..services.e2e.brokers import find_port
from ..services.e2e.stacks import Database, Queue
from .attacks import Kills, Outages, Unit, under
from .audit import Audit, Finding, find_leftovers
from .brokers import BROKERS
from .story import SECRETS, write_story
from .traffic import Traffic

# The database and the broker of each shop; the database's address is in an environment variable.
PAIRS = {
    "sqlite-embedded": ("", "embedded"),
    "postgresql-rabbitmq": ("TEST_POSTGRES_URL", "rabbitmq"),
    "postgresql-redis": ("TEST_POSTGRES_URL", "redis"),
    "mariadb-rabbitmq": ("TEST_MYSQL_URL", "rabbitmq"),
    "mariadb-redis": ("TEST_MYSQL_URL", "redis"),
}
NAMES = {"TEST_POSTGRES_URL": "PostgreSQL", "TEST_MYSQL_URL": "MariaDB"}

# Seconds that an event waits for its charge: longer than faults can hold that up. The longer they
# go on, the longer, as an event that several outages in a row have hit is looked at after a gap as
# long as all of them.
MIN_DEADLINE, MAX_DEADLINE = 50, 240
PATIENCE = 60  # seconds that the shop has after that to come to rest
BACKLOG = 150  # events that are not final: no more is sent until the shop has fewer
KINDS = ("lost", "doubled", "stuck", "wrong")
SHOWN = 50  # findings of a campaign that are printed; the table counts all
TIMING = {
    "DOWNSTREAM_TIMEOUT": 1,
    "GUNICORN_CMD_ARGS": "--workers 3 --threads 4 --preload --graceful-timeout 3",
    # More than the calls that the warehouse can spoil in a row: no event may use them up by faults
    # alone.
    "PAYMENT_WEBHOOKS_MAX_ATTEMPTS": 40,
    "PAYMENT_WEBHOOKS_BACKOFF_CEILING": 0.5,
    "PAYMENT_WEBHOOKS_SWEEP_INTERVAL": 1,
    # Low enough for a short quiet time, and high enough that a backlog does not flood the queue.
    "PAYMENT_WEBHOOKS_SWEEP_CEILING": 10,
}


def find_missing(pair):
    """Return what a pair needs and this machine does not have."""
    variable, broker = PAIRS[pair]
    missing = [NAMES[variable]] if variable and not os.environ.get(variable) else []
    return missing + BROKERS[broker].find_missing()


class Shop:
    """The shop of a campaign: a server, workers, a warehouse, and a database and a broker of its
    own.
    """

    def __init__(self, pair, folder):
        variable, broker = PAIRS[pair]
        self.folder = folder
        self.broker = self.database = self.server = self.downstream = None
        self.workers = []
        secrets = {"PAYMENT_WEBHOOKS_SECRETS_TIMED": SECRETS["timed"]}
        self.env = shop_environment(folder, **dict(TIMING, **secrets))
        try:
            self.database = Database(os.environ[variable] if variable else None, folder)
            self.broker = BROKERS[broker](folder)
            self.broker.start()
            urls = {"DATABASE_URL": self.database.url, "CELERY_BROKER_URL": self.broker.url}
            self.env.update((name, url) for name, url in urls.items() if url)
            self.env["CELERY_QUEUE"] = self.database.name
            self.queue = Queue(self.broker.url, self.database.name, folder)
            manage(self.env, "migrate")
        except BaseException:
            self.stop()
            raise

    def create_orders(self, orders):
        """Put orders into the database, as the shop does when someone buys something."""
        rows = [
            "('%s', '%s', 'EUR', 'new')" % (order.id, order.amount)
            for order in orders
            if order.exists
        ]
        for start in range(0, len(rows), 500):
            values = ", ".join(rows[start : start + 500])
            self.database.execute(
                "INSERT INTO shop_order (id, amount, currency, status) VALUES " + values
            )

    def start(self):
        """Start the processes."""
        self.downstream = start_downstream(self.env)
        self.warehouse = self.downstream.control
        self.env["DOWNSTREAM_URL"] = self.downstream.base_url
        self.port = find_port()
        self.server = Unit("server", self.start_server)
        # The embedded broker is good for one worker.
        names = ["worker%d" % number for number in range(3 if self.broker.url else 1)]
        with ThreadPoolExecutor() as pool:
            self.workers = list(
                pool.map(
                    lambda name: Unit("worker", partial(start_worker, self.env, name=name)), names
                )
            )

    def start_server(self):
        """Start the web server, at the same address each time."""
        wait_until(lambda: not accepts(self.port))  # its children end a little later
        return start_server(self.env, self.port)

    def restart(self):
        """End everything and start it again."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(Unit.restart, [self.server, *self.workers]))

    def find_leftovers(self):
        """Return what has not come to its end."""
        return find_leftovers(self.database, self.queue.size())

    def count_events(self):
        """Return how many events are stored, and how many of them are final."""
        ((stored, final),) = self.database.execute(
            "SELECT COUNT(*), COUNT(finished_at) FROM payment_webhooks_event"
        )
        return stored, final

    def stop(self):
        """End the processes, and leave nothing behind."""
        for process in [self.server, *self.workers]:
            if process:
                process.stop()
        if self.broker:
            self.broker.end()
        if self.downstream:
            self.downstream.kill()
        if self.database:
            self.database.drop()


class Result(NamedTuple):
    """What a campaign has seen."""

    pair: str
    seconds: float
    answers: Counter
    kills: Counter
    faults: Counter
    restarts: list
    events: int
    findings: list

    def count(self, kind):
        """Return how many findings there are of a kind."""
        return len([finding for finding in self.findings if finding.kind == kind])


class Campaign:
    """One campaign: a shop, what is sent to it, and what is done to it."""

    def __init__(self, shop, pair, seed, seconds, tell=print, rate=None, deadline=None):
        self.shop, self.pair, self.seed, self.seconds, self.tell = shop, pair, seed, seconds, tell
        rate = rate or (15 if shop.broker.url else 8)  # deliveries per second
        self.deadline = deadline or min(max(seconds / 2, MIN_DEADLINE), MAX_DEADLINE)
        shop.env["PAYMENT_WEBHOOKS_WAIT_DEADLINE"] = str(self.deadline)
        # What ends by the deadline must have ended soon after the fire.
        slow_until = max(seconds * 0.05, seconds - self.deadline)
        generator = random.Random("story of %s" % seed)
        self.orders, self.deliveries = write_story(generator, rate * seconds, seconds, slow_until)

    def prepare(self):
        """Put the orders into the database, tell the warehouse which of them it does not want, and
        start the shop.
        """
        self.shop.create_orders(self.orders)
        self.shop.start()
        for order in self.orders:
            if order.warehouse:
                self.shop.warehouse.add_rule(order_id=order.id, status=order.warehouse, times=10**9)
        self.traffic = Traffic(self.shop.server.process.base_url, self.deliveries, self.seed)

    def run(self, with_faults=True):
        """Run it to the end, and return the result."""
        started = time.monotonic()
        self.prepare()
        kills = Kills(self.shop, self.seed, pause=0.9)
        outages = Outages(self.shop, self.traffic, self.seed, pause=0.5)
        self.traffic.start()
        try:
            with under(*[kills, outages][: 2 * with_faults]):
                self.watch(kills, outages)
            begun = self.traffic.cut_short()
            self.orders = [order for order in self.orders if order.id in begun]
            if with_faults:
                self.tell("%s: the fire is out, and everything is started again" % self.pair)
                self.shop.restart()
            leftovers = self.settle()
        finally:
            self.traffic.stop()
        self.calls = self.shop.warehouse.history()
        audit = self.audit(self.shop.database)
        mistakes = [
            Finding("wrong", "%s, %d times" % mistake) for mistake in self.traffic.mistakes.items()
        ]
        failures = [
            failure for unit in [self.shop.server, *self.shop.workers] for failure in unit.failures
        ]
        seconds, events = time.monotonic() - started, self.shop.count_events()[0]
        findings = leftovers + audit + mistakes
        return Result(
            self.pair,
            seconds,
            self.traffic.answers,
            kills.done,
            outages.done,
            failures,
            events,
            findings,
        )

    def audit(self, database):
        """Return what the audit finds in a database."""
        max_attempts = int(self.shop.env["PAYMENT_WEBHOOKS_MAX_ATTEMPTS"])
        settings = (max_attempts, self.deadline)
        return Audit(self.orders, self.traffic.accepted, database, self.calls, *settings).run()

    def watch(self, kills, outages):
        """Print the progress, until the time is over."""
        end, told = time.monotonic() + self.seconds, time.monotonic()
        while time.monotonic() < end and not (kills.error or outages.error or self.traffic.errors):
            time.sleep(min(1, max(0, end - time.monotonic())))
            with suppress(Exception):  # the database may be locked, or cut this connection as well
                stored, final = self.shop.count_events()
                self.traffic.hold(stored - final > BACKLOG)
                if time.monotonic() - told > 5:
                    told = time.monotonic()
                    self.report(kills, outages, stored, final)

    def report(self, kills, outages, stored, final):
        """Print one line."""
        numbers = (sum(self.traffic.answers.values()), self.traffic.answers[200])
        numbers += (sum(kills.done.values()), sum(outages.done.values()), stored, final)
        seconds = time.monotonic() - self.traffic.started
        line = (
            "%d deliveries, %d of them 200; %d kills, %d other faults; %d events, %d of them final"
            % numbers
        )
        self.tell("%s: %4d s: %s" % (self.pair, seconds, line))

    def settle(self):
        """Wait until the shop has come to rest, and return what has not."""
        started, leftovers, patience = time.monotonic(), None, self.deadline + PATIENCE
        while leftovers is None or leftovers and time.monotonic() - started < patience:
            time.sleep(0.5)
            if self.traffic.is_idle() or time.monotonic() - started >= patience:
                leftovers = self.shop.find_leftovers()
        self.tell("%s: quiet after %d s" % (self.pair, time.monotonic() - started))
        return leftovers


def run_campaign(pair, seed, seconds, tell=print, with_faults=True):
    """Run one campaign in a folder of its own, which is kept if something was found. Returns the
    result.
    """
    folder = tempfile.mkdtemp(prefix="payment-webhooks-faults-")
    result = None
    try:
        shop = Shop(pair, folder)
        try:
            result = Campaign(shop, pair, seed, seconds, tell).run(with_faults)
        finally:
            shop.stop()
    finally:
        if result and not result.findings:
            shutil.rmtree(folder)
        else:
            tell("%s: the logs are in %s" % (pair, folder))
    return result


def list_counts(counts):
    """Return counts as text, the largest first."""
    return (
        ", ".join("%d %s" % (count, name or "no answer") for name, count in counts.most_common())
        or "none"
    )


def write_table(results):
    """Return what came of the campaigns, as a table in Markdown and a list of what was done."""
    head = ["pair", "seconds", "deliveries", "events", "kills", "other faults", *KINDS]
    rows = [
        [result.pair, "%d" % result.seconds, sum(result.answers.values()), result.events]
        + [sum(result.kills.values()), sum(result.faults.values()), *map(result.count, KINDS)]
        for result in results
    ]
    rows.append(
        [
            "together",
            *["%d" % sum(float(row[column]) for row in rows) for column in range(1, len(head))],
        ]
    )
    lines = [head, ["---"] * len(head), *rows]
    lines = ["| %s |" % " | ".join(str(cell) for cell in line) for line in lines] + [""]
    for result in results:
        lines.append("%s: answers: %s" % (result.pair, list_counts(result.answers)))
        lines.append("%s: kills: %s" % (result.pair, list_counts(result.kills)))
        lines.append("%s: other faults: %s" % (result.pair, list_counts(result.faults)))
        lines += [
            "%s: did not start at once: %s" % (result.pair, text.splitlines()[0])
            for text in result.restarts
        ]
        shown = result.findings[:SHOWN]
        lines += [
            "%s: %s: %s" % (result.pair, finding.kind.upper(), finding.what) for finding in shown
        ]
    return "\n".join(lines)


def read_options():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument(
        "--minutes",
        type=float,
        default=5,
        help="under fire, all pairs together (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        default="%06d" % random.randrange(10**6),
        help="what a campaign before has printed",
    )
    parser.add_argument(
        "--pair",
        nargs="+",
        choices=sorted(PAIRS),
        default=list(PAIRS),
        help="by default all of them",
    )
    return parser.parse_args()


def main():
    """Run the campaigns that are asked for, and print the results. Returns the exit status."""
    options, results = read_options(), []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    missing = {pair: find_missing(pair) for pair in options.pair}
    pairs = [pair for pair in options.pair if not missing[pair]]
    for pair in options.pair:
        if missing[pair]:
            print("%s: left out, it needs %s" % (pair, " and ".join(missing[pair])), flush=True)
    seconds = options.minutes * 60 / max(1, len(pairs))
    print(
        "The seed is %s. Each pair is under fire for %d seconds." % (options.seed, seconds),
        flush=True,
    )
    try:
        for pair in pairs:
            try:
                results.append(
                    run_campaign(pair, options.seed, seconds, lambda line: print(line, flush=True))
                )
                print("\n%s\n" % write_table(results[-1:]), flush=True)
            except Exception:  # the other pairs are not to suffer from it
                traceback.print_exc()
    finally:
        kill_all()
    print("All of it, with seed %s:\n\n%s" % (options.seed, write_table(results)))
    return (
        1 if len(results) < len(options.pair) or any(result.findings for result in results) else 0
    )


if __name__ == "__main__":
    sys.exit(main())
