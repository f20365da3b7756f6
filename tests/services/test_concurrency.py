"""Deliveries, workers and sweepers at the same instant: threads with connections of their own.

They run on the database of the run, and what isolation changes, at each level that it has.
"""

import itertools
import json
import logging
import os
import random
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from decimal import Decimal

import pytest
from django.db import (
    DatabaseError,
    Error,
    OperationalError,
    connection,
    transaction,
)
from django.db.backends.signals import connection_created
from django.test import Client
from django.utils import timezone
from processes import wait_until
from shop import handlers
from shop.handlers import MarkOrderPaid, RecordRefund
from shop.models import LedgerEntry, Order

from django_payment_webhooks import processing, retrying, signals
from django_payment_webhooks.conf import get_provider, settings
from django_payment_webhooks.exceptions import Overtaken
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.publisher import ThreadPublisher, attempt, process
from django_payment_webhooks.receiving import receive_events
from django_payment_webhooks.retrying import RetryPolicy
from django_payment_webhooks.sweeper import release, sweep, sweep_events

from ..doubles import Clock, recorded_statements
from ..factories import EventFactory, OrderFactory, PayloadFactory, sign
from .conftest import LEVELS
from .threads import PATIENCE, Player, Thread, Turns, together

pytestmark = pytest.mark.django_db(transaction=True)

numbers = itertools.count(1)
VENDOR = connection.vendor
row_locks = pytest.mark.skipif(
    VENDOR == "sqlite", reason="SQLite has one lock, for the whole database"
)
server = pytest.mark.skipif(
    VENDOR == "sqlite", reason="SQLite has no server that could end a connection"
)


def new_order(**fields):
    """Return an order of its own."""
    return OrderFactory(id="B%d" % next(numbers), **fields)


def deliver(body):
    """Post a genuine webhook with a client of its own. Returns the status and the word of the
    answer.
    """
    headers = {"content_type": "application/json", "HTTP_X_SIGNATURE": sign(body)}
    answer = Client().post("/v1/webhooks/payment", data=body, **headers)
    return answer.status_code, json.loads(answer.content.decode()).get("status")


def make_body(**fields):
    """Return the body of a webhook."""
    return json.dumps(PayloadFactory(**fields)).encode()


def make_refund(order_id, amount="1.00", **fields):
    """Store a refund of an order."""
    data = {"refund_id": "re_" + str(random.random()), "amount": amount}
    return EventFactory(type="refund.created", order_id=order_id, data=data, **fields)


def work_on(event):
    """Return a function that processes an event as a worker does."""
    return lambda: process([event.pk])


def effects(**of):
    """Return how often each effect happened, by its kind and order."""
    return dict(
        Counter(
            "%s %s" % row
            for row in LedgerEntry.objects.filter(**of).values_list("kind", "order_id")
        )
    )


def share_out(workers, events):
    """Process all these events, by as many workers at once as are asked for."""
    shares = [events[number::workers] for number in range(workers)]
    together(*[lambda share=share: [process([event.pk]) for event in share] for share in shares])


def status(event):
    """Return an event's status as the database has it."""
    return Event.objects.get(pk=event.pk).status


def make_due(*events):
    """Let the time come when these events are due, for a worker and for the sweeper."""
    past = time.time() - 60
    Event.objects.filter(pk__in=[event.pk for event in events], finished_at=None).update(
        due_at=past, enqueue_at=past
    )


LOCK_WAITS = {
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx"
    " JOIN information_schema.processlist ON id = trx_mysql_thread_id"
    " WHERE trx_state = 'LOCK WAIT' AND db = database()",
    "postgresql": "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
    " AND datname = current_database()",
}


def count_lock_waits():
    """Return how many connections to this database wait for the lock of a row just now."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_WAITS[VENDOR])
        return cursor.fetchone()[0]


@pytest.fixture
def retried(monkeypatch):
    """Return the errors of the database for which statements were tried again at once."""
    errors, pause = [], retrying.pause

    def note_and_pause(error, *rest):
        seconds = pause(error, *rest)
        errors.append(error)
        return seconds

    monkeypatch.setattr(retrying, "pause", note_and_pause)
    return errors


def sweep_to_the_end(nudges):
    """Do what is due, and sweep, until every event is final. A crowd can put off an attempt; it
    takes time, no more.
    """
    for _ in range(20):
        nudges.process()
        left = list(Event.objects.filter(finished_at=None))
        if not left:
            return
        make_due(*left)
        sweep(nudges.send)
    raise AssertionError("not finished: %s" % left)


@contextmanager
def locked_by_a_zombie(event):
    """Hold the lock of an event's row, as the connection of a dead worker does until its server
    notices.
    """
    locked, end = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Event.objects.filter(pk=event.pk).update(error=event.error)
            locked.set()
            end.wait(PATIENCE)

    zombie = Thread(hold)
    assert locked.wait(PATIENCE)
    try:
        yield
    finally:
        end.set()
        zombie.finish()


def hold_order(order, locked, end):
    """Return a function that locks an order's row, tells so by ``locked``, and keeps it until
    ``end`` is set.
    """

    def hold():
        with transaction.atomic():
            Order.objects.select_for_update().get(pk=order.pk)
            locked.set()
            end.wait(PATIENCE)

    return hold


# ---- receive


def test_fifty_deliveries_of_one_event_at_once_are_stored_once(order, isolation, nudges, caplog):
    body = make_body()

    answers = together(*[lambda: deliver(body)] * 50)

    assert Counter(answers) == {(200, "accepted"): 1, (200, "duplicate"): 49}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    event = Event.objects.get()
    assert set(nudges) == {event.pk}
    together(*[work_on(event)] * 8)
    nudges.process()
    assert (status(event), effects()) == ("processed", {"payment A1": 1})


@row_locks
def test_first_of_three_deliveries_is_rolled_back_and_the_others_store_the_event(
    order, isolation, nudges
):
    """On InnoDB the two who waited for it can be each other's deadlock then."""
    body, stored, undo = make_body(), threading.Event(), threading.Event()

    class Undone(Exception):
        pass

    def be_undone():
        with suppress(Undone), transaction.atomic():
            receive_events(get_provider("default"), {}, body)
            stored.set()
            undo.wait(PATIENCE)
            raise Undone

    first = Thread(be_undone)
    assert stored.wait(PATIENCE)
    others = [Thread(lambda: deliver(body)) for _ in range(2)]
    try:
        wait_until(lambda: count_lock_waits() == 2, PATIENCE)
    finally:
        undo.set()
    first.finish()

    assert Counter(other.finish() for other in others) == {
        (200, "accepted"): 1,
        (200, "duplicate"): 1,
    }
    assert Event.objects.count() == 1


@row_locks
def test_view_that_a_host_puts_into_a_transaction_with_an_old_snapshot_asks_for_the_webhook_again(
    isolation, nudges
):
    """It can neither store the event nor see it, and answers "duplicate" only for what it sees."""
    body = make_body()
    with transaction.atomic():
        assert Event.objects.count() == 0  # so the snapshot is of before
        assert Thread(lambda: deliver(body)).finish() == (200, "accepted")
        answer = deliver(body)

    assert answer == ((503, None) if isolation == "repeatable read" else (200, "duplicate"))
    assert deliver(body) == (200, "duplicate")
    assert Event.objects.count() == 1


@pytest.fixture
def snapshots(isolation):
    """MariaDB's own REPEATABLE READ, its default from 11.6 on: what changed after the first look is
    error 1020.
    """

    def set_snapshots(connection, **_):
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_snapshot_isolation = 1")

    connection_created.connect(set_snapshots)
    connection.close()
    yield
    connection_created.disconnect(set_snapshots)


@pytest.mark.skipif(VENDOR != "mysql", reason="only MariaDB has snapshot isolation by this name")
@pytest.mark.parametrize("isolation", ["repeatable read"], indirect=True)
def test_snapshot_isolation_of_mariadb_loses_and_doubles_nothing(
    order, isolation, snapshots, nudges, monkeypatch
):
    body = make_body()
    answers = together(*[lambda: deliver(body)] * 20)
    assert Counter(answers) == {(200, "accepted"): 1, (200, "duplicate"): 19}
    assert Event.objects.count() == 1

    with_every_statement(monkeypatch, hesitate)
    pairs = [make_charge_and_refund(waits=False) for _ in range(MANY)]
    in_step(pairs, lambda event: process([event.pk]))
    assert left_waiting(pairs, nudges) == []
    assert set(effects().values()) == {1}


def test_many_events_at_once_lose_none_and_double_none(isolation, nudges):
    orders = [new_order() for _ in range(10)]
    bodies = [make_body(data__order_id=order.pk) for order in orders] * 4
    random.shuffle(bodies)

    answers = together(*[lambda body=body: deliver(body) for body in bodies])

    assert Counter(answers) == {(200, "accepted"): 10, (200, "duplicate"): 30}
    assert Event.objects.count() == 10


def test_eight_threads_receive_and_process_and_no_error_reaches_anybody(isolation, nudges):
    """On SQLite this is about "database is locked"."""
    orders = [new_order() for _ in range(80)]

    def receive_and_process(number):
        answers = []
        for order in orders[number::8]:
            body = make_body(data__order_id=order.pk)
            answers += [deliver(body), deliver(body)]
            nudges.process()
        return answers

    answers = together(*[lambda number=number: receive_and_process(number) for number in range(8)])
    nudges.process()

    assert Counter(sum(answers, [])) == {(200, "accepted"): 80, (200, "duplicate"): 80}
    assert set(Event.objects.values_list("status", "attempts", "error")) == {("processed", 1, "")}
    assert effects() == {"payment %s" % order.pk: 1 for order in orders}


@pytest.mark.skipif(VENDOR != "sqlite", reason="no database plays a part in it: once is enough")
def test_first_messages_of_many_threads_start_the_publisher_without_an_error(monkeypatch):
    """An error here would be a 500 for an event that is stored."""
    event = EventFactory.build(pk=1)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    monkeypatch.setattr(ThreadPublisher, "run", lambda self: None)
    try:
        for _ in range(150):
            sender = ThreadPublisher()
            together(*[lambda sender=sender: sender.nudge([event])] * 8)
            assert sender.unsent.qsize() == 8
    finally:
        sys.setswitchinterval(interval)


# ---- take and apply


def test_workers_at_the_same_event_have_one_effect(order, isolation, monkeypatch):
    delivered = []
    monkeypatch.setattr(MarkOrderPaid, "deliver", lambda self, event: delivered.append(event.pk))
    event = EventFactory()

    together(*[work_on(event)] * 8)

    event.refresh_from_db()
    assert (event.status, event.attempts) == ("processed", 1)
    assert (effects(), delivered) == ({"payment A1": 1}, [event.pk])


def test_worker_that_is_slower_than_its_lease_is_overtaken(order, isolation, monkeypatch, settings):
    """While the first worker prepares, its lease ends, and another one takes the event."""
    settings.PAYMENT_WEBHOOKS_LEASE = 0
    event, prepared = EventFactory(), []

    def prepare(self, event):
        prepared.append(event.pk)
        if len(prepared) == 1:
            Thread(work_on(event)).finish()

    monkeypatch.setattr(MarkOrderPaid, "prepare", prepare)
    process([event.pk])

    event.refresh_from_db()
    assert (event.status, event.attempts, len(prepared)) == ("processed", 2, 2)
    assert effects() == {"payment A1": 1}


def test_lease_that_ends_while_the_effects_are_written_gives_no_second_effect(
    order, isolation, monkeypatch, settings
):
    """The second worker finds the row locked by the first, and overtaken when it is free."""
    settings.PAYMENT_WEBHOOKS_LEASE = 0
    event, others, pay = EventFactory(), [], MarkOrderPaid.order_paid

    def order_paid(self, event, order):
        pay(self, event, order)
        if not others:
            others.append(Thread(work_on(event)))
            time.sleep(0.3)

    monkeypatch.setattr(MarkOrderPaid, "order_paid", order_paid)
    process([event.pk])
    others[0].finish()

    assert (status(event), effects()) == ("processed", {"payment A1": 1})


def test_two_events_that_say_the_same_have_one_effect(order, isolation, monkeypatch, retried):
    """Both claim it: the database refuses the second, which waits for the first to commit."""
    first, second = EventFactory(), EventFactory()
    taken, inside, looks = threading.Event(), threading.Event(), threading.Event()
    pay, name = MarkOrderPaid.order_paid, MarkOrderPaid.idempotency_key

    def prepare(self, event):
        if event.pk == second.pk:
            taken.set()
            assert inside.wait(PATIENCE)

    def idempotency_key(self, event):
        if event.pk == second.pk:
            threading.Timer(0.3, looks.set).start()  # it looks, and then it claims the effect
        return name(self, event)

    def order_paid(self, event, order):
        pay(self, event, order)
        inside.set()
        assert looks.wait(PATIENCE)

    monkeypatch.setattr(MarkOrderPaid, "prepare", prepare)
    monkeypatch.setattr(MarkOrderPaid, "idempotency_key", idempotency_key)
    monkeypatch.setattr(MarkOrderPaid, "order_paid", order_paid)
    other = Thread(work_on(second))
    assert taken.wait(PATIENCE)
    process([first.pk])
    other.finish()

    assert [status(first), status(second)] == ["processed", "duplicate"]
    assert retried == []
    assert effects() == {"payment A1": 1}


def test_many_events_that_say_the_same_have_one_effect(order, isolation):
    events = [EventFactory() for _ in range(8)]

    together(*map(work_on, events))

    assert Counter(map(status, events)) == {"processed": 1, "duplicate": 7}
    assert effects() == {"payment A1": 1}


@row_locks
def test_events_of_two_orders_do_not_wait_for_each_other(isolation, monkeypatch):
    held, other = EventFactory(order_id=new_order().pk), EventFactory(order_id=new_order().pk)
    inside, go_on, pay = threading.Event(), threading.Event(), MarkOrderPaid.order_paid

    def order_paid(self, event, order):
        pay(self, event, order)
        if event.pk == held.pk:
            inside.set()
            assert go_on.wait(PATIENCE)

    monkeypatch.setattr(MarkOrderPaid, "order_paid", order_paid)
    holder = Thread(work_on(held))
    assert inside.wait(PATIENCE)
    try:
        Thread(work_on(other)).finish(PATIENCE / 2)
        assert [status(held), status(other)] == ["received", "processed"]
    finally:
        go_on.set()
        holder.finish()
    assert status(held) == "processed"


@pytest.mark.parametrize("isolation", LEVELS[VENDOR][:1], indirect=True)
def test_two_hundred_events_of_one_order_are_applied_one_at_a_time_and_add_up(
    isolation, nudges, monkeypatch
):
    """Two tell of the one charge, five refunds are told twice, and all refunds together are more
    than was paid.
    """
    order, inside, most = new_order(amount="1000.00"), set(), []
    get_order = handlers.ShopOrder.get_order

    def lock_and_count(self, event):
        order = get_order(self, event)
        inside.add(threading.get_ident())
        most.append(len(inside))
        return order

    def leaving(function):
        def call(*args):
            try:
                return function(*args)
            finally:
                inside.discard(threading.get_ident())

        return call

    monkeypatch.setattr(handlers.ShopOrder, "get_order", lock_and_count)
    for handler in (MarkOrderPaid, RecordRefund, handlers.OpenDispute):
        monkeypatch.setattr(handler, "apply", leaving(handler.apply))
    events = [
        EventFactory(order_id=order.pk, data={"amount": "1000.00", "charge_id": "ch_1"})
        for _ in range(2)
    ]
    for number in list(range(165)) + list(range(5)):
        data = {"refund_id": "re_%d" % number, "amount": "10.00"}
        events.append(EventFactory(type="refund.created", order_id=order.pk, data=data))
    for number in range(28):
        data = {"dispute_id": "dp_%d" % number}
        events.append(EventFactory(type="dispute.opened", order_id=order.pk, data=data))
    random.shuffle(events)

    share_out(16, events)
    sweep_to_the_end(nudges)

    assert set(most) == {1}
    ends = Counter(Event.objects.values_list("type", "status"))
    assert [ends["charge.succeeded", end] for end in ("processed", "duplicate")] == [1, 1]
    assert [ends["refund.created", "processed"], ends["dispute.opened", "processed"]] == [100, 28]
    assert ends["refund.created", "duplicate"] + ends["refund.created", "failed"] == 70
    assert sum(refund.amount for refund in order.refunds.all()) == Decimal("1000.00")
    assert effects() == {
        "payment " + order.pk: 1,
        "refund " + order.pk: 100,
        "dispute " + order.pk: 28,
    }
    assert LedgerEntry.objects.filter(kind="refund").values("reference").distinct().count() == 100


@row_locks
@pytest.mark.parametrize("isolation", ["read committed"], indirect=True)
def test_thousand_orders_at_once_never_wait_for_each_others_locks(
    isolation, monkeypatch, retried, received_signals
):
    """Eight transactions at a time reach their end before one of them commits: who waits for
    another never does.

    Outside of them, MariaDB has to refuse a lock at once that is not free, and somebody looks for
    waits all the time. At REPEATABLE READ they do wait, for the gaps that the shop's refunds lock:
    see docs/howto/production.md.
    """
    ends, done, waits, confirm = threading.Barrier(8), threading.Event(), [], Event.confirm

    def wait_for_no_lock(connection, **_):
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 0")

    def confirm_and_meet(self, written):
        confirm(self, written)
        ends.wait(PATIENCE)

    def look_for_waits():
        while not done.wait(0.002):
            waits.append(count_lock_waits())

    charges = [EventFactory(order_id=new_order().pk) for _ in range(1000)]
    refunds = [make_refund(charge.order_id) for charge in charges[:200]]
    monkeypatch.setattr(Event, "confirm", confirm_and_meet)
    if VENDOR == "mysql":
        connection_created.connect(wait_for_no_lock)
    watcher = Thread(look_for_waits)
    try:
        share_out(8, charges)
        share_out(8, refunds)
    finally:
        connection_created.disconnect(wait_for_no_lock)
        done.set()
        watcher.finish()

    assert (set(waits), retried, received_signals.of("event_retried")) == ({0}, [], [])
    assert set(Event.objects.values_list("status", "attempts")) == {("processed", 1)}
    assert Counter(LedgerEntry.objects.values_list("kind", flat=True)) == {
        "payment": 1000,
        "refund": 200,
    }


def test_two_refunds_at_once_never_exceed_what_was_paid(order, isolation):
    """The shop's own guard: the second refund must see the first, whatever the isolation level."""
    process([EventFactory().pk])
    for _ in range(10):
        refunds = [make_refund("A1", "6.00") for _ in range(2)]
        together(*map(work_on, refunds))
        assert Counter(map(status, refunds)) == {"processed": 1, "failed": 1}
        order.refunds.all().delete()


# ---- wait and release


def before(function, do):
    """Return the function, with something to be done before it."""

    def wrapper(*args, **kwargs):
        do()
        return function(*args, **kwargs)

    return wrapper


def hesitate():
    """Wait a random time, mostly a very short one."""
    time.sleep(random.choice([0, 0, random.expovariate(1000), random.expovariate(200)]))


def left_waiting(pairs, nudges):
    """Process what was enqueued. Returns the numbers of the pairs for which that was not enough."""
    nudges.process()
    return [number for number, pair in enumerate(pairs) if set(map(status, pair)) != {"processed"}]


def make_charge_and_refund(waits):
    """Store a charge and a refund of a new order. The refund has just come, or it ``waits`` and is
    looked at again.
    """
    order = new_order()
    refund = make_refund(order.pk)
    if waits:
        process([refund.pk])
        make_due(refund)
    return EventFactory(order_id=order.pk), refund


WAITS = pytest.mark.parametrize(
    "waits", [False, True], ids=["refund-has-just-come", "refund-waits"]
)
# How many timings are tried in each of four (on PostgreSQL and SQLite: two) tests.
MANY = {"sqlite": 25, "mysql": 50, "postgresql": 100}[VENDOR]
# The same for timings that are left to chance. TEST_TIMINGS says how many there are on a database
# altogether.
RANDOM = max(MANY, int(os.environ.get("TEST_TIMINGS", 0)) // (2 * len(LEVELS[VENDOR])))


def play(turns, pairs, schedules):
    """Process each pair in two threads that take turns: ``"ccr"`` is two steps of the charge, then
    the refund's.
    """
    players = {
        "c": Player(turns, [work_on(charge) for charge, _ in pairs]),
        "r": Player(turns, [work_on(refund) for _, refund in pairs]),
    }
    for number, schedule in enumerate(schedules):
        turns.play(number, [players[letter] for letter in schedule])
    for player in players.values():
        player.finish()


def each_commit(monkeypatch, do):
    """Do something before each thing that charge and refund commit: apply, wait, release."""
    monkeypatch.setattr(processing, "apply", before(processing.apply, do))
    monkeypatch.setattr(RetryPolicy, "record", before(RetryPolicy.record, do))
    # What a release does first, once its charge is committed.
    send = signals.event_applied.send_robust
    monkeypatch.setattr(signals.event_applied, "send_robust", before(send, do))


@WAITS
def test_no_interleaving_of_charge_and_refund_loses_a_wake_up(
    isolation, nudges, monkeypatch, waits
):
    """Every order of what they commit: take, look, wait, look again; and take, apply, release,
    finish.
    """
    turns = Turns(patience=5)
    each_commit(monkeypatch, turns.step)
    chosen = itertools.combinations(range(8), 4)
    schedules = [
        "".join("c" if turn in charges else "r" for turn in range(8)) for charges in chosen
    ]
    pairs = [make_charge_and_refund(waits) for _ in schedules]

    play(turns, pairs, schedules)

    assert [schedules[number] for number in left_waiting(pairs, nudges)] == []


def with_every_statement(monkeypatch, do):
    """Do something before each statement that charge and refund could meet at."""
    monkeypatch.setattr(Event, "change", before(Event.change, do))
    monkeypatch.setattr(RecordRefund, "is_ready", before(RecordRefund.is_ready, do))
    monkeypatch.setattr(RecordRefund, "refund_created", before(RecordRefund.refund_created, do))
    each_commit(monkeypatch, do)


@WAITS
def test_no_interleaving_of_their_statements_loses_a_wake_up(isolation, nudges, monkeypatch, waits):
    """A sample of the interleavings of single statements: locks are held in between."""
    turns = Turns(patience=0.02)
    with_every_statement(monkeypatch, turns.step)
    schedules = ["".join(random.sample("cccccccrrrrrrrrrr", 17)) for _ in range(MANY)]
    pairs = [make_charge_and_refund(waits) for _ in schedules]

    play(turns, pairs, schedules)

    assert [schedules[number] for number in left_waiting(pairs, nudges)] == []


def in_step(pairs, work):
    """Process the charge and the refund of each pair at the same instant, in two threads."""
    ready = threading.Barrier(2)

    def process_each(events):
        for event in events:
            ready.wait(PATIENCE)
            work(event)

    together(*[lambda events=events: process_each(events) for events in zip(*pairs)])


@WAITS
def test_no_timing_of_charge_and_refund_loses_a_wake_up(isolation, nudges, monkeypatch, waits):
    with_every_statement(monkeypatch, hesitate)
    for _ in range(RANDOM // MANY):
        pairs = [make_charge_and_refund(waits) for _ in range(MANY)]
        in_step(pairs, lambda event: process([event.pk]))
        assert left_waiting(pairs, nudges) == []
    assert len(effects()) == 2 * MANY * (RANDOM // MANY)
    assert set(effects().values()) == {1}


@pytest.mark.skipif(
    VENDOR != "postgresql", reason="only PostgreSQL refuses to change what another has changed"
)
@pytest.mark.parametrize("isolation", ["repeatable read"], indirect=True)
def test_level_of_postgresql_that_is_not_its_default_costs_time_only(
    isolation, nudges, monkeypatch
):
    """Who meets another at an event gets an error, also outside of transactions. The sweeper makes
    up for it.
    """
    with_every_statement(monkeypatch, hesitate)
    pairs = [make_charge_and_refund(waits=False) for _ in range(MANY)]
    events = list(itertools.chain(*pairs))

    def work(event):
        with suppress(Error, Overtaken):
            process([event.pk])

    in_step(pairs, work)
    for _ in range(3):
        make_due(*events)
        sweep(nudges.send)
        nudges.process()

    assert Counter(map(status, events)) == {"processed": 2 * MANY}
    assert set(effects().values()) == {1}


def test_many_refunds_are_released_while_they_look(isolation, nudges):
    order = new_order(amount="100.00")
    refunds = [make_refund(order.pk) for _ in range(40)]
    charge = EventFactory(order_id=order.pk, data={"amount": "100.00"})

    def process_each(*events):
        for event in events:
            process([event.pk])

    def come_late():
        time.sleep(0.1)
        process([charge.pk])

    together(lambda: process_each(*refunds[:20]), lambda: process_each(*refunds[20:]), come_late)
    nudges.process()

    assert Counter(map(status, refunds + [charge])) == {"processed": 41}
    assert effects() == {"payment " + order.pk: 1, "refund " + order.pk: 40}


@pytest.mark.parametrize("isolation", LEVELS[VENDOR][:1], indirect=True)
def test_thousand_refunds_that_wait_for_one_charge_are_released_once_and_one_row_at_a_time(
    isolation, nudges
):
    """Each refund that is applied releases what waits for it in turn, but not what its charge has
    released already.
    """
    order = new_order(amount="1000.00")
    later = time.time() + 3600
    fields = {
        "type": "refund.created",
        "order_id": order.pk,
        "status": Event.WAITING,
        "due_at": later,
    }
    data = [{"refund_id": "re_%d" % number, "amount": "1.00"} for number in range(1000)]
    Event.objects.bulk_create(
        [EventFactory.build(data=each, waiting_since=time.time(), **fields) for each in data]
    )
    charge = EventFactory(order_id=order.pk, data={"amount": "1000.00"})

    with recorded_statements() as statements:
        process([charge.pk])
        released = sorted(nudges)
        process(released[:50])

    updates = [
        sql for sql in statements if sql.startswith("UPDATE") and "payment_webhooks_event" in sql
    ]
    # The charge is taken, applied and processed, each refund is taken and applied; and who is
    # released is released by one of them, once.
    assert len(updates) == 3 + 50 * 2 + len(nudges)
    # Once when the charge is applied, and once when it is processed.
    assert 100 <= len(released) <= 200
    assert 150 <= len(nudges) == len(set(nudges)) <= 1000
    due = Event.objects.filter(type="refund.created", status=Event.WAITING, due_at__lte=time.time())
    assert set(due.values_list("pk", flat=True)) == set(nudges) - set(released[:50])
    assert effects() == {f"payment {order.pk}": 1, f"refund {order.pk}": 50}


def test_refund_that_is_released_a_hundred_times_at_once_has_one_effect(order, isolation, nudges):
    refund = make_refund("A1")
    process([refund.pk])
    charge = EventFactory()
    process([charge.pk])
    assert status(refund) == "waiting"
    charge.refresh_from_db()

    together(*[lambda: [release(charge) for _ in range(10)]] * 10)
    assert status(refund) == "waiting"
    assert nudges
    together(*[work_on(refund)] * 8)
    sweep_to_the_end(nudges)

    assert (status(refund), effects()) == ("processed", {"payment A1": 1, "refund A1": 1})


def test_refund_that_an_operator_replays_while_a_worker_looks_at_it_again_has_one_effect(
    isolation, nudges, monkeypatch
):
    pairs = [make_charge_and_refund(waits=True) for _ in range(10)]
    share_out(4, [charge for charge, _ in pairs])
    nudges.clear()
    with_every_statement(monkeypatch, hesitate)

    for _, refund in pairs:
        together(
            work_on(refund),
            lambda refund=refund: (hesitate(), replay(Event.objects.get(pk=refund.pk))),
        )
    sweep_to_the_end(nudges)

    assert {status(refund) for _, refund in pairs} == {"processed"}
    assert len(effects()) == 20
    assert set(effects().values()) == {1}


def test_messages_that_are_lost_doubled_and_shuffled_have_one_effect_each(isolation, nudges):
    pairs = [make_charge_and_refund(waits=False) for _ in range(20)]
    messages = [
        event for pair in pairs for event in pair for _ in range(random.choice([0, 1, 2, 3]))
    ]
    random.shuffle(messages)

    share_out(8, messages)
    sweep_to_the_end(nudges)

    assert left_waiting(pairs, nudges) == []
    assert len(effects()) == 40
    assert set(effects().values()) == {1}


def test_backlog_of_an_hour_without_workers_drains_and_doubles_nothing(nudges, monkeypatch):
    """An event comes every three minutes and is swept until the workers are back; then they take
    all its messages.
    """
    clock, bodies = (
        Clock(monkeypatch),
        [make_body(data__order_id=new_order().pk) for _ in range(20)],
    )
    for body in bodies:
        assert deliver(body) == (200, "accepted")
        for _ in range(18):
            clock.advance(10)
            sweep(nudges.send)
    assert max(Counter(nudges).values()) <= 8
    assert len(set(nudges)) == 20
    assert Counter(Event.objects.values_list("status", "attempts")) == {("received", 0): 20}

    stored = Event.objects.in_bulk(set(nudges))
    messages = [stored[pk] for pk in nudges]
    nudges.clear()
    share_out(8, messages)

    assert Counter(Event.objects.values_list("status", "attempts")) == {("processed", 1): 20}
    assert len(effects()) == 20
    assert set(effects().values()) == {1}
    assert sweep(nudges.send) == 0


# ---- what the database does to a handler


def lock_in_turn(first, second, partner):
    """Lock two orders, and meet the ``partner`` in between: together they deadlock."""
    Order.objects.select_for_update().get(pk=first)
    partner()
    Order.objects.select_for_update().get(pk=second)


def meet_once(parties=2):
    """Return a function that waits for the other threads when it is called for the first time in
    each.
    """
    barrier, met = threading.Barrier(parties), set()

    def meet():
        if threading.get_ident() not in met:
            met.add(threading.get_ident())
            barrier.wait(PATIENCE)

    return meet


@row_locks
def test_handlers_that_deadlock_are_tried_again_at_once(isolation, monkeypatch, received_signals):
    left, right = new_order().pk, new_order().pk
    events, meet, pay = (
        [EventFactory(order_id=left), EventFactory(order_id=right)],
        meet_once(),
        MarkOrderPaid.order_paid,
    )

    def order_paid(self, event, order):
        lock_in_turn(event.order_id, right if event.order_id == left else left, meet)
        pay(self, event, order)

    monkeypatch.setattr(MarkOrderPaid, "order_paid", order_paid)
    together(*map(work_on, events))

    assert set(Event.objects.values_list("status", "attempts")) == {("processed", 1)}
    assert effects() == {"payment " + left: 1, "payment " + right: 1}
    assert not received_signals.of("event_retried")


@pytest.mark.skipif(
    VENDOR != "mysql", reason="only MySQL tells of a lock in time by an error that is tried again"
)
def test_handler_that_is_not_granted_a_lock_is_tried_again_at_once(order, monkeypatch, retried):
    event, locked, end, find = (
        EventFactory(),
        threading.Event(),
        threading.Event(),
        MarkOrderPaid.get_order,
    )

    def get_order(self, event):
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 0")
        try:
            return find(self, event)
        except OperationalError:
            end.set()
            holder.finish()
            raise

    monkeypatch.setattr(MarkOrderPaid, "get_order", get_order)
    holder = Thread(hold_order(order, locked, end))
    assert locked.wait(PATIENCE)
    Thread(work_on(event)).finish()

    event.refresh_from_db()
    assert [error.args[0] for error in retried] == [1205]
    assert (event.status, event.attempts, effects()) == ("processed", 1, {"payment A1": 1})


@pytest.mark.skipif(VENDOR != "mysql", reason="only MariaDB has snapshot isolation by this name")
@pytest.mark.parametrize("isolation", ["repeatable read"], indirect=True)
def test_handler_whose_snapshot_is_old_is_tried_again_at_once(
    order, isolation, snapshots, monkeypatch, retried
):
    event, find = EventFactory(), MarkOrderPaid.get_order

    def get_order(self, event):
        Order.objects.get(pk=order.pk)  # so the snapshot is of before
        if not retried:
            Thread(
                lambda: Order.objects.filter(pk=order.pk).update(
                    currency="EUR", paid_at=timezone.now()
                )
            ).finish()
        return find(self, event)

    monkeypatch.setattr(MarkOrderPaid, "get_order", get_order)
    process([event.pk])

    event.refresh_from_db()
    assert [error.args[0] for error in retried] == [1020]
    assert (event.status, event.attempts, effects()) == ("processed", 1, {"payment A1": 1})


@row_locks
def test_handler_that_hides_a_deadlock_commits_nothing_by_half(isolation, monkeypatch):
    """MySQL has undone the first half of the transaction by then, and would commit the second."""
    left, right = new_order().pk, new_order().pk
    event, meet, hidden = EventFactory(order_id=left), meet_once(), []

    def order_paid(self, event, order):
        LedgerEntry.objects.create(kind="first half", order_id=left)
        if not hidden:
            try:
                lock_in_turn(left, right, meet)
            except DatabaseError as error:
                hidden.append(error)
        LedgerEntry.objects.create(kind="second half", order_id=left)

    def work_against_it():
        """Change much, and be patient: so the other one is the victim."""
        with connection.cursor() as cursor, transaction.atomic():
            if VENDOR == "postgresql":
                cursor.execute("SET LOCAL deadlock_timeout = '30s'")
            LedgerEntry.objects.bulk_create(
                [LedgerEntry(kind="ballast", order_id=right) for _ in range(50)]
            )
            lock_in_turn(right, left, meet)

    monkeypatch.setattr(MarkOrderPaid, "order_paid", order_paid)
    together(work_on(event), work_against_it)

    event.refresh_from_db()
    assert hidden, "there was no deadlock"
    assert (event.status, event.attempts, event.idempotency_key) == ("received", 1, None)
    assert event.error.startswith(
        "TransactionManagementError" if VENDOR == "mysql" else "InternalError"
    )
    assert effects(order_id=left) == {}
    make_due(event)
    process([event.pk])
    assert (status(event), effects(order_id=left)) == (
        "processed",
        {"first half " + left: 1, "second half " + left: 1},
    )


@row_locks
def test_handler_that_hides_a_lock_that_was_not_granted_commits_nothing_by_half(
    isolation, monkeypatch
):
    """On MySQL only that statement is undone then. What Django was asked to save makes the
    transaction worthless.
    """
    held, event = new_order(), EventFactory(order_id=new_order().pk)
    bound = (
        "SET SESSION innodb_lock_wait_timeout = 1"
        if VENDOR == "mysql"
        else "SET SESSION lock_timeout = '1s'"
    )
    locked, end, hidden = threading.Event(), threading.Event(), []

    def order_paid(self, event, order):
        LedgerEntry.objects.create(kind="first half", order_id=event.order_id)
        try:
            with connection.cursor() as cursor:
                cursor.execute(bound)
            held.save()
        except DatabaseError as error:
            hidden.append(error)
        LedgerEntry.objects.create(kind="second half", order_id=event.order_id)

    holder = Thread(hold_order(held, locked, end))
    assert locked.wait(PATIENCE)
    with monkeypatch.context() as patch:
        patch.setattr(MarkOrderPaid, "order_paid", order_paid)
        try:
            Thread(work_on(event)).finish()
        finally:
            end.set()
            holder.finish()

    assert len(hidden) == 1
    event.refresh_from_db()
    assert (event.status, event.attempts, event.idempotency_key, effects()) == (
        "received",
        1,
        None,
        {},
    )
    make_due(event)
    process([event.pk])
    assert (status(event), effects()) == ("processed", {"payment " + event.order_id: 1})


@row_locks
def test_event_of_a_worker_that_froze_is_applied_once_after_the_database_has_ended_its_transaction(
    order, nudges, monkeypatch
):
    """Its connection is open and holds the row's lock, but nobody is there: sweeps pass over the
    row until then.
    """
    event, frozen, thaw, pay = (
        EventFactory(),
        threading.Event(),
        threading.Event(),
        MarkOrderPaid.order_paid,
    )
    clock = Clock(monkeypatch)
    name = (
        "idle_transaction_timeout" if VENDOR == "mysql" else "idle_in_transaction_session_timeout"
    )

    def order_paid(self, event, order):
        pay(self, event, order)
        if not frozen.is_set():
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION %s = %s" % (name, "1" if VENDOR == "mysql" else "'1s'"))
            frozen.set()
            thaw.wait(PATIENCE)

    def sweep_and_look():
        sweep(nudges.send)
        nudges.process()
        return status(event) == "processed"

    monkeypatch.setattr(MarkOrderPaid, "order_paid", order_paid)
    zombie = Thread(work_on(event))
    assert frozen.wait(PATIENCE)
    clock.advance(settings.PAYMENT_WEBHOOKS_LEASE)
    try:
        wait_until(sweep_and_look, PATIENCE)
    finally:
        thaw.set()
    with suppress(Error, Overtaken):
        zombie.finish()

    event.refresh_from_db()
    assert (event.status, event.attempts, effects()) == ("processed", 2, {"payment A1": 1})


def test_effects_are_undone_if_the_connection_is_lost_at_the_end(order, isolation, monkeypatch):
    event, confirm = EventFactory(), Event.confirm

    def fail_once(self, written):
        monkeypatch.setattr(Event, "confirm", confirm)
        raise OperationalError("The connection was lost.")

    monkeypatch.setattr(Event, "confirm", fail_once)
    process([event.pk])
    assert (status(event), effects()) == ("received", {})

    make_due(event)
    process([event.pk])
    assert (status(event), effects()) == ("processed", {"payment A1": 1})


def kill_connection(key):
    """End a connection as its server does when it is restarted."""
    with connection.cursor() as cursor:
        if VENDOR == "mysql":
            cursor.execute("KILL %d" % key)
        else:
            cursor.execute("SELECT pg_terminate_backend(%s)", [key])


def connection_key():
    """Return by what the server knows this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT connection_id()" if VENDOR == "mysql" else "SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


@server
@pytest.mark.parametrize("moment", ["prepare", "order_paid", "deliver"])
def test_event_survives_the_end_of_its_connection(order, nudges, monkeypatch, moment):
    event, original, killed = EventFactory(), getattr(MarkOrderPaid, moment), []

    def cut(self, *args):
        original(self, *args)
        if not killed:
            killed.append(connection_key())
            Thread(lambda: kill_connection(killed[0])).finish()

    def work():
        try:
            process([event.pk])
        except Error:
            pass  # it could not even record the failure: the lease will end

    monkeypatch.setattr(MarkOrderPaid, moment, cut)
    Thread(work).finish()
    event.refresh_from_db()
    assert killed
    assert event.status == ("applied" if moment == "deliver" else "received")
    assert event.attempts == 1 and event.due_at > time.time()
    assert effects() == ({"payment A1": 1} if moment == "deliver" else {})

    make_due(event)
    sweep(nudges.send)
    nudges.process()
    assert (status(event), effects()) == ("processed", {"payment A1": 1})


@server
def test_connection_that_the_database_ends_between_two_tasks_fails_one_of_them(transactional_db):
    """Celery keeps connections between tasks if it is told so, and would keep this one."""

    def work():
        key = connection_key()
        Thread(lambda: kill_connection(key)).finish()
        wait_until(lambda: sweep_events.apply().state == "FAILURE", PATIENCE, 0.01)
        return sweep_events.apply().state

    assert Thread(work).finish() == "SUCCESS"


def test_effect_happens_once_though_the_answer_to_the_commit_is_lost(
    order, isolation, nudges, monkeypatch
):
    event, pay = EventFactory(), MarkOrderPaid.order_paid

    def order_paid(self, event, order):
        pay(self, event, order)
        commit = connection.commit

        def commit_and_fail():
            del connection.commit
            commit()
            raise OperationalError("The connection was reset.")

        connection.commit = commit_and_fail

    monkeypatch.setattr(MarkOrderPaid, "order_paid", order_paid)
    Thread(work_on(event)).finish()
    assert (status(event), effects()) == ("applied", {"payment A1": 1})

    make_due(event)
    sweep(nudges.send)
    nudges.process()
    assert (status(event), effects()) == ("processed", {"payment A1": 1})


# ---- sweep and replay


def test_sweepers_at_once_enqueue_each_event_once(isolation, nudges):
    events = [EventFactory() for _ in range(50)]
    make_due(*events)

    together(*[lambda: sweep(nudges.send)] * 4)

    assert sorted(nudges) == sorted(event.pk for event in events)


@row_locks
def test_row_that_a_dead_connection_locks_does_not_hold_up_the_sweep(isolation, nudges):
    events = [EventFactory() for _ in range(5)]
    make_due(*events)
    with connection.cursor() as cursor:
        if VENDOR == "mysql":
            # What a server that knows no SKIP LOCKED, or a Django that does not use it, waits for
            # one row.
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 2")

    with locked_by_a_zombie(events[0]):
        sweep(nudges.send)
        assert sorted(nudges) == sorted(event.pk for event in events[1:])

    nudges.clear()
    sweep(nudges.send)
    assert list(nudges) == [events[0].pk]


def test_operators_who_replay_an_event_at_once_replay_it_once(order, isolation, nudges):
    event = EventFactory(
        status=Event.FAILED, due_at=None, enqueue_at=None, finished_at=timezone.now()
    )

    replayed = together(*[lambda: replay(Event.objects.get(pk=event.pk))] * 4)

    assert replayed.count(True) == len(nudges) == 1
    nudges.process()
    assert (status(event), effects()) == ("processed", {"payment A1": 1})


def test_receiver_of_a_signal_never_sees_an_event_before_it_is_committed(order, isolation, nudges):
    seen = []

    def look_from_elsewhere(signal, event, **_):
        found = Thread(lambda: Event.objects.get(pk=event.pk).status).finish()
        seen.append((event.status, found))

    for name in ("received", "applied", "processed"):
        getattr(signals, "event_" + name).connect(look_from_elsewhere)
    try:
        deliver(make_body())
        nudges.process()
    finally:
        for name in ("received", "applied", "processed"):
            getattr(signals, "event_" + name).disconnect(look_from_elsewhere)
    assert seen == [("received", "received"), ("applied", "applied"), ("processed", "processed")]


# ---- no process waits for a row


@row_locks
@pytest.mark.parametrize("attempts", [0, 1])
def test_a_take_of_an_event_that_a_slow_worker_has_does_not_wait(order, nudges, attempts):
    """Its lease is over, or this worker has read the row before the other took it."""
    event = EventFactory(attempts=attempts)
    read = Event.objects.get(pk=event.pk)
    if not attempts:
        Event.objects.get(pk=event.pk).take()
    with locked_by_a_zombie(event):
        started = time.monotonic()
        worker = Thread(lambda: attempt(read))
        worker.join(3)
        waited = time.monotonic() - started
        is_waiting = worker.is_alive()
    worker.finish()
    assert not is_waiting
    assert waited < 2


@row_locks
def test_a_release_does_not_wait_for_a_locked_row(order, nudges):
    refund, charge = make_refund("A1"), EventFactory()
    process([refund.pk])
    with locked_by_a_zombie(refund):
        worker = Thread(work_on(charge))
        worker.join(5)
        is_waiting = worker.is_alive()
    worker.finish()
    assert not is_waiting
    assert status(charge) == "processed"


@row_locks
def test_handler_that_hides_a_deadlock_while_a_release_moved_its_row_commits_nothing_by_half(
    isolation, monkeypatch, nudges
):
    """A release moves the version by one, as the claim did: the last look must see more than that.

    MySQL has undone the claim; what the handler did after its deadlock would be committed alone.
    """
    left, right = new_order().pk, new_order().pk
    refund, meet, hidden = make_refund(left), meet_once(), []
    process([refund.pk])
    assert status(refund) == "waiting"
    make_due(refund)

    def is_ready(self, event):
        return True

    def refund_created(self, event, order):
        if not hidden:
            try:
                lock_in_turn(left, right, meet)
            except DatabaseError as error:
                hidden.append(error)
                Thread(move_the_version).finish()
        LedgerEntry.objects.create(kind="second half", order_id=left)

    def move_the_version():
        """Be a release: no status and no key changes."""
        if VENDOR == "mysql":
            Event.objects.get(pk=refund.pk).reschedule(0, 30)

    def work_against_it():
        with connection.cursor() as cursor, transaction.atomic():
            if VENDOR == "postgresql":
                cursor.execute("SET LOCAL deadlock_timeout = '30s'")
            LedgerEntry.objects.bulk_create(
                [LedgerEntry(kind="ballast", order_id=right) for _ in range(50)]
            )
            lock_in_turn(right, left, meet)

    monkeypatch.setattr(RecordRefund, "is_ready", is_ready)
    monkeypatch.setattr(RecordRefund, "refund_created", refund_created)
    together(work_on(refund), work_against_it)

    assert hidden, "there was no deadlock"
    refund.refresh_from_db()
    assert refund.status in ("waiting", "received")
    assert refund.idempotency_key is None
    assert effects(order_id=left) == {}
