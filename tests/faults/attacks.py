"""What is done to the shop: kills, and whatever else can go wrong for some seconds. Each kind in
turn, by chance.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress

from .story import HOUR


class Unit:
    """A process that is started again whenever it has ended, as an init system does."""

    def __init__(self, name, start):
        self.name, self.start, self.over = name, start, threading.Event()
        self.process, self.failures = start(), []
        self.thread = threading.Thread(target=self.keep, daemon=True)
        self.thread.start()

    def keep(self):
        """Start it again, until it is not wanted any more."""
        while not self.over.wait(0.05):
            if not self.process.is_running():
                self.process.kill()  # what it has left behind
                try:
                    self.process = self.start()
                except (RuntimeError, OSError) as error:
                    self.failures.append(str(error))

    def restart(self):
        """End it as a deployment does, and wait until another one has taken its place."""
        process = self.process
        process.stop(timeout=5)
        deadline = time.monotonic() + 60
        while self.process is process and time.monotonic() < deadline:
            time.sleep(0.05)

    def stop(self):
        """End it for good."""
        self.over.set()
        self.thread.join(60)
        self.process.kill()


class Attack(threading.Thread):
    """Does something at random moments until it is told to end, and counts it in ``done``.

    The seed decides what is done, in which order and after which pauses. ``kinds`` has how often
    each kind is done in a round; the order in a round is random.
    """

    def __init__(self, seed, pause):
        super().__init__(daemon=True)
        self.random = random.Random("%s of %s" % (type(self).__name__, seed))
        self.pause, self.done, self.over, self.error = pause, Counter(), threading.Event(), None
        self.kinds = {}

    def run(self):
        """Attack until the end."""
        try:
            while True:
                round_ = sorted(Counter(self.kinds).elements())
                self.random.shuffle(round_)
                for kind in round_:
                    if self.over.wait(self.random.expovariate(1 / self.pause)):
                        return
                    if self.do(kind) is not False:
                        self.done[kind] += 1
        except Exception as error:
            self.error = error

    def stop(self):
        """End it, and wait until everything is as it was. Raises what went wrong."""
        self.over.set()
        self.join(90)
        if self.error:
            raise self.error
        if self.is_alive():
            raise TimeoutError("An attack does not end.")

    def nap(self, least=0.5, most=4):
        """Wait for some seconds."""
        self.over.wait(self.random.uniform(least, most))


class Kills(Attack):
    """Kills processes of the shop with SIGKILL."""

    def __init__(self, shop, seed, pause):
        super().__init__(seed, pause)
        self.shop = shop
        self.kinds = {"child of the server": 8, "child of a worker": 8, "server": 1, "worker": 2}
        if not shop.broker.url:
            # Its one worker must live for some seconds now and then: each death loses the messages
            # that it has read.
            self.kinds = {
                "child of the server": 16,
                "child of a worker": 1,
                "server": 1,
                "worker": 1,
            }

    def do(self, kind):
        """Kill something. Returns False if there was nothing to kill."""
        unit = self.shop.server if "server" in kind else self.random.choice(self.shop.workers)
        if not kind.startswith("child"):
            unit.process.kill()
            return True
        children = unit.process.children()
        if not children:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.random.choice(children), signal.SIGKILL)
        if unit.name == "worker" and not self.shop.broker.url:
            # On the embedded broker a worker does not notice the death of a child that had nothing
            # to do.
            self.over.wait(0.5)
            unit.process.kill()
        return True


class Outages(Attack):
    """Stops, freezes, fills and cuts what the shop needs, for some seconds each, one after the
    other.
    """

    def __init__(self, shop, traffic, seed, pause):
        super().__init__(seed, pause)
        self.shop, self.traffic = shop, traffic
        self.actions = {
            "server frozen": lambda: self.freeze_group(shop.server),
            "worker frozen": lambda: self.freeze_group(self.random.choice(shop.workers)),
            "child of the server frozen": lambda: self.freeze_child(shop.server),
            "child of a worker frozen": lambda: self.freeze_child(self.random.choice(shop.workers)),
            "worker restarted": lambda: self.random.choice(shop.workers).restart(),
            "queue purged": self.purge,
            "broker full": self.fill_broker,
            "warehouse frozen": lambda: self.freeze(-shop.downstream.pid),
            "warehouse answers with errors": self.answer_with_errors,
            "warehouse hangs": lambda: shop.warehouse.add_rule(
                hang=2, times=self.random.randint(1, 4)
            ),
            "warehouse closes the connection": lambda: shop.warehouse.add_rule(close=True, times=8),
            "sender's clock wrong by an hour": self.mislead_clock,
        }
        if shop.broker.url:
            self.actions["broker killed"] = self.kill_broker
            self.actions["broker frozen"] = lambda: self.freeze(-shop.broker.process.pid)
        if shop.database.url:
            self.actions["database connections cut"] = self.cut_connections
        else:
            self.actions["database locked"] = self.lock_database
        self.kinds = dict.fromkeys(self.actions, 1)

    def do(self, kind):
        """Do something, and undo it after some seconds. Returns False if it was not possible."""
        return self.actions[kind]()

    def freeze(self, pid):
        """Stop a process, or a group of processes if ``pid`` is negative, and let it go on after
        some seconds.
        """
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            return False
        self.nap()
        with suppress(ProcessLookupError):  # it may have been killed in the meantime
            os.kill(pid, signal.SIGCONT)
        return True

    def freeze_group(self, unit):
        """Freeze a process with its children."""
        return self.freeze(-unit.process.pid)

    def freeze_child(self, unit):
        """Freeze one child. It is away for longer than a lease lasts, sometimes."""
        children = unit.process.children()
        return self.freeze(self.random.choice(children)) if children else False

    def purge(self):
        """Lose every message."""
        self.shop.queue.purge()

    def fill_broker(self):
        """Let the broker take no more messages for a while."""
        self.shop.broker.fill(True)
        self.nap()
        self.shop.broker.fill(False)

    def kill_broker(self):
        """Kill the broker, and start it again."""
        self.shop.broker.stop()
        self.nap()
        self.shop.broker.start()

    def cut_connections(self):
        """Cut all connections to the database."""
        self.shop.database.end_connections()

    def lock_database(self):
        """Keep everybody else from writing to the SQLite file for a while."""
        connection = self.shop.database.connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            self.nap()
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    def answer_with_errors(self):
        """Let the warehouse answer the next calls with an error that passes."""
        rule = {
            "status": self.random.choice([408, 425, 429, 500, 502, 503, 504]),
            "times": self.random.randint(5, 15),
        }
        if rule["status"] in (429, 503):
            rule["retry_after"] = self.random.choice(
                [0, 1, -5, 10**9, "Wed, 21 Oct 2015 07:28:00 GMT", "soon"]
            )
        self.shop.warehouse.add_rule(**rule)

    def mislead_clock(self):
        """Let the second provider's clock be wrong for a while."""
        self.traffic.clock = self.random.choice([-HOUR, HOUR])
        self.nap()
        self.traffic.clock = 0


@contextmanager
def under(*attacks):
    """Attack from here to the end of the block."""
    for attack in attacks:
        attack.start()
    try:
        yield
    finally:
        for attack in attacks:
            attack.stop()
