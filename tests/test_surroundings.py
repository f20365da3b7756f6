"""Two databases, and two changes of the clock: what a project may have, and must not pay for."""

from __future__ import annotations

import datetime
import time

import pytest
from django.db import connection, connections
from django.test import override_settings
from django.utils import timezone
from shop.models import LedgerEntry

from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import process
from django_payment_webhooks.retrying import RetryPolicy
from django_payment_webhooks.sweeper import sweep

from .doubles import Effect, another_connection, effect, handle
from .factories import EventFactory
from .rows import effects, read

pytestmark = pytest.mark.django_db(transaction=True)


# ---- two databases


@pytest.fixture
def elsewhere(order):
    """Another database than the events': here another connection to the same one."""
    with another_connection("elsewhere") as connection:
        yield connection


needs_row_locks = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite locks the whole database for its one writer"
)
needs_wrapper = pytest.mark.skipif(
    not hasattr(connection, "execute_wrapper"), reason="Django 1.11 can't see what is executed"
)
WRITES = [
    "INSERT INTO shop_ledgerentry (kind, order_id, reference) VALUES ('effect', 'A1', 'there')",
    "update shop_order set status = 'paid'",
    "\n  /* a comment */ DELETE FROM shop_ledgerentry",
    "WITH chosen AS (SELECT 1) UPDATE shop_order SET status = 'paid'",
    "CREATE TABLE written_elsewhere (id integer)",
]


@needs_wrapper
@pytest.mark.parametrize("verb", ["apply"])
@pytest.mark.parametrize("statement", WRITES)
def test_a_handler_that_writes_to_another_database_fails_before_anything_is_written(
    statement, verb, settings, elsewhere, received_signals
):
    def work(self, event):
        effect(event)
        with elsewhere.cursor() as cursor:
            cursor.execute(statement)

    handle(settings, **{verb: work})
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, row.idempotency_key) == ("failed", 1, None)
    assert "wrote to another database than the events'" in row.error
    assert effects() == []
    assert received_signals.names() == ["event_failed"]


@needs_wrapper
def test_a_handler_that_saves_a_model_on_another_database_fails_before_it_is_written(
    settings, elsewhere
):
    def apply(self, event):
        LedgerEntry.objects.using("elsewhere").create(
            kind="effect", order_id="A1", reference="there"
        )

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert read(event).status == "failed"
    assert effects() == []


def test_a_handler_may_read_from_another_database(settings, elsewhere):
    seen = []

    def apply(self, event):
        seen.append(LedgerEntry.objects.using("elsewhere").count())
        with elsewhere.cursor() as cursor:
            cursor.execute("SELECT 'update, insert and delete' FROM shop_order")
            seen.append(cursor.fetchone()[0])
        effect(event)

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])
    assert seen == [0, "update, insert and delete"]


def test_a_delivery_may_write_to_another_database(settings, elsewhere):
    def deliver(self, event):
        LedgerEntry.objects.using("elsewhere").create(
            kind="effect", order_id="A1", reference="there"
        )

    handle(settings, parent=Effect, deliver=deliver)
    event = EventFactory()
    process([event.pk])
    assert read(event).status == "processed"
    assert effects() == sorted([event.provider_event_id, "there"])


@needs_wrapper
def test_the_guard_of_the_other_databases_ends_with_the_handler(settings, elsewhere):
    def apply(self, event):
        raise ValueError("whatever happens in it")

    handle(settings, apply=apply)
    process([EventFactory().pk])
    with elsewhere.cursor() as cursor:
        cursor.execute(WRITES[0])
    assert effects() == ["there"]


def test_the_events_database_is_written_to_as_ever(settings, elsewhere, order):
    handle(settings, parent=Effect)
    event = EventFactory()
    RetryPolicy().call_guarded(lambda event: effect(event), event)
    assert effects() == [event.provider_event_id]
    assert set(connections) >= {"default", "elsewhere"}


# ---- local time

# What a clock on the wall shows twice, and what it leaps over, in Berlin.
CHANGES = {
    "autumn": datetime.datetime(2026, 10, 25, 1, 0, tzinfo=datetime.timezone.utc),
    "spring": datetime.datetime(2026, 3, 29, 1, 0, tzinfo=datetime.timezone.utc),
}


@pytest.fixture(params=sorted(CHANGES))
def berlin(request, monkeypatch):
    """A project without time zones in Berlin, ten minutes before the clocks are changed."""
    shift = CHANGES[request.param].timestamp() - 600 - time.time()
    real_time, passed = time.time, []

    def now():
        return real_time() + shift + sum(passed)

    with override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin"):
        monkeypatch.setattr(time, "time", now)
        monkeypatch.setattr(timezone, "now", lambda: datetime.datetime.fromtimestamp(now()))
        yield passed.append


def test_a_lease_ends_when_it_is_over_whatever_the_clock_on_the_wall_shows(berlin, settings, order):
    taken = []
    handle(settings, parent=Effect, prepare=lambda self, event: taken.append(event.attempts))
    # The wall's clock is changed in the middle of it.
    berlin(600 - 150)
    event = EventFactory()
    event.take()
    for _ in range(4):
        berlin(60)
        assert sweep(lambda keys: pytest.fail("it is leased")) == 0
        process([event.pk])
    assert taken == []
    berlin(61)
    process([event.pk])
    assert taken == [2]
    assert read(event).status == "processed"


def test_events_are_due_in_their_order_across_a_change_of_the_clock(berlin, settings, order):
    handle(settings, parent=Effect)
    names = []
    for number in range(40):
        names.append(f"evt_{number:02}")
        EventFactory(provider_event_id=names[-1], enqueue_at=time.time())
        berlin(60)
    rows = Event.objects.order_by("due_at").values_list("provider_event_id", flat=True)
    assert list(rows) == names
    keys = []
    assert sweep(keys.extend) == 40
    swept = Event.objects.in_bulk(keys)
    assert sorted(swept[key].provider_event_id for key in keys) == names
    process(keys)
    assert len(effects()) == 40


def test_an_attempt_is_repeated_after_its_pause_across_a_change_of_the_clock(
    berlin, settings, order
):
    def apply(self, event):
        raise ValueError("again")

    handle(settings, apply=apply)
    event = EventFactory(attempts=9)
    berlin(590)
    process([event.pk])
    delay = read(event).due_at - time.time()
    assert 1280 <= delay <= 2560
    berlin(delay - 30)
    process([event.pk])
    assert read(event).attempts == 10
    berlin(60)
    process([event.pk])
    assert read(event).attempts == 11
