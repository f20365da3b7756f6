"""The overview: what is due, what waits, and what came."""

import datetime
import json
import socket
import threading
import time

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from kombu import Connection

from django_payment_webhooks.history.models import Rejection, Sweep
from django_payment_webhooks.models import Event
from django_payment_webhooks.monitoring import overview
from django_payment_webhooks.monitoring.overview import (
    DueCount,
    Hour,
    StatusCount,
    is_broker_reachable,
    read_backlog,
    read_overview,
)
from django_payment_webhooks.monitoring.probes import Probe, Trial
from django_payment_webhooks.publisher import process

from ..doubles import recorded_statements
from ..factories import EventFactory

pytestmark = pytest.mark.django_db

FINAL = {"due_at": None, "enqueue_at": None}


def ago(seconds):
    """Return the moment a number of seconds ago."""
    return timezone.now() - datetime.timedelta(seconds=seconds)


def unix(seconds):
    """Return the Unix time of a number of seconds ago."""
    return time.time() - seconds


def is_about(seconds, expected):
    """Return whether seconds are as expected, give or take the time that a test needs."""
    return expected <= seconds < expected + 30


@pytest.fixture
def without_history(settings):
    """Take the history out of the project."""
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "history" not in app]


# ---- the backlog


def test_nothing_is_there_before_the_first_event():
    backlog = read_backlog()
    assert backlog.statuses == dict.fromkeys(Event.TRANSITIONS, StatusCount(0, False, None))
    assert backlog.due == DueCount(0, False, 0.0, 0.0)
    assert backlog.waiting_past_half == 0


def test_each_status_has_its_count_and_the_age_of_its_oldest():
    EventFactory(received_at=ago(7200))
    EventFactory(received_at=ago(60))
    EventFactory(status=Event.FAILED, received_at=ago(300), **FINAL)
    statuses = read_backlog().statuses
    assert {status: found.number for status, found in statuses.items() if found.number} == {
        "received": 2,
        "failed": 1,
    }
    assert is_about(statuses["received"].oldest_seconds, 7200)
    assert is_about(statuses["failed"].oldest_seconds, 300)
    assert statuses["processed"].oldest_seconds is None


def test_an_event_is_due_from_its_time_on_and_not_once_it_is_final():
    EventFactory(due_at=unix(-600))
    EventFactory(due_at=unix(400), enqueue_at=unix(-3000))
    EventFactory(due_at=unix(100), enqueue_at=unix(50), status=Event.APPLIED)
    EventFactory(status=Event.PROCESSED, **FINAL)
    due = read_backlog().due
    assert (due.number, due.is_bounded) == (2, False)
    assert is_about(due.oldest_seconds, 400)
    assert is_about(due.unswept_seconds, 50)


def test_a_lease_is_not_due():
    EventFactory(due_at=unix(-300), enqueue_at=unix(-300), attempts=1)
    assert read_backlog().due.number == 0


def test_a_manually_damaged_event_does_not_break_the_overview():
    EventFactory(due_at=None, enqueue_at=unix(10))
    EventFactory(status=Event.WAITING, waiting_since=None)
    backlog = read_backlog()
    assert (backlog.due.number, backlog.waiting_past_half) == (1, 0)


def test_waiting_events_are_counted_past_half_of_their_time(settings):
    settings.PAYMENT_WEBHOOKS_WAIT_DEADLINE = 1000
    EventFactory(status=Event.WAITING, waiting_since=unix(400))
    EventFactory(status=Event.WAITING, waiting_since=unix(510))
    EventFactory(status=Event.WAITING, waiting_since=unix(2000))
    EventFactory(status=Event.FAILED, waiting_since=unix(2000), **FINAL)
    assert read_backlog().waiting_past_half == 2


def test_no_more_rows_are_read_than_the_bound(monkeypatch):
    for hours in (4, 3, 2, 1):
        EventFactory(received_at=ago(hours * 3600))
    monkeypatch.setattr(overview, "MAX_READ", 3)
    monkeypatch.setattr(overview, "BOUND", 2)
    assert is_about(read_backlog().statuses["received"].oldest_seconds, 4 * 3600)
    monkeypatch.setattr(overview, "BOUND", 3)
    backlog = read_backlog()
    assert (
        backlog.statuses["received"].number,
        backlog.statuses["received"].is_bounded,
    ) == (3, True)
    assert (backlog.due.number, backlog.due.is_bounded) == (3, True)
    monkeypatch.setattr(overview, "BOUND", 4)
    assert read_backlog().statuses["received"].is_bounded is False


def test_every_question_is_bounded_and_none_reads_the_whole_table():
    with recorded_statements() as statements:
        read_overview(hours=3)
    events = [sql for sql in statements if Event._meta.db_table in sql]
    assert len(events) == 7 * 2 + 1 + 1 + 2 + 4 + 3
    for sql in events:
        is_one_step = "MIN(" in sql and "cause_key" in sql.split(" WHERE ")[1]
        assert is_one_step or " LIMIT " in sql or "received_at" in sql.split(" WHERE ")[1]
        assert "DISTINCT" not in sql
        assert '"body"' not in sql and "`body`" not in sql


# ---- the last hours


def test_each_hour_has_what_came_in_it_and_what_became_of_it():
    this_hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    last_hour = this_hour - datetime.timedelta(minutes=30)
    EventFactory(received_at=this_hour)
    EventFactory(received_at=last_hour, status=Event.PROCESSED, **FINAL)
    EventFactory(received_at=last_hour, status=Event.PROCESSED, provider="timed", **FINAL)
    EventFactory(received_at=last_hour, status=Event.FAILED, **FINAL)
    EventFactory(received_at=this_hour - datetime.timedelta(hours=2))
    hours = read_overview(hours=2).hours
    assert hours == [
        Hour(this_hour - datetime.timedelta(hours=1), 3, {"processed": 2, "failed": 1}),
        Hour(this_hour, 1, {"received": 1}),
    ]


def test_there_are_as_many_hours_as_asked_for_whether_or_not_anything_came():
    hours = read_overview(hours=5).hours
    assert [hour.received for hour in hours] == [0] * 5
    starts = [hour.start for hour in hours]
    assert starts == sorted(starts)
    assert len(read_overview().hours) == 24


def test_every_provider_has_the_time_since_its_last_event():
    EventFactory(received_at=ago(7200))
    EventFactory(received_at=ago(5000))
    EventFactory(provider="gone")
    providers = read_overview().providers
    assert set(providers) == {"default", "timed"}
    assert is_about(providers["default"], 5000)
    assert providers["timed"] is None


def test_an_event_from_before_the_window_does_not_count():
    EventFactory(received_at=ago(3 * 3600))
    assert read_overview(hours=2).providers == {"default": None, "timed": None}


def test_rejections_are_summed_up_within_the_window():
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    forged = {"provider": "default", "status": 401, "reason": "mismatch"}
    Rejection.objects.create(hour=hour, count=2, **forged)
    Rejection.objects.create(hour=hour - datetime.timedelta(hours=1), count=3, **forged)
    Rejection.objects.create(hour=hour - datetime.timedelta(hours=2), count=100, **forged)
    Rejection.objects.create(hour=hour, count=9, provider="", status=404, reason="unknown_provider")
    assert [found._asdict() for found in read_overview(hours=2).rejected] == [
        {"provider": "", "status": 404, "reason": "unknown_provider", "number": 9},
        {"provider": "default", "status": 401, "reason": "mismatch", "number": 5},
    ]


def test_the_last_sweep_is_known_if_its_history_is_kept():
    assert read_overview().sweeper is None
    Sweep.objects.create(pk=1, finished_at=ago(20), enqueued=3)
    assert is_about(read_overview().sweeper, 20)


def test_without_the_history_the_rest_is_there(without_history):
    EventFactory()
    found = read_overview()
    assert (found.rejected, found.sweeper) == ([], None)
    assert found.backlog.statuses["received"].number == 1


@pytest.mark.parametrize("use_tz", [True, False])
def test_the_overview_is_json_with_and_without_time_zones(settings, use_tz):
    settings.USE_TZ = use_tz
    EventFactory()
    found = json.loads(json.dumps(read_overview().to_dict(), cls=DjangoJSONEncoder))
    assert found["hours"][-1]["received"] == 1
    assert found["providers"]["default"] < 30


# ---- the broker


@pytest.fixture
def broker(monkeypatch):
    """Put the broker elsewhere: ``broker("redis://127.0.0.1:1")``."""
    monkeypatch.setattr(overview, "broker", Probe(overview.ask_broker))

    def broker(url, **options):
        monkeypatch.setattr(
            process.app,
            "connection_for_write",
            lambda: Connection(url, connect_timeout=1, **options),
        )

    return broker


def test_a_broker_that_answers_is_reachable():
    assert is_broker_reachable() is True


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_refuses_is_not(broker, scheme):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        broker("%s://127.0.0.1:%d" % (scheme, unused.getsockname()[1]))
        assert is_broker_reachable() is False


def count_trials():
    """Return how many threads wait for an answer."""
    return sum(isinstance(thread, Trial) for thread in threading.enumerate())


@pytest.fixture
def silent():
    """Return the port of something that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield server.getsockname()[1]


def test_a_silent_broker_costs_its_bound_and_one_thread_however_often_it_is_asked(broker, silent):
    broker("redis://127.0.0.1:%d" % silent)
    before, started = count_trials(), time.monotonic()
    assert [is_broker_reachable(timeout=0.05) for _ in range(5)] == [False] * 5
    assert time.monotonic() - started < 10
    assert count_trials() <= before + 1  # those of earlier tests may have ended meanwhile
    assert overview.broker.trial.is_alive()


def test_two_who_ask_at_once_get_the_same_answer(broker, monkeypatch):
    asked, go_on = [], threading.Event()

    class Slow:
        def __enter__(self):
            asked.append(self)
            go_on.wait(10)
            return self

        def __exit__(self, *_):
            pass

        def ensure_connection(self, **_):
            pass

    broker("memory://")
    monkeypatch.setattr(process.app, "connection_for_write", Slow)
    assert is_broker_reachable(timeout=0.01) is False
    threading.Timer(0.1, go_on.set).start()
    assert is_broker_reachable(timeout=10) is True
    assert len(asked) == 1
