"""The broker is away, silent, full or forgetful: every webhook is answered as ever, and nothing is
lost.

Each broker is the tests' own, so it can be stopped, frozen and filled. Requests come at a steady
rate meanwhile.
"""

import os
import statistics
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from processes import find_port, manage, post_at_once, post_webhook, start_server, wait_until

from .brokers import RabbitMQ, Redis
from .conftest import NAMES
from .sockets import resetting_listener
from .stacks import PATIENCE, Shop

BROKERS = {"redis": (Redis, "TEST_MYSQL_URL"), "rabbitmq": (RabbitMQ, "TEST_POSTGRES_URL")}
PAUSE = 0.5  # seconds for which a process leaves a broker alone that failed
USUAL, LONGEST = (
    1,
    10,
)  # seconds: half of the answers come sooner than this, and all of them than that
SERVERS = 2  # processes of the web server


@pytest.fixture(scope="module", params=list(BROKERS))
def broker(request, tmp_path_factory):
    """A broker of our own."""
    make, database = BROKERS[request.param]
    missing = [] if os.environ.get(database) else [NAMES[database]]
    missing += make.find_missing()
    if missing:
        pytest.skip("needs " + " and ".join(missing))
    with make(str(tmp_path_factory.mktemp(request.param))) as broker:
        yield broker


@pytest.fixture(scope="module")
def shop(broker, tmp_path_factory):
    """The shop with that broker."""
    database = dict(BROKERS.values())[type(broker)]
    shop = Shop(str(tmp_path_factory.mktemp("shop")), os.environ[database], broker.url)
    shop.env["PAYMENT_WEBHOOKS_PUBLISH_PAUSE"] = str(PAUSE)
    try:
        shop.start()
        manage(shop.env, "create_orders", "--count", "2000", "--prefix", "e")
        yield shop
    finally:
        shop.stop()


class Requests(threading.Thread):
    """Requests at a steady rate, each for another order, until they are told to end."""

    def __init__(self, shop, server=None):
        super().__init__(daemon=True)
        self.shop, self.server = shop, server or shop.server
        self.answers, self.charges, self.orders, self.end = [], [], [], threading.Event()

    def run(self):
        """Send one after the other."""
        while not self.end.wait(0.1):
            self.orders.append(self.shop.next_order())
            self.charges.append(self.shop.charge(self.orders[-1]))
            self.answers.append(
                post_webhook(self.server.base_url, self.charges[-1], timeout=PATIENCE)
            )

    def send_until(self, condition):
        """Wait until a condition is true while requests come, for some of them at least."""
        wait_until(condition, PATIENCE)
        count = len(self.answers)
        wait_until(lambda: len(self.answers) >= count + 20, PATIENCE)


@contextmanager
def requests_at_a_steady_rate(shop, record_property, server=None):
    """Send requests as long as the block runs; then check how they were answered, and that all were
    applied once.
    """
    requests = Requests(shop, server)
    post_at_once(
        8, requests.server.base_url, b"{}", secret="forged"
    )  # the first requests load what is loaded late
    requests.start()
    try:
        yield requests
    finally:
        requests.end.set()
        requests.join(PATIENCE)
    times = sorted(answer.seconds for answer in requests.answers)
    record_property(
        "milliseconds",
        {"median": round(statistics.median(times) * 1000), "most": round(times[-1] * 1000)},
    )
    assert len(requests.answers) == len(requests.charges) >= 20
    assert Counter(answer.status for answer in requests.answers) == {200: len(requests.charges)}
    assert statistics.median(times) < USUAL, times
    assert times[-1] < LONGEST, times
    shop.wait_for("processed", *requests.charges)
    check_effects(shop, requests.orders)


def check_effects(shop, orders):
    """Check that each of these orders was paid once."""
    rows = shop.database.execute("SELECT order_id FROM shop_ledgerentry WHERE kind = 'payment'")
    paid = Counter(order for (order,) in rows)
    assert {order: paid[order] for order in orders} == dict.fromkeys(orders, 1)


class Failures:
    """How often the web server logged that it could not publish, since this was made."""

    def __init__(self, server):
        self.server, self.before, self.started = (
            server,
            server.output().count("enqueue failed"),
            time.monotonic(),
        )

    def count(self):
        """Return how often it was logged."""
        return self.server.output().count("enqueue failed") - self.before

    def check(self):
        """Check that it was logged, and that each process then left the broker alone."""
        count, seconds = self.count(), time.monotonic() - self.started
        assert 0 < count <= SERVERS * (seconds / PAUSE + 1)


def warm_up(shop):
    """Have every process of the server publish once, so that it has a connection to the broker."""
    charges = [shop.charge(shop.next_order()) for _ in range(8)]
    assert {shop.post(charge).status for charge in charges} == {200}
    shop.wait_for("processed", *charges)


# ---- down


def test_broker_that_refuses_connections_slows_no_answer_and_loses_nothing(
    shop, broker, record_property
):
    warm_up(shop)
    with requests_at_a_steady_rate(shop, record_property) as requests:
        failures = Failures(shop.server)
        broker.stop()
        try:
            requests.send_until(failures.count)
            failures.check()
        finally:
            broker.start()


def test_broker_that_is_frozen_slows_no_answer_and_loses_nothing(shop, broker, record_property):
    warm_up(shop)
    with requests_at_a_steady_rate(shop, record_property) as requests:
        failures = Failures(shop.server)
        broker.freeze()
        try:
            requests.send_until(failures.count)
            failures.check()
        finally:
            broker.thaw()


def test_sixty_webhooks_at_once_are_answered_while_the_broker_is_frozen(
    shop, broker, record_property
):
    warm_up(shop)
    broker.freeze()
    try:
        order = shop.next_order()
        charge = shop.charge(order)
        answers = post_at_once(60, shop.server.base_url, charge, timeout=PATIENCE)
    finally:
        broker.thaw()
    times = sorted(answer.seconds for answer in answers)
    record_property("milliseconds", [round(seconds * 1000) for seconds in times])
    assert Counter(answer.data["status"] for answer in answers) == {"accepted": 1, "duplicate": 59}
    assert times[-1] < LONGEST
    shop.wait_for("processed", charge)
    check_effects(shop, [order])


# ---- full, or closed


@contextmanager
def out_of_memory(broker):
    """Make the broker refuse messages for lack of memory."""
    broker.fill(True)
    try:
        yield
    finally:
        broker.fill(False)


def test_broker_that_is_out_of_memory_slows_no_answer_and_loses_nothing(
    shop, broker, record_property
):
    warm_up(shop)
    with requests_at_a_steady_rate(shop, record_property) as requests:
        failures = Failures(shop.server)
        with out_of_memory(broker):
            requests.send_until(failures.count)
            failures.check()


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_redis_that_became_a_replica_slows_no_answer_and_loses_nothing(
    shop, broker, record_property, tmp_path
):
    """It says READONLY. The worker has another broker here, as one that is told so may end."""
    with Redis(str(tmp_path)) as replica, start_server(
        dict(shop.env, CELERY_BROKER_URL=replica.url)
    ) as server:
        with requests_at_a_steady_rate(shop, record_property, server) as requests:
            requests.send_until(replica.client.dbsize)
            failures = Failures(server)
            replica.client.execute_command("REPLICAOF", "127.0.0.1", str(find_port()))
            requests.send_until(failures.count)
            failures.check()
        assert "read only replica" in server.output()


# ---- no message ever arrives


@contextmanager
def wrong_password(shop, broker):
    """Yield the address of the broker, with a password that it does not take."""
    yield {
        "CELERY_BROKER_URL": "%s://guest:wrong@127.0.0.1:%d"
        % (broker.url.partition(":")[0], broker.port)
    }


@contextmanager
def connections_that_are_reset(shop, broker):
    """Yield an address where every connection is reset."""
    with resetting_listener() as port:
        yield {"CELERY_BROKER_URL": broker.url.replace(str(broker.port), str(port))}


@contextmanager
def queue_that_nobody_reads(shop, broker):
    """Yield another queue than the worker's."""
    yield {"CELERY_QUEUE": "nobody-" + shop.queue.name}


@pytest.mark.parametrize(
    "mistake", [wrong_password, connections_that_are_reset, queue_that_nobody_reads]
)
def test_sweeper_alone_applies_everything(shop, broker, record_property, mistake):
    """The web server's messages come nowhere. See test_end_to_end for an address at which nobody
    listens.
    """
    with mistake(shop, broker) as variables, start_server(dict(shop.env, **variables)) as server:
        failures = Failures(server)
        with requests_at_a_steady_rate(shop, record_property, server) as requests:
            requests.send_until(lambda: True)
        if mistake is not queue_that_nobody_reads:
            failures.check()


def test_messages_that_the_broker_forgets_again_and_again_are_made_up_for(
    shop, broker, record_property
):
    warm_up(shop)
    with requests_at_a_steady_rate(shop, record_property) as requests:

        def lose_everything():
            if isinstance(broker, Redis):
                broker.client.flushall()
            else:
                shop.queue.purge()
            return len(requests.answers) >= 60

        wait_until(lose_everything, PATIENCE)
