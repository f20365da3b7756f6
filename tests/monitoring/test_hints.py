"""Hints that only traffic can give."""

import datetime

import pytest
from django.utils import timezone

from django_payment_webhooks import checks
from django_payment_webhooks.models import Event
from django_payment_webhooks.monitoring import hints, overview
from django_payment_webhooks.monitoring.overview import read_overview
from django_payment_webhooks.monitoring.problems import find_problems
from django_payment_webhooks.publisher import process

from ..factories import EventFactory

pytestmark = pytest.mark.django_db


def ignored(number, event_type, provider="mollie", error=hints.NO_HANDLER, **fields):
    """Have events ignored."""
    final = {"status": Event.IGNORED, "due_at": None, "enqueue_at": None, "error": error}
    for _ in range(number):
        EventFactory(type=event_type, provider=provider, **{**final, **fields})


def handled(number):
    """Have events processed."""
    for _ in range(number):
        EventFactory(status=Event.PROCESSED, due_at=None, enqueue_at=None)


def texts():
    """Return what is wrong."""
    return [problem.text for problem in find_problems(read_overview())]


def test_most_events_of_the_day_are_ignored():
    ignored(8, "payment.paid")
    ignored(2, "payment.open")
    handled(1)
    (text,) = texts()
    assert text.startswith(
        "Most recent events are ignored because their types have no handler: 10 of 11 (mollie "
        "payment.paid: 8, mollie payment.open: 2). Add the types to "
    )
    handled(10)
    assert texts() == []


def test_of_many_ignored_events_the_newest_stand_for_all(monkeypatch):
    monkeypatch.setattr(hints, "MAX_READ", 10)
    handled(1)
    ignored(15, "payment.paid")
    ignored(8, "payment.open")
    (text,) = texts()
    assert "no handler: 22 of 24 (mollie payment.open: 18, mollie payment.paid: 4). " in text


def test_few_events_say_nothing():
    ignored(9, "payment.paid")
    assert texts() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"error": "The payment is in test mode."},
        {"received_at": timezone.now() - datetime.timedelta(hours=25)},
    ],
    ids=["by their handler", "yesterday"],
)
def test_events_that_are_ignored_for_another_reason_or_long_ago_say_nothing(fields):
    ignored(20, "payment.paid", **fields)
    assert texts() == []


def test_events_that_this_process_has_a_handler_for_are_ignored_by_other_settings():
    ignored(1, "charge.succeeded", "stripe")
    (text,) = texts()
    assert text.startswith(
        "1 recent event was ignored because its worker had no handler, although these settings "
        "have one: stripe charge.succeeded: 1. If the handler is new, replay the event. "
    )
    ignored(1, "refund.created", "stripe")
    assert texts()[0].startswith("2 recent events were ignored because their worker")


def test_a_hint_names_few_types_and_can_not_be_forged():
    for number, name in enumerate(["a\nb", "c", "d", "e"]):
        ignored(5 - number, name)
    (text,) = texts()
    assert "(mollie a\\nb: 5, mollie c: 4, mollie d: 3 and 2 others)." in text


def test_a_broker_whose_client_is_missing_is_one_problem(monkeypatch):
    def fail(*_, **__):
        raise ImportError("No module named 'redis'")

    monkeypatch.setattr(overview, "is_broker_reachable", lambda: False)
    monkeypatch.setattr(process.app, "connection_for_write", fail)
    (text,) = texts()
    assert text.startswith("The broker's client can't be loaded: No module named 'redis'.")
    assert text.endswith("(payment_webhooks.E027)")
    assert checks.check_broker_client(None) != []
