"""Real processes over real brokers: what was answered with 200 has exactly one effect, whoever dies
in between.
"""

import os
import sys
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from processes import (
    Process,
    find_port,
    make_event,
    manage,
    post_at_once,
    post_webhook,
    start_server,
    start_worker,
    wait_until,
)

from .stacks import PATIENCE, silent_listener


def test_webhook_is_stored_queued_and_applied_once(shop):
    order = shop.next_order()
    charge = shop.charge(order)

    answer = shop.post(charge)

    assert (answer.status, answer.data) == (
        200,
        {"status": "accepted", "event_id": charge["event_id"]},
    )
    shop.wait_for("processed", charge)
    assert shop.effects(order) == {"payment": 1}
    assert [call["status"] for call in shop.calls(order)] == [200]


def test_webhook_that_comes_twenty_times_at_once_has_one_effect(shop):
    order = shop.next_order()
    charge = shop.charge(order)

    answers = post_at_once(20, shop.server.base_url, charge)

    assert Counter((answer.status, answer.data["status"]) for answer in answers) == {
        (200, "accepted"): 1,
        (200, "duplicate"): 19,
    }
    shop.wait_for("processed", charge)
    again = shop.post(charge)
    assert (again.status, again.data["status"]) == (200, "duplicate")
    assert shop.effects(order) == {"payment": 1}
    assert len(shop.calls(order)) == 1


def test_forged_webhook_leaves_no_trace(shop):
    charge = shop.charge(shop.next_order())

    answer = shop.post(charge, secret="not the shared secret, but as long")

    assert answer.status == 401
    assert shop.status(charge) is None


def test_refund_waits_for_its_charge(shop):
    order = shop.next_order()
    charge, refund = shop.charge(order), shop.refund(order)

    assert shop.post(refund).status == 200
    shop.wait_for("waiting", refund)
    assert shop.effects(order) == {}
    assert shop.post(charge).status == 200

    shop.wait_for("processed", charge, refund)
    assert shop.effects(order) == {"payment": 1, "refund": 1}


def test_warehouse_that_asks_for_a_pause_gets_it(shop):
    order = shop.next_order()
    charge = shop.charge(order)
    shop.warehouse.add_rule(order_id=order, status=429, retry_after=2, times=2)

    assert shop.post(charge).status == 200

    shop.wait_for("processed", charge)
    calls = shop.calls(order)
    assert [call["status"] for call in calls] == [429, 429, 200]
    assert len({call["key"] for call in calls}) == 1
    assert min(calls[1]["at"] - calls[0]["at"], calls[2]["at"] - calls[1]["at"]) >= 2
    assert shop.effects(order) == {"payment": 1}


def test_event_that_can_not_be_delivered_ends_as_failed(shop):
    order = shop.next_order()
    charge = shop.charge(order)
    shop.warehouse.add_rule(order_id=order, status=503, times=100)

    assert shop.post(charge).status == 200

    shop.wait_for("failed", charge)
    assert [call["status"] for call in shop.calls(order)] == [503] * 4
    status, attempts, error = shop.events()[charge["event_id"]]
    assert attempts == 4 and "503" in error
    assert shop.effects(order) == {"payment": 1}


def test_event_that_can_not_be_applied_ends_as_failed_at_once(shop):
    order = shop.next_order()
    charge = make_event("charge.succeeded", order, charge_id="ch_" + order, amount="9.99")

    assert shop.post(charge).status == 200

    shop.wait_for("failed", charge)
    status, attempts, error = shop.events()[charge["event_id"]]
    assert attempts == 1 and "9.99 EUR was paid, but the price is 10.00 EUR" in error
    assert shop.effects(order) == {}


def test_charge_that_comes_before_its_order_waits_for_it(shop):
    order = "late-" + shop.next_order()
    charge = shop.charge(order)

    assert shop.post(charge).status == 200
    shop.wait_for("waiting", charge)
    manage(shop.env, "create_orders", order)

    shop.wait_for("processed", charge)
    assert shop.effects(order) == {"payment": 1}


def hang(shop):
    """Post a charge. A worker is at work on it when this returns: the warehouse does not answer."""
    order = shop.next_order()
    charge = shop.charge(order)
    shop.warehouse.add_rule(order_id=order, hang=10)
    assert shop.post(charge).status == 200
    wait_until(lambda: shop.calls(order), PATIENCE, 0.02)
    return order, charge


@pytest.mark.parametrize("victim", ["worker", "child"])
def test_worker_that_is_killed_while_it_delivers_is_made_up_for(shop, victim):
    order, charge = hang(shop)
    if victim == "worker":
        with shop.without_worker():
            pass
    else:
        shop.kill_child_at_work()

    shop.wait_for("processed", charge)
    assert shop.effects(order) == {"payment": 1}
    calls = shop.calls(order)
    assert [call["status"] for call in calls][-1] == 200 and len(calls) == 2
    assert len({call["key"] for call in calls}) == 1


def test_worker_that_is_killed_in_its_transaction_is_made_up_for(shop):
    if not shop.database.url:
        pytest.skip("SQLite has one lock, which keeps the webhook from being stored, too")
    order = shop.next_order()
    charge = shop.charge(order)
    with shop.database.lock(order):
        assert shop.post(charge).status == 200
        wait_until(lambda: shop.events()[charge["event_id"]][1] == 1, PATIENCE, 0.02)
        time.sleep(0.3)  # it is taken; now the handler waits for the order
        with shop.without_worker():
            pass

    shop.wait_for("processed", charge)
    assert shop.effects(order) == {"payment": 1}
    assert shop.events()[charge["event_id"]][1] == 2


def test_messages_that_are_lost_are_made_up_for(shop):
    orders = [shop.next_order() for _ in range(5)]
    charges = [shop.charge(order) for order in orders]

    with shop.without_worker(is_killed=False):
        shop.queue.purge()
        for charge in charges:
            assert shop.post(charge).status == 200
        wait_until(lambda: sum(map(len, shop.queue.list_keys())) == 5, PATIENCE)
        shop.queue.purge()
        assert shop.queue.size() == 0
        assert {shop.status(charge) for charge in charges} == {"received"}

    shop.wait_for("processed", *charges)
    assert [shop.effects(order) for order in orders] == [{"payment": 1}] * 5


def test_backlog_does_not_keep_what_lost_its_message_from_being_swept(shop):
    once_is_enough(shop, "amqp")
    orders = [shop.next_order() for _ in range(9)]
    lost, *backlog = [shop.charge(order) for order in orders]

    with shop.without_worker(is_killed=False):
        send(shop, lost)
        wait_until(shop.queue.list_keys, PATIENCE)
        shop.queue.purge()
        for order, charge in zip(orders[1:], backlog):
            shop.warehouse.add_rule(order_id=order, hang=1)
            send(shop, charge)
        wait_until(lambda: sum(map(len, shop.queue.list_keys())) == 8, PATIENCE)
        before = shop.enqueue_at(lost)

    wait_until(lambda: shop.enqueue_at(lost) != before, PATIENCE, 0.02)
    assert shop.status(backlog[-1]) == "received"
    shop.wait_for("processed", lost, *backlog)
    assert [shop.effects(order) for order in orders] == [{"payment": 1}] * 9


def test_message_that_names_many_events_has_one_effect_for_each(shop):
    orders = [shop.next_order() for _ in range(20)]
    charges = [shop.charge(order) for order in orders]

    with shop.without_worker(is_killed=False):
        shop.queue.purge()  # a worker that ends hands back what it had not begun
        send(shop, *charges)
        wait_until(lambda: sum(map(len, shop.queue.list_keys())) == 20, PATIENCE)
        shop.queue.purge()
        time.sleep(1)  # the grace, for which the sweeper leaves events to their messages
        manage(shop.env, "sweep_payment_webhooks")
        assert [len(keys) for keys in shop.queue.list_keys()] == [20]

    shop.wait_for("processed", *charges)
    assert [shop.effects(order) for order in orders] == [{"payment": 1}] * 20
    assert [len(shop.calls(order)) for order in orders] == [1] * 20
    assert {shop.events()[charge["event_id"]][1] for charge in charges} == {1}


def test_web_server_that_is_killed_after_its_answer_has_lost_nothing(shop):
    order = shop.next_order()
    charge = shop.charge(order)

    answer = shop.post(charge)
    shop.server.kill()

    assert answer.status == 200
    shop.restart_server()
    shop.wait_for("processed", charge)
    assert shop.effects(order) == {"payment": 1}
    # The server has only just started, and lost a connection here once. A provider then sends
    # again.
    assert wait_until(lambda: post_or_nothing(shop, charge), PATIENCE).data["status"] == "duplicate"


def post_or_nothing(shop, event):
    """Post an event. Returns the answer, or None if the connection was lost."""
    try:
        return shop.post(event)
    except OSError:
        return None


def test_connections_that_the_database_ends_are_opened_again(shop):
    if not shop.database.url:
        pytest.skip("SQLite has no server that could end a connection")
    orders = [shop.next_order() for _ in range(4)]
    charges = [shop.charge(order) for order in orders]

    shop.database.end_connections()

    # As long as it can't store them, the shop asks for them to be sent again.
    wait_until(lambda: {shop.post(charge).status for charge in charges} == {200}, PATIENCE)
    shop.wait_for("processed", *charges)
    assert [shop.effects(order) for order in orders] == [{"payment": 1}] * 4


def once_is_enough(shop, broker):
    """Skip a test of what does not depend on the stack on all but one: each worker takes seconds to
    start.
    """
    if not (shop.queue.url or "").startswith(broker):
        pytest.skip("what it tests is the same on every stack: once is enough")


def send(shop, *events):
    """Send events as a provider does: until each is answered with 200. A server finds that a
    connection has ended.
    """
    for event in events:
        wait_until(lambda event=event: shop.post(event).status == 200, PATIENCE, 0.02)


def test_connections_that_the_database_ends_under_load_cost_an_attempt_at_most(shop):
    if not shop.database.url:
        pytest.skip("SQLite has no server that could end a connection")
    orders = [shop.next_order() for _ in range(10)]
    charges = [shop.charge(order) for order in orders]

    for number, charge in enumerate(charges):
        send(shop, charge)
        if number == 5:
            shop.database.end_connections()

    shop.wait_for("processed", *charges)
    assert [shop.effects(order) for order in orders] == [{"payment": 1}] * 10
    events = shop.events()
    assert {events[charge["event_id"]][1] for charge in charges} <= {1, 2}


def test_worker_that_is_asked_to_end_finishes_its_work_or_it_is_made_up_for(shop):
    once_is_enough(shop, "amqp")
    order = shop.next_order()
    charge = shop.charge(order)
    shop.warehouse.add_rule(order_id=order, hang=1)
    send(shop, charge)
    wait_until(lambda: shop.calls(order), PATIENCE, 0.02)

    with shop.without_worker(is_killed=False):
        pass

    shop.wait_for("processed", charge)
    assert shop.effects(order) == {"payment": 1}
    assert len({call["key"] for call in shop.calls(order)}) == 1


# ---- handlers that are the end of their worker

# What a worker has in place of the shop's own settings and handler: the orders are named for what
# happens to them.
SETTINGS = """
from testproject.settings import *
PAYMENT_WEBHOOKS_HANDLERS["charge.succeeded"] = "dangerous.Dangerous"
"""
HANDLER = """
import os, signal, time
from django_payment_webhooks.signals import event_applied
from shop.handlers import MarkOrderPaid

def die(event, moment):
    fate = FATES.get(event.order_id)
    if fate == "always" or fate == moment and event.attempts == 1:
        os.kill(os.getpid(), signal.SIGKILL)

def die_after_commit(event, **_):
    die(event, "commit")

event_applied.connect(die_after_commit)

class Dangerous(MarkOrderPaid):
    def prepare(self, event):
        die(event, "prepare")

    def is_ready(self, event):
        die(event, "fence")
        return super().is_ready(event)

    def order_paid(self, event, order):
        super().order_paid(event, order)
        die(event, "apply")
        if FATES.get(event.order_id) == "limit" and event.attempts == 1:
            try:
                time.sleep(60)
            except Exception:
                time.sleep(60)

    def deliver(self, event):
        super().deliver(event)
        die(event, "deliver")
"""


@contextmanager
def dangerous_worker(shop, folder, fates, **options):
    """Have the shop work with a handler that dies: ``fates`` says when, by the order."""
    values = dict({"PAYMENT_WEBHOOKS_LEASE": 1}, **options)
    text = SETTINGS + "".join("%s = %r\n" % item for item in values.items())
    (folder / "dangerous_settings.py").write_text(text)
    (folder / "dangerous.py").write_text("FATES = %r\n" % fates + HANDLER)
    env = dict(shop.env, DJANGO_SETTINGS_MODULE="dangerous_settings")
    env["PYTHONPATH"] = os.pathsep.join([str(folder), env["PYTHONPATH"]])
    with shop.without_worker():
        # On the embedded broker Celery does not replace each child that was killed if there is
        # another one.
        shop.worker = start_worker(env, concurrency=2 if shop.queue.url else 1)
        try:
            yield
        finally:
            shop.worker.kill()


MOMENTS = ["prepare", "fence", "apply", "commit", "deliver"]
# What becomes of the message of a child that is killed. The folders of the embedded broker know no
# acknowledgement.
ACKNOWLEDGE = {
    "": {},  # it is lost
    "redis": {
        "CELERY_TASK_ACKS_LATE": True
    },  # it is lost, too: only of a whole worker that is killed it is not
    "amqp": {
        "CELERY_TASK_ACKS_LATE": True,
        "CELERY_TASK_REJECT_ON_WORKER_LOST": True,
    },  # it comes again
}


def test_worker_that_is_killed_at_any_moment_is_made_up_for_however_messages_are_acknowledged(
    shop, tmp_path
):
    mode = (shop.queue.url or "").split(":")[0]
    fates = {shop.next_order(): moment for moment in MOMENTS}
    charges = [shop.charge(order) for order in fates]

    with dangerous_worker(shop, tmp_path, fates, **ACKNOWLEDGE[mode]):
        send(shop, *charges)
        shop.wait_for("processed", *charges)

    assert [shop.effects(order) for order in fates] == [{"payment": 1}] * 5
    assert [shop.events()[charge["event_id"]][1] > 1 for charge in charges] == [True] * 5
    calls = [Counter(call["key"] for call in shop.calls(order)) for order in fates]
    assert [len(keys) for keys in calls] == [1] * 5
    assert sum(calls[MOMENTS.index("deliver")].values()) > 1


def test_handler_that_kills_its_worker_each_time_fails_in_the_end_and_other_events_are_applied(
    shop, tmp_path
):
    once_is_enough(shop, "redis")
    poison, others = shop.next_order(), [shop.next_order() for _ in range(5)]
    charges = [shop.charge(order) for order in [poison] + others]

    with dangerous_worker(shop, tmp_path, {poison: "always"}, PAYMENT_WEBHOOKS_MAX_ATTEMPTS=2):
        send(shop, *charges)
        shop.wait_for("failed", charges[0])
        shop.wait_for("processed", *charges[1:])

    status, attempts, error = shop.events()[charges[0]["event_id"]]
    assert attempts == 3 and "did not survive" in error
    assert shop.effects(poison) == {} and shop.calls(poison) == []
    assert [shop.effects(order) for order in others] == [{"payment": 1}] * 5


def test_handler_that_hides_the_soft_time_limit_is_killed_by_the_hard_one_and_rolled_back(
    shop, tmp_path
):
    once_is_enough(shop, "amqp")
    order = shop.next_order()
    charge = shop.charge(order)
    limits = {
        "CELERY_TASK_SOFT_TIME_LIMIT": 1,
        "CELERY_TASK_TIME_LIMIT": 2,
        "PAYMENT_WEBHOOKS_LEASE": 3,
    }

    with dangerous_worker(shop, tmp_path, {order: "limit"}, **limits):
        send(shop, charge)
        wait_until(lambda: shop.events()[charge["event_id"]][1] == 1, PATIENCE, 0.02)
        assert shop.effects(order) == {}
        shop.wait_for("processed", charge)

    assert shop.effects(order) == {"payment": 1}
    assert shop.events()[charge["event_id"]][1] == 2


def test_worker_with_a_hundred_threads_gives_each_event_one_effect(shop):
    """Each thread has a connection of its own; the events come all at once."""
    once_is_enough(shop, "redis")
    orders = [shop.next_order() for _ in range(20)]
    charges = [shop.charge(order) for order in orders]
    command = [sys.executable, "-m", "celery", "-A", "testproject", "worker", "--pool", "threads"]
    options = ["--concurrency", "100", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]

    with shop.without_worker():
        send(shop, *charges * 2)
        shop.worker = Process("worker", command + options, shop.env)
        try:
            shop.worker.wait_until(lambda: " ready." in shop.worker.output())
            shop.wait_for("processed", *charges)
        finally:
            shop.worker.kill()

    assert [shop.effects(order) for order in orders] == [{"payment": 1}] * 20
    assert [len({call["key"] for call in shop.calls(order)}) for order in orders] == [1] * 20


# ---- a broker that does not work for the web server

# Seconds: the default timeouts of the brokers' clients are longer, and the goal of 200 ms is much
# shorter.
BOUND = 3


@pytest.fixture(params=["refused", "silent"])
def broken_port(request):
    """A port with no listener, or one that never answers."""
    if request.param == "refused":
        yield find_port()
    else:
        with silent_listener() as port:
            yield port


@pytest.fixture(params=["tuned", "defaults"])
def broker_settings(request, tmp_path):
    """Settings with the shop's own bounds for a broker that is down, or with none."""
    if request.param == "tuned":
        return {}
    text = (
        "from testproject.settings import *\n"
        "del CELERY_BROKER_TRANSPORT_OPTIONS, CELERY_BROKER_CONNECTION_TIMEOUT\n"
    )
    (tmp_path / "settings_without_bounds.py").write_text(text)
    return {"DJANGO_SETTINGS_MODULE": "settings_without_bounds", "folder": str(tmp_path)}


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:%d/0", "amqp://guest:guest@127.0.0.1:%d//"], ids=["redis", "amqp"]
)
def test_broker_that_does_not_work_slows_no_answer(
    embedded_shop, url, broken_port, broker_settings, record_property
):
    shop = embedded_shop
    env = dict(shop.env, CELERY_BROKER_URL=url % broken_port, **broker_settings)
    env["PYTHONPATH"] = env.get("folder", "") + ":" + env["PYTHONPATH"]
    orders = [shop.next_order() for _ in range(5)]
    charges = [shop.charge(order) for order in orders]

    with start_server(env) as server:
        post_webhook(server.base_url, b"{}")  # the first request loads what is loaded late
        answers = [post_webhook(server.base_url, charge) for charge in charges]
        times = sorted(round(answer.seconds * 1000, 1) for answer in answers)
        record_property("milliseconds", times)
        assert [answer.status for answer in answers] == [200] * 5
        assert times[-1] < BOUND * 1000, times
        shop.wait_for("processed", *charges)
        assert [shop.effects(order) for order in orders] == [{"payment": 1}] * 5
