"""What follows from an attempt's error: wait, retry, give up, or another event had the effect."""

from __future__ import annotations

import random
import time
from email.utils import formatdate
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection
from shop.handlers import MarkOrderPaid

from django_payment_webhooks.exceptions import NotReady, PermanentFailure
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.providers.personal import hide_personal
from django_payment_webhooks.publisher import process
from django_payment_webhooks.retrying import RetryPolicy, get_handler, pause

from .database_errors import TRANSIENT, caused_by
from .doubles import (
    Clock,
    DownstreamError,
    Effect,
    OneEffect,
    at_once,
    effect,
    handle,
)
from .factories import EventFactory, OrderFactory
from .rows import effects, is_in, read, seconds_until_due

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fail_with(settings):
    """Process an event whose handler raises an error, and return the event."""

    def fail_with(error, verb="apply", **fields):
        def work(self, event):
            raise error

        handle(settings, **{verb: work})
        event = EventFactory(**fields)
        process([event.pk])
        return event

    return fail_with


# Those that need no commit run in a transaction, because that is quicker.
within_a_transaction = pytest.mark.django_db


@within_a_transaction
@pytest.mark.parametrize(
    "attempts, longest", [(0, 5), (1, 10), (2, 20), (3, 40), (10, 5120), (11, 10240), (12, 14400)]
)
def test_the_backoff_doubles_with_each_attempt_up_to_a_ceiling(
    attempts, longest, fail_with, received_signals
):
    event = fail_with(ValueError("again"), attempts=attempts)
    row = read(event)
    assert longest / 2 - 2 <= seconds_until_due(event) <= longest
    assert row.enqueue_at == row.due_at
    assert (row.status, row.attempts) == ("received", attempts + 1)
    (facts,) = received_signals.of("event_retried")
    assert (facts["event"].pk, str(facts["error"])) == (event.pk, "again")


@within_a_transaction
def test_the_backoff_stays_at_its_ceiling(fail_with, settings):
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 1000
    event = fail_with(ValueError(), attempts=600)
    assert 7200 - 2 <= seconds_until_due(event) <= 14400


@within_a_transaction
def test_the_backoff_is_jittered_over_its_upper_half(fail_with, monkeypatch):
    bounds = []

    def uniform(low, high):
        bounds.append((low, high))
        return low + 0.25 * (high - low)

    monkeypatch.setattr(random, "uniform", uniform)
    event = fail_with(ValueError(), attempts=3)
    assert bounds == [(20, 40)]
    assert seconds_until_due(event) == pytest.approx(25, abs=2)


@within_a_transaction
def test_two_events_that_fail_together_are_not_repeated_together(fail_with):
    due = {round(seconds_until_due(fail_with(ValueError(), attempts=8)), 1) for _ in range(5)}
    assert len(due) > 1


def http_date(seconds):
    """Return a moment from now as HTTP writes it."""
    return formatdate(time.time() + seconds, usegmt=True)


@within_a_transaction
@pytest.mark.parametrize(
    "asked, granted", [("120", 120), ("14400", 14400), ("1000000000", 14400), ("9" * 5000, 14400)]
)
@pytest.mark.parametrize("status_code", [429, 503])
def test_the_seconds_that_downstream_asks_for_are_granted_within_bounds(
    status_code, asked, granted, fail_with
):
    event = fail_with(DownstreamError(status_code, asked))
    assert seconds_until_due(event) == pytest.approx(granted, abs=3)


@within_a_transaction
@pytest.mark.parametrize("asked, granted", [(600, 600), (86400, 14400), (10**9, 14400)])
def test_the_moment_that_downstream_asks_for_is_granted_within_bounds(asked, granted, fail_with):
    event = fail_with(DownstreamError(503, http_date(asked)))
    assert seconds_until_due(event) == pytest.approx(granted, abs=3)


@within_a_transaction
@pytest.mark.parametrize(
    "asked",
    [None, "", "0", "1", "-5", "-1e9", "soon", "1e9", "12.5", "\u00b2", "NaN", " ", "Mon, 99 Foo"],
)
def test_a_retry_after_that_is_short_or_makes_no_sense_changes_nothing(asked, fail_with):
    event = fail_with(DownstreamError(429, asked))
    assert 0.5 <= seconds_until_due(event) <= 5
    assert (read(event).status, read(event).attempts) == ("received", 1)


@within_a_transaction
def test_a_retry_after_that_has_passed_changes_nothing(fail_with):
    event = fail_with(DownstreamError(429, http_date(-600)))
    assert 0.5 <= seconds_until_due(event) <= 5


@pytest.mark.parametrize("status_code", [400, 401, 403, 404, 405, 409, 410, 422, 451, 499])
def test_what_downstream_rejects_fails_at_once(status_code, fail_with, received_signals):
    event = fail_with(DownstreamError(status_code, "60"), verb="deliver")
    row = read(event)
    assert (row.status, row.attempts, row.due_at, row.enqueue_at) == ("failed", 1, None, None)
    assert row.error == repr(DownstreamError(status_code))
    assert received_signals.names() == ["event_applied", "event_failed"]


@pytest.mark.parametrize("status_code", [408, 425, 429, 500, 502, 503, 504, 599, 302, 0])
def test_what_downstream_could_not_do_is_tried_again(status_code, fail_with, received_signals):
    event = fail_with(DownstreamError(status_code), verb="deliver")
    assert (read(event).status, read(event).attempts) == ("applied", 1)
    assert received_signals.names() == ["event_applied", "event_retried"]


def test_an_error_without_an_answer_is_tried_again(fail_with):
    error = ConnectionError("reset by peer")
    error.response = None  # as requests leaves it when nothing came back
    event = fail_with(error)
    assert (read(event).status, read(event).attempts) == ("received", 1)


@pytest.mark.parametrize("verb", ["prepare", "idempotency_key", "is_ready", "apply", "deliver"])
def test_a_permanent_failure_fails_at_once(verb, fail_with, received_signals, published):
    event = fail_with(PermanentFailure("the order was deleted"), verb=verb)
    row = read(event)
    assert (row.status, row.attempts, row.due_at, row.enqueue_at) == ("failed", 1, None, None)
    assert "the order was deleted" in row.error
    assert is_in(row.finished_at, 0)
    assert received_signals.names()[-1] == "event_failed"
    assert received_signals.of("event_retried") == []
    assert published() == []


@pytest.mark.parametrize("verb", ["prepare", "apply", "deliver"])
def test_an_event_that_fails_for_ever_is_tried_a_bounded_number_of_times(
    verb, settings, order, monkeypatch, received_signals, published
):
    calls, clock, started = [], Clock(monkeypatch), time.time()

    def work(self, event):
        calls.append(event.idempotency_key)
        raise DownstreamError(503)

    handle(settings, parent=Effect, **{verb: work})
    event = EventFactory()
    while read(event).due_at:
        process([event.pk])
        if read(event).due_at:
            clock.advance(seconds_until_due(event))
        assert len(calls) <= 25
    row = read(event)
    assert len(calls) == 25
    assert (row.status, row.attempts, row.error) == ("failed", 25, repr(DownstreamError(503)))
    assert 1 <= (time.time() - started) / 86400 <= 3
    assert len(received_signals.of("event_retried")) == 24
    assert len(received_signals.of("event_failed")) == 1
    assert len(set(calls)) == 1
    assert len(effects()) == (verb == "deliver")
    assert published() == []


def test_a_long_error_is_cut(fail_with):
    event = fail_with(ValueError(f"{'x' * 470} 4111 1111 1111 1111"))
    assert len(read(event).error) == 500
    assert hide_personal(event, read(event).error).endswith("x [redacted]…")
    assert len(read(fail_with(PermanentFailure("x" * 10000))).error) == 500


def test_a_failed_take_is_tried_again(settings, order, monkeypatch, received_signals):
    handle(settings, parent=Effect)
    event, take, calls = EventFactory(), Event.take, []

    def fail_first(self):
        calls.append(self)
        if len(calls) == 1:
            raise OperationalError("database is locked")
        take(self)

    monkeypatch.setattr(Event, "take", fail_first)
    process([event.pk])
    assert read(event).status == "received"
    assert 0 < seconds_until_due(event) <= 5
    assert effects() == []
    assert received_signals.names() == ["event_retried"]


# ---- a lock that another process holds

LOCK_TIMEOUTS = [name for name in TRANSIENT if "lock wait" in name] + ["PostgreSQL's lock timeout"]


def lock_timeout(name):
    """Return the error of a database that has waited for a lock for too long."""
    if name in TRANSIENT:
        return TRANSIENT[name]()
    return caused_by(OperationalError("canceling statement"), sqlstate="55P03")


@pytest.mark.parametrize("verb", ["take", "prepare", "apply", "second look", "deliver"])
@pytest.mark.parametrize("name", LOCK_TIMEOUTS)
def test_a_lock_timeout_is_no_attempt_wherever_it_happens(
    name, verb, settings, order, monkeypatch, received_signals
):
    monkeypatch.setattr(RetryPolicy, "run", lambda self, function, *args: function(*args))
    looks = []

    def wait_for_lock(self, event=None):
        raise lock_timeout(name)

    def is_ready(self, event):
        looks.append(event)
        if len(looks) > 1:
            raise lock_timeout(name)
        return False

    if verb == "take":
        monkeypatch.setattr(Event, "take", wait_for_lock)
        handle(settings, parent=Effect)
    elif verb == "second look":
        handle(settings, parent=Effect, is_ready=is_ready)
    else:
        handle(settings, parent=Effect, **{verb: wait_for_lock})
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert row.attempts == 0
    expected = {"deliver": "applied", "second look": "waiting"}
    assert row.status == expected.get(verb, "received")
    assert is_in(row.due_at, 5)
    assert received_signals.names()[-1] == "event_retried"
    assert len(effects()) == (verb == "deliver")


def test_a_lock_timeout_leaves_the_attempts_as_they_were(settings, order, monkeypatch):
    monkeypatch.setattr(RetryPolicy, "run", lambda self, function, *args: function(*args))

    def apply(self, event):
        raise OperationalError(1205, "Lock wait timeout exceeded")

    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 3
    handle(settings, apply=apply)
    event = EventFactory(attempts=2)
    for _ in range(5):
        process([event.pk])
        assert (read(event).status, read(event).attempts) == ("received", 2)
        Event.objects.filter(pk=event.pk).update(due_at=0)


def test_the_pause_before_a_statement_is_repeated_is_short_and_never_the_same():
    pauses = {pause(OperationalError(1213, "")) for _ in range(20)}
    assert 0.01 <= min(pauses) < max(pauses) <= 0.1


# ---- errors that are hard to record


class HostileResponse:
    """A response whose every attribute raises."""

    def __getattr__(self, name):
        raise RuntimeError(name)


def respond(**attributes):
    """Return an error that carries a response, as those of requests and httpx do."""
    error = Exception("from downstream")
    error.response = SimpleNamespace(**attributes)
    return error


class NoRepr(Exception):
    """An error that can't be described."""

    def __repr__(self):
        raise RuntimeError("repr")

    __str__ = __repr__


class NoReprDatabaseError(NoRepr, DatabaseError):
    """A database error that can't be described."""


class NoResponse(Exception):
    """An error whose response can't be asked for."""

    @property
    def response(self):
        raise RuntimeError("response")


class OddRepr(Exception):
    """An error that is described by what no database stores."""

    def __repr__(self):
        return "a\0b \ud800 c"


class NoTextRepr(Exception):
    """An error whose description is no text."""

    def __repr__(self):
        return 7


HOSTILE = {
    "status None": lambda: respond(status_code=None, headers={}),
    "status text": lambda: respond(status_code="404", headers={}),
    "status float": lambda: respond(status_code=404.0, headers={}),
    "no status": lambda: respond(headers={}),
    "headers None": lambda: respond(status_code=503, headers=None),
    "no headers": lambda: respond(status_code=503),
    "headers a list": lambda: respond(status_code=503, headers=[("Retry-After", "5")]),
    "Retry-After None": lambda: respond(status_code=429, headers={"Retry-After": None}),
    "Retry-After int": lambda: respond(status_code=429, headers={"Retry-After": 1}),
    "Retry-After bytes": lambda: respond(status_code=429, headers={"Retry-After": b"1"}),
    "Retry-After object": lambda: respond(status_code=429, headers={"Retry-After": NoRepr()}),
    "Retry-After year 0": lambda: respond(
        status_code=429, headers={"Retry-After": "Mon, 00 Jan 0000 00:00:00 GMT"}
    ),
    "hostile response": lambda: setattr_response(Exception("x"), HostileResponse()),
    "hostile attribute": NoResponse,
    "repr raises": NoRepr,
    "repr is odd": OddRepr,
    "repr is no text": NoTextRepr,
    "NUL": lambda: ValueError("a\0b"),
    "lone surrogate": lambda: ValueError("a\ud800b"),
    "emoji": lambda: ValueError("\U0001f4a5" * 1000),
    "no arguments": Exception,
    "database error of a list": lambda: DatabaseError(["no code"]),
    "database error without repr": NoReprDatabaseError,
    "group of itself": lambda: nest(ValueError("x")),
}


def setattr_response(error, response):
    """Return an error with a response."""
    error.response = response
    return error


def nest(error):
    """Return an error whose own arguments contain it."""
    error.args = (error,)
    return error


@pytest.mark.parametrize("verb", ["prepare", "idempotency_key", "is_ready", "apply", "deliver"])
@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_an_error_is_like_it_is_recorded_and_reported(
    name, verb, fail_with, received_signals
):
    error = HOSTILE[name]()
    event = fail_with(error, verb=verb)
    row = read(event)
    assert (row.status, row.attempts) == ("applied" if verb == "deliver" else "received", 1)
    assert row.error
    assert len(row.error) <= 500
    assert 0 < seconds_until_due(event) <= 5
    (facts,) = received_signals.of("event_retried")
    assert facts["error"] is error


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_an_error_is_like_the_last_attempt_ends_the_event(
    name, fail_with, received_signals
):
    event = fail_with(HOSTILE[name](), attempts=24)
    row = read(event)
    assert (row.status, row.attempts, row.due_at) == ("failed", 25, None)
    assert row.error
    assert received_signals.names() == ["event_failed"]


def test_what_no_database_stores_is_escaped_in_an_error(fail_with):
    row = read(fail_with(OddRepr()))
    assert row.error == "a\\x00b \\ud800 c"


def test_an_event_that_is_not_ready_to_be_prepared_waits(settings, order, received_signals):
    ready = []

    def prepare(self, event):
        if not ready:
            raise NotReady("The provider has not settled it.")

    handle(settings, parent=Effect, prepare=prepare)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts) == ("waiting", 0)
    assert row.error == "The provider has not settled it."
    ready.append(True)
    Event.objects.filter(pk=event.pk).update(due_at=0)
    process([event.pk])
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])


def test_a_delivery_that_is_not_ready_is_tried_again(settings, order, received_signals):
    def deliver(self, event):
        raise NotReady("The warehouse is closed.")

    handle(settings, parent=Effect, deliver=deliver)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, row.error) == (
        "applied",
        1,
        repr(NotReady("The warehouse is closed.")),
    )
    assert 0 < seconds_until_due(event) <= 5
    assert received_signals.names() == ["event_applied", "event_retried"]
    assert effects() == [event.provider_event_id]


# ---- waiting


def test_an_event_waits_for_what_it_requires(steps, received_signals, published):
    event = steps("second")
    process([event.pk])
    row = read(event)
    assert (row.status, row.error, row.attempts) == ("waiting", "It waits for first.", 0)
    assert is_in(row.waiting_since, 0)
    assert is_in(row.due_at, 30)
    assert row.enqueue_at == row.due_at
    assert (row.idempotency_key, row.finished_at) == (None, None)
    assert effects() == []
    assert received_signals.names() == ["event_waiting"]
    assert published() == []


def test_looks_of_a_waiting_event_are_no_attempts_and_come_ever_more_rarely(
    steps, settings, monkeypatch
):
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 3
    clock, event, gaps = Clock(monkeypatch), steps("second"), []
    for _ in range(12):
        process([event.pk])
        row = read(event)
        assert (row.status, row.attempts) == ("waiting", 0)
        gap = row.due_at - time.time()
        gaps.append(round(gap))
        clock.advance(gap)
    assert gaps[0] == 30
    for gap, shorter in zip(gaps[2:], gaps[1:]):
        assert gap == pytest.approx(min(2 * shorter, 3600), abs=12)
    assert gaps[-1] == 3600


def test_an_event_that_waited_in_vain_fails_at_its_deadline(
    steps, monkeypatch, received_signals, published
):
    clock, event, looks, started = Clock(monkeypatch), steps("second"), 0, time.time()
    while read(event).status != "failed":
        process([event.pk])
        looks += 1
        assert looks < 100
        if read(event).status == "waiting":
            clock.advance(seconds_until_due(event))
    row = read(event)
    days = (time.time() - started) / 86400
    assert days == pytest.approx(3, abs=0.01)
    assert looks < 90
    assert "It waits for first. That did not come in time." in row.error
    assert (row.due_at, row.enqueue_at, row.idempotency_key) == (None, None, None)
    assert received_signals.names() == ["event_waiting", "event_failed"]
    assert effects() == []
    assert published() == []


def test_events_that_wait_for_each_other_both_fail_at_their_deadline(settings, monkeypatch):
    handle(settings, "hen", requires=("egg",))
    handle(settings, "egg", requires=("hen",))
    clock, events = Clock(monkeypatch), [EventFactory(type="hen"), EventFactory(type="egg")]
    for event in events:
        process([event.pk])
    assert {read(event).status for event in events} == {"waiting"}
    clock.advance(3 * 86400)
    for event in events:
        process([event.pk])
    assert {read(event).status for event in events} == {"failed"}


def test_a_failure_of_the_second_look_is_repeated_soon_and_not_yet_counted(
    settings, order, received_signals
):
    looks = []

    def is_ready(self, event):
        looks.append(event.attempts)
        return len(looks) > 1

    def apply(self, event):
        effect(event)
        raise ValueError

    handle(settings, is_ready=is_ready, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert len(looks) == 2
    assert read(event).attempts == 0
    assert 1.25 - 1 <= seconds_until_due(event) <= 2.5
    assert effects() == []
    assert received_signals.names() == ["event_waiting", "event_retried"]


# ---- one effect for two events


def test_two_events_that_say_the_same_have_one_effect(
    order, run_due, shop_state, received_signals, published
):
    data = {"charge_id": "ch_1", "amount": "10.00", "currency": "EUR"}
    first = EventFactory(provider_event_id="evt_1", data=data)
    second = EventFactory(provider_event_id="evt_2", data=data)
    run_due()
    row = read(second)
    assert (read(first).status, row.status) == ("processed", "duplicate")
    assert row.error == "charge.succeeded evt_1 had this effect already."
    assert received_signals.of("event_conflicted") == []
    assert (row.idempotency_key, row.due_at, row.enqueue_at) == (None, None, None)
    assert read(first).idempotency_key == digest(f"order-paid:{row.order_key}")
    assert shop_state()["ledger"] == [("payment", "A1")]
    assert received_signals.names() == ["event_applied", "event_processed", "event_duplicate"]
    assert published() == []


@pytest.mark.parametrize("other", [{"charge_id": "ch_2"}, {"amount": "9.00"}, {"currency": "USD"}])
def test_an_order_that_was_charged_twice_is_a_conflict(
    other, order, run_due, shop_state, received_signals
):
    data = {"charge_id": "ch_1", "amount": "10.00", "currency": "EUR"}
    first = EventFactory(provider_event_id="evt_1", data=data)
    second = EventFactory(provider_event_id="evt_2", data=dict(data, **other))
    run_due()
    assert (read(first).status, read(second).status) == ("processed", "duplicate")
    assert shop_state()["ledger"] == [("payment", "A1")]
    (facts,) = received_signals.of("event_conflicted")
    assert (facts["event"].pk, facts["other"].pk) == (first.pk, second.pk)
    # What differs is said, as money may have been taken twice.
    ((name, value),) = other.items()
    assert f'{name} was "{data[name]}", here it is "{value}".' in read(second).error
    assert "charge.succeeded evt_1 had this effect already." in read(second).error


def test_the_database_itself_refuses_a_second_effect(
    settings, order, monkeypatch, received_signals
):
    """Between the name of the effect and its claim, the other event is applied."""
    handle(settings, parent=OneEffect)
    first, second = EventFactory(), EventFactory()
    find_key, asked = RetryPolicy.find_key, []

    def find_key_slowly(self, handler, event):
        key = find_key(self, handler, event)
        asked.append(event.pk)
        if asked == [second.pk]:
            process([first.pk])
        return key

    monkeypatch.setattr(RetryPolicy, "find_key", find_key_slowly)
    process([second.pk])
    assert asked == [second.pk, first.pk]
    assert (read(first).status, read(second).status) == ("processed", "duplicate")
    assert read(second).attempts == 1
    assert effects() == [first.provider_event_id]
    # The two speak of different charges.
    names = ["event_processed", "event_duplicate", "event_conflicted"]
    assert received_signals.names() == names


def test_events_that_say_the_same_at_the_same_time_have_one_effect(settings, order):
    def apply(self, event):
        effect(event)
        time.sleep(0.05)

    handle(settings, parent=OneEffect, apply=apply)
    events = [EventFactory() for _ in range(4)]
    assert at_once(*[lambda pk=event.pk: process([pk]) for event in events]) == [None] * 4
    assert len(effects()) == 1
    statuses = sorted(read(event).status for event in events)
    assert statuses == ["duplicate", "duplicate", "duplicate", "processed"]
    assert {read(event).attempts for event in events} == {1}


def test_the_same_refund_id_of_two_providers_is_two_refunds(settings, order, run_due, shop_state):
    for name in ("default", "timed"):
        data = {"refund_id": "re_1", "amount": "2.00", "currency": "EUR"}
        EventFactory(provider=name, type="refund.created", provider_event_id="evt_r", data=data)
    EventFactory(data={"amount": "10.00", "currency": "EUR"})
    run_due()
    assert shop_state()["refunds"] == [("A1", "re_1"), ("A1", "re_1")]


@pytest.mark.parametrize("orders", [("A1", "A2"), ("A2", "A1")])
def test_an_effect_that_another_order_had_fails_and_fulfils_nothing(
    orders, settings, order, published, received_signals
):
    handle(settings, parent=Effect, idempotency_key=lambda self, event: "charge:ch_1")
    handle(settings, "refund.created", parent=Effect, requires=("charge.succeeded",))
    first, second = (
        EventFactory(provider_event_id=f"evt_{name}", order_id=name) for name in orders
    )
    refund = EventFactory(type="refund.created", order_id=orders[1])
    process([first.pk, refund.pk])
    process([second.pk])
    row = read(second)
    assert (read(first).status, row.status, row.idempotency_key) == ("processed", "failed", None)
    assert f"evt_{orders[0]}, of order {orders[0]}, had this effect already." in row.error
    assert effects() == [first.provider_event_id]
    assert read(refund).status == "waiting"
    assert published() == []
    assert received_signals.names()[-1] == "event_failed"


@pytest.mark.parametrize("names", [("", "A1"), ("A1", ""), ("", "")])
def test_an_effect_of_an_event_that_knows_no_order_is_the_same_effect(names, settings, order):
    handle(settings, parent=Effect, idempotency_key=lambda self, event: "charge:ch_1")
    first, second = (EventFactory(order_id=name) for name in names)
    process([first.pk, second.pk])
    assert (read(first).status, read(second).status) == ("processed", "duplicate")
    assert effects() == [first.provider_event_id]


@pytest.mark.parametrize("spoilt", ["first", "second"])
@pytest.mark.parametrize("how", ["body", "provider"])
def test_a_duplicate_is_a_duplicate_whatever_became_of_a_body_or_its_provider(
    how, spoilt, settings, order
):
    handle(settings, parent=Effect, idempotency_key=lambda self, event: "charge:ch_1")
    first, second = EventFactory(), EventFactory()
    process([first.pk])
    values = {"body": b"\xff no json"} if how == "body" else {"provider": "gone"}
    event = first if spoilt == "first" else second
    Event.objects.filter(pk=event.pk).update(**values)
    process([second.pk])
    row = read(second)
    assert row.status == "duplicate"
    assert "had this effect already." in row.error
    assert "can't be read" in row.error


def test_a_difference_of_any_size_is_cut_to_what_the_column_holds(settings, order):
    handle(settings, parent=OneEffect)
    first = EventFactory(data={"amount": "1" * 5000})
    second = EventFactory(data={"amount": "2" * 5000, "currency": "\U0001f4b6" * 500})
    process([first.pk, second.pk])
    row = read(second)
    assert row.status == "duplicate"
    assert len(row.error) <= 500


def test_an_integrity_error_of_the_handlers_own_is_a_failed_attempt(
    settings, order, received_signals
):
    def apply(self, event):
        effect(event)
        OrderFactory(id="A1")

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, row.idempotency_key) == ("received", 1, None)
    assert "IntegrityError" in row.error
    assert effects() == []
    assert received_signals.names() == ["event_retried"]


# ---- half of the effects is committed


def end_transaction_by_commit():
    """Commit behind Django's back."""
    with connection.cursor() as cursor:
        cursor.execute("COMMIT")


def end_transaction_by_ddl():
    """Change the schema, which MySQL and MariaDB commit at once, with all that was done before."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE half_committed (id integer)")
        cursor.execute("DROP TABLE half_committed")


ENDS = [end_transaction_by_commit]
if connection.vendor == "mysql":
    ENDS.append(end_transaction_by_ddl)


@pytest.mark.parametrize("delivers", [False, True])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    "error", [ValueError("too late"), IntegrityError("a key of its own"), PermanentFailure("no")]
)
def test_an_event_whose_transaction_the_handler_ended_before_it_failed_says_so(
    error, end, delivers, settings, order, published, received_signals, pass_time
):
    def apply(self, event):
        effect(event)
        end()
        raise error

    verbs = {"apply": apply}
    if delivers:
        verbs["deliver"] = lambda self, event: pytest.fail("half an effect was delivered")
    handle(settings, parent=OneEffect, **verbs)
    event = EventFactory()
    process([event.pk])
    row = read(event)
    assert (row.status, row.due_at, row.enqueue_at) == ("failed", None, None)
    assert row.error.startswith("A part of its effects is committed")
    assert repr(error) in row.error
    # The key is kept: the effect can't happen again.
    assert row.idempotency_key == digest("effect:A1")
    assert received_signals.names()[-1] == "event_failed"
    assert effects() == [event.provider_event_id]
    pass_time(3600)
    process([event.pk])
    assert effects() == [event.provider_event_id]
    other = EventFactory()
    process([other.pk])
    assert (read(other).status, len(effects())) == ("duplicate", 1)
    assert published() == []


@pytest.mark.skipif(connection.vendor == "mysql", reason="there it ends the transaction")
def test_a_schema_change_that_can_be_undone_is_undone(settings, order):
    def apply(self, event):
        effect(event)
        end_transaction_by_ddl()
        raise ValueError("too late")

    handle(settings, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, read(event).attempts, effects()) == ("received", 1, [])


# ---- the handler


def test_a_handler_is_made_for_the_type_that_the_settings_name():
    assert type(get_handler("charge.succeeded")) is MarkOrderPaid
    assert get_handler("charge.succeeded") is not get_handler("charge.succeeded")


@pytest.mark.parametrize("event_type", ["payout.paid", "", "Charge.Succeeded", "charge.succeeded "])
def test_a_type_that_the_settings_do_not_name_has_no_handler(event_type):
    assert get_handler(event_type) is None


def test_a_handler_that_can_not_be_imported_raises(settings):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": "shop.handlers.NoSuchClass"}
    with pytest.raises(ImportError):
        get_handler("charge.succeeded")
