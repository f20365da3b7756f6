"""The event's row: how it changes, what it reports, what makes two events different."""

from __future__ import annotations

import datetime
import json
import re
import time
from decimal import Decimal

import pytest
from django.conf import settings as django_settings
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import Overtaken
from django_payment_webhooks.models import Event, digest, due_in
from django_payment_webhooks.publisher import process
from django_payment_webhooks.receiving import receive_events

from .doubles import another_connection, handle, recorded_statements
from .factories import EventFactory, PayloadFactory
from .rows import FINAL, columns, is_in, read

pytestmark = pytest.mark.django_db(transaction=True)


# ---- change


def test_the_second_of_two_copies_of_a_row_is_overtaken_and_changes_nothing(
    received_signals, published
):
    EventFactory(provider_event_id="evt_1")
    first, second = Event.objects.get(), Event.objects.get()
    first.change(attempts=1)
    before = columns(first)
    with pytest.raises(Overtaken):
        second.change(status=Event.FAILED, error="late", attempts=9)
    assert columns(first) == before
    assert (before["attempts"], before["version"], before["status"]) == (1, 1, "received")
    assert (second.attempts, second.version, second.status) == (0, 0, "received")
    assert received_signals == []
    assert published() == []


def test_the_copy_that_changed_the_row_can_change_it_again():
    event = EventFactory()
    for number in range(1, 4):
        event.change(attempts=number)
    assert (event.version, read(event).version, read(event).attempts) == (3, 3, 3)


def test_a_row_that_is_gone_can_not_be_changed():
    event, neighbour = EventFactory(), EventFactory()
    Event.objects.filter(pk=event.pk).delete()
    before = columns(neighbour)
    with pytest.raises(Overtaken):
        event.change(attempts=1)
    assert columns(neighbour) == before
    assert Event.objects.count() == 1


@pytest.mark.parametrize("status", ["received", "waiting", "applied", "failed"])
def test_a_change_is_one_statement_that_is_guarded_by_id_and_version_alone(status):
    event = EventFactory(status=status)
    with recorded_statements() as statements:
        event.reschedule(5, attempts=3)
    (statement,) = statements
    command, _, guard = statement.partition(" WHERE ")
    assert command.startswith("UPDATE")
    assert set(re.findall(r"payment_webhooks_event[\"`]?\.[\"`]?(\w+)", guard)) == {"id", "version"}


def test_a_change_touches_only_the_columns_that_it_names():
    event = EventFactory()
    Event.objects.filter(pk=event.pk).update(error="set by somebody else")
    event.change(attempts=1)
    assert columns(event)["error"] == "set by somebody else"


# ---- announce


def test_a_new_status_is_reported_once(received_signals):
    event = EventFactory()
    event.change(status=Event.WAITING)
    event.change(status=Event.WAITING, attempts=3)
    event.change(attempts=4)
    assert received_signals.names() == ["event_waiting"]
    (facts,) = received_signals.of("event_waiting")
    assert facts["event"] is event
    assert facts["sender"] is Event


def test_news_is_reported_after_the_commit_and_not_before(received_signals):
    event = EventFactory()
    with transaction.atomic():
        event.change(status=Event.WAITING)
        assert received_signals == []
    assert received_signals.names() == ["event_waiting"]


def test_news_that_is_rolled_back_is_never_reported(received_signals):
    event = EventFactory()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        event.change(status=Event.WAITING)
        raise ZeroDivisionError
    assert read(event).status == "received"
    assert received_signals == []


@pytest.mark.parametrize("status", list(Event.TRANSITIONS))
def test_every_status_has_a_signal_of_its_name(status, received_signals):
    event = EventFactory(status=status)
    event.announce(ValueError("why"))
    assert received_signals.names() == [f"event_{status}"]
    assert str(received_signals[0].facts["error"]) == "why"


# ---- the life of an event

STATUSES = list(Event.TRANSITIONS)


@pytest.mark.parametrize("after", STATUSES)
@pytest.mark.parametrize("before", STATUSES)
def test_a_status_is_followed_by_those_alone_that_may_follow_it(before, after, received_signals):
    event = EventFactory(status=before)
    if after == before or after in Event.TRANSITIONS[before]:
        event.change(status=after)
        assert read(event).status == after
        assert received_signals.names() == ([f"event_{after}"] if after != before else [])
        return
    with pytest.raises(ValueError, match=f"is {before} can't become {after}"):
        event.change(status=after)
    assert (read(event).status, read(event).version) == (before, 0)
    assert received_signals == []


def test_no_status_follows_an_effect_that_is_complete():
    assert Event.TRANSITIONS[Event.PROCESSED] == set()
    assert Event.TRANSITIONS[Event.DUPLICATE] == set()
    followers = set().union(*Event.TRANSITIONS.values())
    assert followers <= set(Event.TRANSITIONS)


@pytest.mark.parametrize("status", [Event.RECEIVED, Event.WAITING, Event.APPLIED])
def test_an_event_that_is_taken_is_counted_and_leased_and_swept_as_before(status):
    event = EventFactory(status=status, attempts=2)
    before = columns(event)
    event.take()
    after = columns(event)
    assert is_in(after.pop("due_at"), 300)
    assert (after.pop("attempts"), after.pop("version")) == (3, 1)
    assert after.items() <= before.items()


@pytest.mark.parametrize("delivers", [True, False])
def test_a_claim_writes_how_the_event_will_end(delivers, received_signals):
    event = EventFactory(error="an earlier error")
    with transaction.atomic():
        event.confirm(event.claim("a key", delivers))
    row = read(event)
    assert (row.status, row.error) == ("applied" if delivers else "processed", "")
    assert (row.idempotency_key, row.version) == ("a key", 1)
    if delivers:
        assert is_in(row.due_at, 300)
        assert row.enqueue_at == row.due_at
    else:
        assert (row.due_at, row.enqueue_at, is_in(row.finished_at, 0)) == (None, None, True)


@pytest.mark.parametrize(
    "values",
    [
        {"version": 2},
        {"idempotency_key": None},
        {"idempotency_key": "another"},
        {"status": Event.WAITING},
        {"due_at": 1.5},
        {"due_at": None},
        {"finished_at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)},
    ],
    ids=str,
)
@pytest.mark.parametrize("delivers", [True, False])
def test_a_claim_of_which_anything_is_gone_is_not_confirmed(values, delivers):
    event = EventFactory()
    written = event.claim("a key", delivers)
    event.confirm(written)
    if {name: columns(event)[name] for name in values} == values:
        return  # what it is anyway
    Event.objects.filter(pk=event.pk).update(**values)
    with pytest.raises(transaction.TransactionManagementError, match="hid a database error"):
        event.confirm(written)


def test_a_claim_whose_row_is_gone_is_not_confirmed():
    event = EventFactory()
    written = event.claim("a key", False)
    Event.objects.filter(pk=event.pk).delete()
    with pytest.raises(transaction.TransactionManagementError):
        event.confirm(written)


# ---- reschedule and finish


def test_a_rescheduled_event_is_due_after_the_delay_and_swept_after_the_grace_too():
    event = EventFactory(due_at=None)
    before = time.time()
    event.reschedule(60, 30, attempts=2)
    row, after = read(event), time.time()
    assert before <= row.due_at - 60 <= after
    assert row.enqueue_at - row.due_at == pytest.approx(30, abs=0.001)
    assert (row.attempts, row.status, row.version) == (2, "received", 1)


def test_an_event_that_is_rescheduled_without_a_grace_is_swept_as_soon_as_it_is_due():
    event = EventFactory()
    event.reschedule(0.25)
    row = read(event)
    assert row.enqueue_at == row.due_at == event.due_at


def test_moments_are_kept_as_exactly_as_they_are_computed():
    event = EventFactory()
    times = {"due_at": 1795860436.8413134, "enqueue_at": 1795860466.8413136}
    event.change(**times)
    row = columns(event)
    assert {name: row[name] for name in times} == times
    assert Event.objects.filter(pk=event.pk, **times).exists()


def test_a_grace_is_exactly_as_long_as_it_is():
    """A sweep tells by it whether an event was swept before."""
    for delay in (0, 0.1, 1 / 3, 1e6):
        times = due_in(delay, 30)
        assert times["enqueue_at"] - times["due_at"] == 30


@pytest.mark.parametrize("status", FINAL)
def test_nothing_of_a_finished_event_is_due(status, received_signals, run_due, published):
    event = EventFactory(error="an earlier error")
    event.finish(status, "the reason")
    row = read(event)
    assert (row.status, row.error, row.due_at, row.enqueue_at) == (status, "the reason", None, None)
    assert abs(timezone.now() - row.finished_at) < datetime.timedelta(seconds=5)
    assert run_due() == []
    assert published() == []
    assert received_signals.names() == ["event_" + status]


def test_an_event_that_finishes_well_has_no_error_any_more():
    event = EventFactory(error="an earlier error")
    event.finish(Event.PROCESSED)
    assert read(event).error == ""


# ---- payload and data


def test_numbers_of_the_payload_are_exact():
    data = b'{"amount": 10.10, "big": 12345678901234567890, "e": 1e2}'
    body = b'{"event_id": "evt_1", "type": "t", "data": ' + data + b"}"
    event = read(EventFactory(body=body))
    data = event.payload["data"]
    assert data == {"amount": Decimal("10.10"), "big": 12345678901234567890, "e": Decimal("1e2")}
    assert [type(value) for value in data.values()] == [Decimal, int, Decimal]


def test_data_is_what_the_paths_of_the_provider_find():
    event = read(EventFactory(data={"charge_id": "ch_1", "amount": "10.00", "currency": "EUR"}))
    assert event.data == {
        "charge_id": "ch_1",
        "refund_id": None,
        "dispute_id": None,
        "amount": "10.00",
        "currency": "EUR",
    }


def test_the_payload_of_one_event_among_several_is_its_own(settings):
    first, second = PayloadFactory(), PayloadFactory(data__amount="7.00")
    body = json.dumps({"items": [{"event": first}, {"event": second}]}).encode()
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"many": {"EVENTS_PATH": "items.*.event"}}
    receive_events(get_provider("many"), {}, body)
    stored = Event.objects.order_by("pk")
    assert [event.payload for event in stored] == [first, second]
    assert [event.data["amount"] for event in stored] == ["10.00", "7.00"]


def test_the_payload_of_a_body_that_can_not_be_parsed_raises_value_error():
    event = read(EventFactory(type="", body=b"no json"))
    with pytest.raises(ValueError):
        assert event.payload


def test_the_body_is_stored_byte_by_byte():
    body = bytes(range(256)) + '{"a": "\u20ac\U0001f4b6"}'.encode() + b"\r\n\0 \t"
    event = read(EventFactory(body=body))
    assert bytes(event.body) == body


def test_an_event_is_shown_by_its_type_and_id():
    assert (
        str(Event(type="charge.succeeded", provider_event_id="evt_1")) == "charge.succeeded evt_1"
    )
    moment = datetime.datetime(2026, 11, 28, 16, 30, 5, 123)
    unparsed = Event(provider_event_id="unparsed:12", received_at=moment)
    assert str(unparsed) == "unparsed event, received 2026-11-28 16:30:05"
    assert str(Event(type="a\u202eb", provider_event_id="\x1b[1m")) == r"a\u202eb \x1b[1m"


# ---- keys


def test_a_key_does_not_run_names_together():
    assert (
        len({digest("a", "b"), digest("ab", ""), digest("", "ab"), digest("ab"), digest("b", "a")})
        == 5
    )


@pytest.mark.parametrize(
    "name", ["", "evt_1", "\u20ac", "\U0001f4b6", "\ud800", "a\0b", "x" * 100000]
)
def test_a_key_is_thirty_two_lower_case_hex_digits(name):
    assert re.match(r"\A[0-9a-f]{32}\Z", digest("default", name))
    assert digest("default", name) == digest("default", name)


@pytest.mark.parametrize(
    "first, second",
    [
        ("evt_A", "evt_a"),
        ("evt_x", "evt_x "),
        ("evt_x", " evt_x"),
        ("evt_e", "evt_\u00e9"),
        ("evt_\u00e9", "evt_e\u0301"),
        ("evt_\U0001f600", "evt_\U0001f601"),
        ("evt_ss", "evt_\u00df"),
        ("evt_1", "evt_\uff11"),
        ("evt_" + "x" * 250 + "a", "evt_" + "x" * 250 + "b"),
        ("0", "00"),
    ],
)
def test_ids_that_a_collation_takes_for_equal_are_different_events(
    first, second, order, published, run_due
):
    bodies = [json.dumps(PayloadFactory(event_id=name)).encode() for name in (first, second)]
    events = [receive_events(get_provider("default"), {}, body)[0] for body in bodies]
    assert [event.is_new for event in events] == [True, True]
    assert [event.provider_event_id for event in Event.objects.order_by("pk")] == [first, second]
    assert sorted(published()) == [event.pk for event in events]
    again = [receive_events(get_provider("default"), {}, body)[0] for body in bodies]
    assert [event.is_new for event in again] == [False, False]
    assert Event.objects.count() == 2


@pytest.mark.parametrize(
    "first, second",
    [
        ("ord_A", "ord_a"),
        ("ord_x", "ord_x "),
        ("ord_e", "ord_\u00e9"),
        ("\U0001f600", "\U0001f601"),
    ],
)
def test_orders_that_a_collation_takes_for_equal_are_different_orders(
    first, second, settings, run_due
):
    handle(settings, "first")
    handle(settings, "second", requires=("first",))
    EventFactory(type="first", order_id=first)
    other = EventFactory(type="second", order_id=second)
    same = EventFactory(type="second", order_id=first)
    run_due()
    assert (read(other).status, read(same).status) == ("waiting", "processed")


def test_the_database_refuses_a_second_row_for_an_event():
    EventFactory(provider_event_id="evt_1")
    with pytest.raises(IntegrityError), transaction.atomic():
        EventFactory(provider_event_id="evt_1")
    assert Event.objects.count() == 1


def test_the_database_refuses_a_second_event_with_the_same_effect():
    first, second, third = EventFactory(), EventFactory(), EventFactory()
    first.change(idempotency_key=digest("order-paid:A1"))
    with pytest.raises(IntegrityError), transaction.atomic():
        second.change(idempotency_key=digest("order-paid:A1"))
    assert [read(event).idempotency_key for event in (second, third)] == [None, None]


# ---- which database


class StaleReplica:
    """A router that reads events from where they are not."""

    def db_for_read(self, model, **hints):
        return "replica" if model is Event else None

    def db_for_write(self, model, **hints):
        return "default" if model is Event else None


class Elsewhere:
    """A router that keeps the events away from the default connection."""

    def db_for_read(self, model, **hints):
        return "default" if model is Event else None

    def db_for_write(self, model, **hints):
        return "elsewhere" if model is Event else None


def test_events_are_read_from_the_database_that_is_written_to(
    settings, order, webhook, published, run_due
):
    settings.DATABASE_ROUTERS = [
        StaleReplica()
    ]  # there is no database "replica": reading from it fails
    assert "replica" not in django_settings.DATABASES
    assert webhook(event_id="evt_1").json() == {"status": "accepted", "event_id": "evt_1"}
    assert webhook(event_id="evt_1").json() == {"status": "duplicate", "event_id": "evt_1"}
    webhook(event_id="evt_2", type="refund.created", refund_id="re_1")
    receive_events(get_provider("default"), {}, b"{}")
    run_due()
    assert sorted(Event.objects.values_list("status", flat=True)) == [
        "failed",
        "processed",
        "processed",
    ]
    assert len(published()) == 3


def test_everything_happens_on_the_connection_that_events_are_written_to(
    settings, received_signals, published
):
    seen = []
    handle(settings, apply=lambda self, event: seen.append(connection.in_atomic_block))
    with another_connection("elsewhere") as elsewhere:
        settings.DATABASE_ROUTERS = [Elsewhere()]
        body = json.dumps(PayloadFactory()).encode()
        with transaction.atomic(using="elsewhere"):
            (event,) = receive_events(get_provider("default"), {}, body)
            assert (received_signals, published()) == ([], [])
        assert received_signals.names() == ["event_received"]
        assert published() == [event.pk]
        with CaptureQueriesContext(connection) as queries, CaptureQueriesContext(
            elsewhere
        ) as queries_elsewhere:
            process([event.pk])
        assert len(queries) == 0
        assert len(queries_elsewhere) > 3
        assert seen == [False]  # the transaction is the other connection's
        assert columns(event)["status"] == "processed"
        settings.DATABASE_ROUTERS = []
