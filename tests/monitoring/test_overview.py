"""The overview: what is due, what waits, what came, and what is wrong."""

import datetime
import json
import socket
import threading
import time

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from kombu import Connection

from django_payment_webhooks import history, overview
from django_payment_webhooks.history.models import Rejection, Sweep
from django_payment_webhooks.models import Event
from django_payment_webhooks.monitoring.overview import (
    find_critical_problems,
    find_problems,
    is_broker_reachable,
    read_backlog,
    read_overview,
)
from django_payment_webhooks.monitoring.probes import Probe
from django_payment_webhooks.publisher import process

from ..doubles import recorded_statements
from ..factories import EventFactory

pytestmark = pytest.mark.django_db

FINAL = {"due_at": None, "enqueue_at": None}


def ago(seconds):
    """Return the moment a number of seconds ago."""
    return timezone.now() - datetime.timedelta(seconds=seconds)


def is_about(seconds, expected):
    """Return whether a number of seconds is as expected, give or take the time that a test needs."""
    return expected <= seconds < expected + 30


@pytest.fixture
def without_history(settings):
    """Take the history out of the project."""
    settings.INSTALLED_APPS = [
        app for app in settings.INSTALLED_APPS if not app.startswith(history.__name__)
    ]


# ---- the backlog


def test_nothing_is_there_before_the_first_event():
    nothing = {"count": 0, "is_bounded": False, "oldest_seconds": None}
    assert read_backlog() == {
        "statuses": {status: nothing for status, _ in Event.STATUSES},
        "due": {"count": 0, "is_bounded": False, "oldest_seconds": 0.0, "unswept_seconds": 0.0},
        "waiting_past_half": 0,
    }


def test_each_status_has_its_count_and_the_age_of_its_oldest():
    EventFactory(received_at=ago(7200))
    EventFactory(received_at=ago(60))
    EventFactory(status=Event.FAILED, received_at=ago(300), **FINAL)
    statuses = read_backlog()["statuses"]
    assert {status: facts["count"] for status, facts in statuses.items() if facts["count"]} == {
        "received": 2,
        "failed": 1,
    }
    assert is_about(statuses["received"]["oldest_seconds"], 7200)
    assert is_about(statuses["failed"]["oldest_seconds"], 300)
    assert statuses["processed"]["oldest_seconds"] is None


def test_an_event_is_due_from_its_time_on_and_not_once_it_is_final():
    EventFactory(due_at=ago(-600))
    EventFactory(due_at=ago(400), enqueue_at=ago(-3000))
    EventFactory(due_at=ago(100), enqueue_at=ago(50), status=Event.APPLIED)
    EventFactory(status=Event.PROCESSED, **FINAL)
    due = read_backlog()["due"]
    assert (due["count"], due["is_bounded"]) == (2, False)
    assert is_about(due["oldest_seconds"], 400)
    assert is_about(due["unswept_seconds"], 50)


def test_a_lease_is_not_due():
    EventFactory(due_at=ago(-300), enqueue_at=ago(-300), attempts=1)
    assert read_backlog()["due"]["count"] == 0


def test_an_event_that_somebody_spoilt_by_hand_does_not_spoil_the_overview():
    EventFactory(due_at=None, enqueue_at=ago(10))
    EventFactory(status=Event.WAITING, waiting_since=None)
    backlog = read_backlog()
    assert (backlog["due"]["count"], backlog["waiting_past_half"]) == (1, 0)


def test_waiting_events_are_counted_past_half_of_their_time(settings):
    settings.PAYMENT_WEBHOOKS_WAIT_DEADLINE = 1000
    EventFactory(status=Event.WAITING, waiting_since=ago(400))
    EventFactory(status=Event.WAITING, waiting_since=ago(510))
    EventFactory(status=Event.WAITING, waiting_since=ago(2000))
    EventFactory(status=Event.FAILED, waiting_since=ago(2000), **FINAL)
    assert read_backlog()["waiting_past_half"] == 2


def test_no_more_rows_are_read_than_the_bound(monkeypatch):
    for hours in (4, 3, 2, 1):
        EventFactory(received_at=ago(hours * 3600))
    monkeypatch.setattr(overview, "BOUND", 2)
    assert is_about(read_backlog()["statuses"]["received"]["oldest_seconds"], 4 * 3600)
    monkeypatch.setattr(overview, "BOUND", 3)
    backlog = read_backlog()
    assert (
        backlog["statuses"]["received"]["count"],
        backlog["statuses"]["received"]["is_bounded"],
    ) == (3, True)
    assert (backlog["due"]["count"], backlog["due"]["is_bounded"]) == (3, True)
    monkeypatch.setattr(overview, "BOUND", 4)
    assert read_backlog()["statuses"]["received"]["is_bounded"] is False


def test_every_question_is_bounded_and_none_reads_the_whole_table():
    with recorded_statements() as statements:
        read_overview(hours=3)
    events = [sql for sql in statements if Event._meta.db_table in sql]
    assert len(events) == 7 * 2 + 1 + 1 + 3
    for sql in events:
        assert " LIMIT " in sql or "received_at" in sql.split(" WHERE ")[1]
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
    hours = read_overview(hours=2)["hours"]
    assert hours == [
        {
            "start": this_hour - datetime.timedelta(hours=1),
            "received": 3,
            "statuses": {"processed": 2, "failed": 1},
        },
        {"start": this_hour, "received": 1, "statuses": {"received": 1}},
    ]


def test_there_are_as_many_hours_as_asked_for_whether_or_not_anything_came():
    hours = read_overview(hours=5)["hours"]
    assert [hour["received"] for hour in hours] == [0] * 5
    starts = [hour["start"] for hour in hours]
    assert starts == sorted(starts)
    assert len(read_overview()["hours"]) == 24


def test_every_provider_has_the_time_since_its_last_event():
    EventFactory(received_at=ago(7200))
    EventFactory(received_at=ago(5000))
    EventFactory(provider="gone")
    providers = read_overview()["providers"]
    assert set(providers) == {"default", "timed"}
    assert is_about(providers["default"], 5000)
    assert providers["timed"] is None


def test_an_event_from_before_the_window_does_not_count():
    EventFactory(received_at=ago(3 * 3600))
    assert read_overview(hours=2)["providers"] == {"default": None, "timed": None}


def test_rejections_are_summed_up_within_the_window():
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    forged = {"provider": "default", "status": 401, "reason": "mismatch"}
    Rejection.objects.create(hour=hour, count=2, **forged)
    Rejection.objects.create(hour=hour - datetime.timedelta(hours=1), count=3, **forged)
    Rejection.objects.create(hour=hour - datetime.timedelta(hours=2), count=100, **forged)
    Rejection.objects.create(hour=hour, count=9, provider="", status=404, reason="unknown_provider")
    assert read_overview(hours=2)["rejected"] == [
        {"provider": "", "status": 404, "reason": "unknown_provider", "count": 9},
        {"provider": "default", "status": 401, "reason": "mismatch", "count": 5},
    ]


def test_the_last_sweep_is_known_if_its_history_is_kept():
    assert read_overview()["sweeper"] is None
    Sweep.objects.create(pk=1, finished_at=ago(20), enqueued=3)
    assert is_about(read_overview()["sweeper"], 20)


def test_without_the_history_the_rest_is_there(without_history):
    EventFactory()
    found = read_overview()
    assert (found["rejected"], found["sweeper"]) == ([], None)
    assert found["statuses"]["received"]["count"] == 1


@pytest.mark.parametrize("use_tz", [True, False])
def test_the_overview_is_json_with_and_without_time_zones(settings, use_tz):
    settings.USE_TZ = use_tz
    EventFactory()
    found = json.loads(json.dumps(read_overview(), cls=DjangoJSONEncoder))
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


@pytest.fixture
def silent():
    """Return the port of something that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield server.getsockname()[1]


def test_a_silent_broker_costs_its_bound_and_one_thread_however_often_it_is_asked(broker, silent):
    broker("redis://127.0.0.1:%d" % silent)
    before, started = threading.active_count(), time.monotonic()
    assert [is_broker_reachable(timeout=0.05) for _ in range(5)] == [False] * 5
    assert time.monotonic() - started < 10
    assert threading.active_count() == before + 1


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


# ---- what is wrong


def test_nothing_is_wrong_while_events_get_on():
    EventFactory(due_at=ago(20))
    EventFactory(status=Event.PROCESSED, **FINAL)
    EventFactory(status=Event.WAITING, waiting_since=ago(60))
    found = read_overview()
    assert (found["problems"], found["is_critical"]) == ([], False)


def test_an_event_that_nobody_takes_is_critical(settings):
    settings.PAYMENT_WEBHOOKS_HEALTH_DUE_AGE = 60
    EventFactory(due_at=ago(61), enqueue_at=ago(-60))
    found = read_overview()
    (problem,) = found["problems"]
    assert problem.startswith("1 event is due, the oldest for 61 seconds: no worker takes them.")
    assert found["is_critical"] is True
    settings.PAYMENT_WEBHOOKS_HEALTH_DUE_AGE = 120
    assert read_overview()["problems"] == []


def test_an_event_that_is_not_swept_is_critical(settings):
    EventFactory(due_at=ago(160), enqueue_at=ago(130))
    found = read_overview()
    assert found["problems"] == [
        "Nothing sweeps, or not enough: an event should have been enqueued again 2 minutes ago."
    ]
    assert found["is_critical"] is True


def test_a_sweep_that_is_long_ago_is_critical_and_told_once():
    EventFactory(due_at=ago(160), enqueue_at=ago(130))
    Sweep.objects.create(pk=1, finished_at=ago(7300), enqueued=0)
    (problem,) = find_critical_problems(read_overview())
    assert problem.startswith("Nothing sweeps: the last sweep was 2 hours ago.")


def test_failed_events_and_events_that_wait_in_vain_are_no_emergency(settings):
    EventFactory(status=Event.FAILED, received_at=ago(3 * 86400), **FINAL)
    EventFactory(status=Event.WAITING, waiting_since=ago(2 * 86400))
    found = read_overview()
    assert found["problems"] == [
        "1 event has failed, the oldest came 3 days ago. Fix the cause, then replay or resolve them.",
        "1 of the waiting events have waited for more than half of their time: what they require does not come.",
    ]
    assert found["is_critical"] is False


def test_a_broker_that_is_away_is_told(monkeypatch):
    monkeypatch.setattr(overview, "is_broker_reachable", lambda: False)
    found = read_overview()
    assert (found["broker"], found["is_critical"]) == (False, False)
    assert found["problems"] == [
        "The broker can't be reached. What is due is enqueued once it is back."
    ]


def test_a_bounded_count_says_that_there_are_more(monkeypatch):
    monkeypatch.setattr(overview, "BOUND", 2)
    EventFactory.create_batch(3, status=Event.FAILED, **FINAL)
    (problem,) = find_problems(read_overview())
    assert problem.startswith("More than 2 events have failed, the oldest came 0 seconds ago.")
