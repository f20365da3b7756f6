"""What lasts for hours, on a clock that is moved manually; and outages of others."""

import contextlib
import socket
import threading
import time

import pytest
from downstream import Downstream
from shop.models import LedgerEntry, Order

from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import process
from django_payment_webhooks.sweeper import sweep

from ..doubles import Clock, handle
from ..factories import EventFactory
from .threads import PATIENCE, Thread

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE, HOUR = 60, 3600


@pytest.fixture
def clock(monkeypatch):
    """The clock of all processes; whose clock is wrong advances it while it works."""
    return Clock(monkeypatch)


def statuses():
    """Return the status of each event by the provider's id."""
    return dict(Event.objects.values_list("provider_event_id", "status"))


def effects():
    """Return all effects, by kind and order."""
    return sorted(LedgerEntry.objects.values_list("kind", "order_id"))


# ---- wrong clocks


@contextlib.contextmanager
def wrong_by(clock, seconds):
    """Let the clock be wrong for a while."""
    clock.advance(seconds)
    yield
    clock.advance(-seconds)


@pytest.mark.parametrize("skew", [-HOUR, HOUR], ids=["an hour late", "an hour early"])
def test_worker_with_a_wrong_clock_loses_nothing_and_is_late_by_no_more_than_that(
    order, webhook, nudges, clock, skew
):
    webhook(
        event_id="refund", type="refund.created", order_id="A1", refund_id="re_1", amount="2.50"
    )
    webhook(event_id="charge", type="charge.succeeded", order_id="A1")
    late = 0
    while set(statuses().values()) != {"processed"}:
        with wrong_by(clock, skew):
            nudges.process()
            sweep(process)
        clock.advance(MINUTE)
        late += MINUTE
        assert late <= max(0, -skew) + 10 * MINUTE
    assert effects() == [("payment", "A1"), ("refund", "A1")]
    assert (
        webhook(event_id="charge", type="charge.succeeded", order_id="A1").json()["status"]
        == "duplicate"
    )
    assert nudges == type(nudges)()


@pytest.mark.parametrize("skew", [-HOUR, HOUR], ids=["an hour late", "an hour early"])
def test_web_server_with_a_wrong_clock_loses_nothing_and_is_late_by_no_more_than_that(
    order, webhook, nudges, clock, skew
):
    with wrong_by(clock, skew):
        webhook(event_id="charge", type="charge.succeeded", order_id="A1")
    late = 0
    while statuses() != {"charge": "processed"}:
        nudges.process()
        sweep(process)
        clock.advance(MINUTE)
        late += MINUTE
        assert late <= max(0, skew) + 10 * MINUTE
    assert effects() == [("payment", "A1")]


def test_worker_whose_clock_is_an_hour_early_takes_an_event_from_another_and_has_its_effect_once(
    order, clock, settings
):
    """It sees a lease that has ended."""
    taken = []

    def prepare(self, event):
        taken.append(event.attempts)
        if len(taken) == 1:
            with wrong_by(clock, HOUR):
                process([event.pk])

    def apply(self, event):
        LedgerEntry.objects.create(kind="payment", order=order)

    handle(settings, prepare=prepare, apply=apply)
    event = EventFactory(provider_event_id="charge")
    process([event.pk])
    assert taken == [1, 2]
    assert statuses() == {"charge": "processed"}
    assert effects() == [("payment", "A1")]


# ---- the warehouse


def test_a_warehouse_that_is_down_for_three_hours_gets_the_order_in_the_end(
    order, webhook, nudges, clock, settings
):
    with Downstream() as warehouse:
        settings.DOWNSTREAM_URL = warehouse.url
        warehouse.add_rule(status=503, times=1000)
        started, repaired = time.time(), False
        webhook(event_id="charge", type="charge.succeeded", order_id="A1")
        nudges.process()
        while statuses() == {"charge": "applied"}:
            clock.advance(Event.objects.get().due_at - time.time())
            if not repaired and time.time() - started > 3 * HOUR:
                failed, repaired = warehouse.history(), True
                warehouse.reset()
            process([Event.objects.get().pk])
        assert statuses() == {"charge": "processed"}
        assert {call["status"] for call in failed} == {503} and 10 <= len(failed) <= 15
        assert warehouse.calls() == {failed[0]["key"]: 1}
        assert len({call["key"] for call in failed}) == 1
        assert time.time() - started < 7 * HOUR
    assert effects() == [("payment", "A1")]


@contextlib.contextmanager
def dribbling_server():
    """Answer a request by one byte after the other, without end. Gives its address, and what tells
    when it began.
    """
    began, end = threading.Event(), threading.Event()

    def dribble():
        client = listener.accept()[0]
        with client, contextlib.suppress(OSError):
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
            began.set()
            while not end.wait(0.05):
                client.sendall(b".")

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        thread = threading.Thread(target=dribble, daemon=True)
        thread.start()
        try:
            yield "http://127.0.0.1:%d/" % listener.getsockname()[1], began
        finally:
            end.set()
            thread.join(PATIENCE)


def test_warehouse_whose_answer_never_ends_holds_no_lock(order, clock, settings):
    """A timeout for each read does not end it: the worker's time limit does, and then the event is
    due again.
    """
    settings.DOWNSTREAM_TIMEOUT = 10
    event = EventFactory(provider_event_id="charge")
    with dribbling_server() as (settings.DOWNSTREAM_URL, began):
        worker = Thread(lambda: process([event.pk]))
        assert began.wait(PATIENCE)
        assert statuses() == {"charge": "applied"}
        # Whoever held a lock on these rows would keep this waiting as long as the answer goes on.
        assert Thread(lambda: Event.objects.filter(pk=event.pk).update(error="")).finish() == 1
        assert Thread(lambda: Order.objects.filter(pk="A1").update(currency="EUR")).finish() == 1
        assert worker.is_alive()
    worker.finish()
    assert effects() == [("payment", "A1")]
