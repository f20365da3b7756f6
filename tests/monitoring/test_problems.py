"""What is wrong is said in sentences, what can't wait first."""

import datetime
import time

import pytest
from django.utils import timezone

from django_payment_webhooks.conf import settings
from django_payment_webhooks.history.models import Cause, Sweep
from django_payment_webhooks.models import Event
from django_payment_webhooks.monitoring import overview, problems
from django_payment_webhooks.monitoring.causes import acknowledge
from django_payment_webhooks.monitoring.overview import read_overview
from django_payment_webhooks.monitoring.problems import (
    Problem,
    describe_peace,
    describe_time,
    find_problems,
)
from django_payment_webhooks.operations.backfill.models import Run

from ..factories import EventFactory

pytestmark = pytest.mark.django_db

FINAL = {"due_at": None, "enqueue_at": None}


def ago(seconds):
    """Return the moment a number of seconds ago."""
    return timezone.now() - datetime.timedelta(seconds=seconds)


def unix(seconds):
    """Return the Unix time of a number of seconds ago."""
    return time.time() - seconds


def test_nothing_is_wrong_while_events_get_on():
    EventFactory(due_at=unix(20))
    EventFactory(status=Event.PROCESSED, **FINAL)
    EventFactory(status=Event.WAITING, waiting_since=unix(60))
    assert find_problems(read_overview()) == []


def test_an_event_that_no_worker_takes_is_critical(settings, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    settings.PAYMENT_WEBHOOKS_HEALTH_DUE_AGE = 60
    EventFactory(due_at=unix(61), enqueue_at=unix(-60))
    (problem,) = find_problems(read_overview())
    text = "1 event is due, the oldest for 61 seconds: no worker is processing events, or there "
    assert problem.text.startswith(f"{text}are too few.")
    assert problem.is_critical is True
    settings.PAYMENT_WEBHOOKS_HEALTH_DUE_AGE = 120
    assert find_problems(read_overview()) == []


def test_unfinished_events_of_a_removed_provider_are_critical_and_counted():
    for status in (Event.RECEIVED, Event.WAITING, Event.APPLIED):
        EventFactory(provider="gone", status=status, due_at=unix(-60), enqueue_at=unix(-90))
    EventFactory(provider="finished", status=Event.PROCESSED, **FINAL)
    EventFactory(due_at=unix(-60), enqueue_at=unix(-90))
    (problem,) = find_problems(read_overview())
    text = "3 unfinished events can't be processed: their provider gone is no longer in "
    assert problem.text.startswith(f"{text}PAYMENT_WEBHOOKS_PROVIDERS. Add it again until")
    assert problem.is_critical is True


def test_an_event_that_is_not_swept_is_critical(settings):
    EventFactory(due_at=unix(160), enqueue_at=unix(130))
    (problem,) = find_problems(read_overview())
    text = "No sweeper is running, or it can't keep up: an event should have been enqueued again "
    assert problem == Problem(text + "2 minutes ago.", True)


def test_a_sweep_that_is_long_ago_is_critical_and_reported_once():
    EventFactory(due_at=unix(160), enqueue_at=unix(130))
    Sweep.objects.create(pk=1, finished_at=ago(7300), enqueued=0)
    (problem,) = find_problems(read_overview())
    text = "No sweeper is running, or all processes of the workers are busy: "
    assert problem.text.startswith(f"{text}the last sweep was 2 hours ago.")
    assert problem.is_critical is True


def test_failed_events_and_events_that_wait_in_vain_are_no_emergency(settings):
    EventFactory(status=Event.FAILED, received_at=ago(3 * 86400), **FINAL)
    EventFactory(status=Event.WAITING, waiting_since=unix(2 * 86400))
    failed = "1 event has failed, the oldest was received 3 days ago. Fix the cause, then replay "
    waiting = "1 waiting event has waited for more than half of its time: what it requires has not "
    assert find_problems(read_overview()) == [
        Problem(failed + "or resolve it.", False, Event.FAILED),
        Problem(waiting + "arrived.", False, "late"),
    ]


def test_a_broker_that_is_away_is_reported(monkeypatch):
    monkeypatch.setattr(overview, "is_broker_reachable", lambda: False)
    found = read_overview()
    assert found.broker is False
    text = "The broker can't be reached. What is due is enqueued once it is back."
    assert find_problems(found) == [Problem(text, False)]


def test_what_can_not_wait_comes_first():
    EventFactory(status=Event.FAILED, **FINAL)
    EventFactory(due_at=unix(1000), enqueue_at=unix(-100))
    assert [problem.is_critical for problem in find_problems(read_overview())] == [True, False]


def test_a_bounded_count_says_that_there_are_more(monkeypatch):
    monkeypatch.setattr(overview, "BOUND", 2)
    EventFactory.create_batch(3, status=Event.FAILED, **FINAL)
    (problem,) = find_problems(read_overview())
    text = "2+ events have failed, the oldest was received 0 seconds ago."
    assert problem.text.startswith(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 seconds"),
        (1.9, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7300, "2 hours"),
        (3 * 86400 + 1, "3 days"),
    ],
)
def test_a_time_is_said_in_the_largest_unit_of_which_there_are_two(seconds, words):
    assert describe_time(seconds) == words


def test_what_the_webhook_address_missed_is_wrong_for_a_day():
    facts = {"provider": "stripe", "since": 0, "until": 1, "checked": 900, "missed": 14}
    run = Run.objects.create(finished_at=ago(60), **facts)
    (problem,) = find_problems(read_overview())
    text = "The webhook address missed 14 of 900 events of stripe in the last 24 hours."
    assert problem.text.startswith(text)
    assert not problem.is_critical
    assert read_overview().to_dict()["missed"] == [
        {"provider": "stripe", "missed": 14, "checked": 900}
    ]
    Run.objects.filter(pk=run.pk).update(finished_at=ago(25 * 60 * 60))
    assert find_problems(read_overview()) == []


# ---- what is being retried, and what has failed


def retry(number=1, seconds=10, error="TimeoutError()", **fields):
    """Store events that are to be tried again, received a number of seconds ago."""
    values = {"cause_key": "a" * 32, "received_at": ago(seconds), "due_at": unix(-200)}
    return EventFactory.create_batch(number, error=error, **dict(values, **fields))


def known(**fields):
    """Store what the history knows of the cause."""
    values = {"exception": "KeyError", "text": "warehouse_id", "place": "shop.handlers.apply"}
    return Cause.objects.create(pk="a" * 32, first_seen=ago(10), **dict(values, **fields))


def test_a_bug_is_critical_at_the_first_attempt():
    known()
    retry(52, 130, error="KeyError('warehouse_id')")
    assert find_problems(read_overview()) == [
        Problem(
            "52 events are being retried (KeyError: warehouse_id in shop.handlers.apply), the "
            "oldest was received 2 minutes ago. Next attempt in 3 minutes. "
            "Money: 520.00 EUR.",
            True,
            "retrying",
            "a" * 32,
        )
    ]


@pytest.mark.parametrize(
    ("seconds", "critical"), [(290, []), (310, [False]), (3500, [False]), (3700, [True])]
)
def test_what_is_retried_is_a_problem_once_it_lasts(seconds, critical):
    retry(1, seconds)
    retry(1, 10)
    found = find_problems(read_overview())
    assert [problem.is_critical for problem in found] == critical
    assert all("2 events are being retried (TimeoutError)" in each.text for each in found)


def test_an_outage_is_reported_within_ten_minutes_with_the_default_settings():
    conf = (settings.PAYMENT_WEBHOOKS_HEALTH_RETRY_AGE, settings.PAYMENT_WEBHOOKS_HEALTH_DUE_AGE)
    assert max(conf) < 600


def test_each_cause_of_failed_events_is_named_and_what_has_none_is_counted():
    failed = {"status": Event.FAILED, "received_at": ago(7300), **FINAL}
    EventFactory.create_batch(2, cause_key="b" * 32, error="PermanentFailure('no')", **failed)
    EventFactory(**failed)
    assert [problem.text for problem in find_problems(read_overview())] == [
        "2 events have failed (PermanentFailure: no), the oldest was received 2 hours ago. Fix "
        "the cause, then replay or resolve them. Money: 20.00 EUR.",
        "3 events have failed in all, not only for the causes that are listed; the oldest was "
        "received 2 hours ago. Fix the causes, then replay or resolve them.",
    ]


def test_of_many_causes_some_are_named(monkeypatch):
    monkeypatch.setattr(problems, "MAX_NAMED", 2)
    for letter in "abcd":
        retry(1, error="KeyError('x')", cause_key=letter * 32)
    found = find_problems(read_overview())
    assert [problem.is_critical for problem in found] == [True] * 3
    assert found[-1].text == "2 more causes of such events: see the causes."


def test_what_is_acknowledged_is_no_problem_but_nothing_is_not_said_to_be_wrong():
    known()
    retry(2, 7200, error="KeyError('warehouse_id')")
    EventFactory(status=Event.FAILED, cause_key="a" * 32, **FINAL)
    assert acknowledge("a" * 32, "ada", "The warehouse is told.")
    found = read_overview()
    assert find_problems(found) == []
    assert describe_peace(found) == (
        "Nothing needs attention. 2 events are being retried. 1 event has failed for a cause that "
        "is acknowledged."
    )


def test_what_is_retried_for_the_first_time_is_not_said_to_be_nothing():
    retry()
    found = read_overview()
    assert find_problems(found) == []
    assert describe_peace(found) == "Nothing needs attention. 1 event is being retried."


def test_an_event_that_comes_to_no_end_is_a_problem_and_one_that_waits_is_none():
    EventFactory(received_at=ago(7300), due_at=unix(10), attempts=7)
    (problem,) = find_problems(read_overview())
    text = "An event that was received 2 hours ago is still unfinished, although no attempt at it "
    assert problem.text.startswith(text)
    assert problem.is_critical is False
    Event.objects.update(status=Event.WAITING, waiting_since=unix(7300))
    assert find_problems(read_overview()) == []
