"""The event's row: how it changes, what it tells, what makes two events different."""

import datetime
import json
import re
from decimal import Decimal

import pytest
from django.conf import settings as django_settings
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import Overtaken, ParseError
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.processing import process, receive_events

from .doubles import another_connection, handle, recorded_statements
from .factories import EventFactory, PayloadFactory

pytestmark = pytest.mark.django_db(transaction=True)


def read(event):
    """Return another copy of the event's row."""
    return Event.objects.get(pk=event.pk)


def columns(event):
    """Return the row as plain values."""
    return Event.objects.filter(pk=event.pk).values().get()


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
        event.schedule(5, status=Event.PROCESSED)
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


def test_a_new_status_is_told_once(received_signals):
    event = EventFactory()
    event.change(status=Event.WAITING)
    event.change(status=Event.WAITING, attempts=3)
    event.change(attempts=4)
    assert received_signals.names() == ["event_waiting"]
    (facts,) = received_signals.of("event_waiting")
    assert facts["event"] is event
    assert facts["sender"] is Event


def test_news_is_told_after_the_commit_and_not_before(received_signals):
    event = EventFactory()
    with transaction.atomic():
        event.change(status=Event.WAITING)
        assert received_signals == []
    assert received_signals.names() == ["event_waiting"]


def test_news_that_is_rolled_back_is_never_told(received_signals):
    event = EventFactory()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        event.change(status=Event.WAITING)
        raise ZeroDivisionError
    assert read(event).status == "received"
    assert received_signals == []


@pytest.mark.parametrize("status", [name for name, _ in Event.STATUSES])
def test_every_status_has_a_signal_of_its_name(status, received_signals):
    event = EventFactory(status="other")
    event.change(status=status)
    assert received_signals.names() == ["event_" + status]


# ---- schedule and finish


def test_a_scheduled_event_is_due_after_the_delay_and_swept_after_the_grace_too():
    event = EventFactory(due_at=None)
    before = timezone.now()
    event.schedule(60, 30, attempts=2)
    row, after = read(event), timezone.now()
    assert before <= row.due_at - datetime.timedelta(seconds=60) <= after
    assert row.enqueue_at - row.due_at == datetime.timedelta(seconds=30)
    assert (row.attempts, row.status, row.version) == (2, "received", 1)


def test_an_event_that_is_scheduled_without_a_grace_is_swept_as_soon_as_it_is_due():
    event = EventFactory()
    event.schedule(0.25)
    row = read(event)
    assert row.enqueue_at == row.due_at == event.due_at


def test_moments_are_kept_to_the_microsecond():
    moment = datetime.datetime(2026, 11, 23, 10, 0, 0, 123457, tzinfo=datetime.timezone.utc)
    event = EventFactory()
    event.change(due_at=moment)
    assert read(event).due_at == moment


@pytest.mark.parametrize("status", [Event.PROCESSED, Event.DUPLICATE, Event.IGNORED, Event.FAILED])
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
    body = b'{"event_id": "evt_1", "type": "t", "data": {"amount": 10.10, "big": 12345678901234567890, "e": 1e2}}'
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
    assert str(Event(provider_event_id="unparsed:12")) == "unparsed unparsed:12"


# ---- keys


def test_a_key_does_not_run_names_together():
    assert (
        len({digest("a", "b"), digest("ab", ""), digest("", "ab"), digest("ab"), digest("b", "a")})
        == 5
    )


@pytest.mark.parametrize(
    "name", ["", "evt_1", "\u20ac", "\U0001f4b6", "\ud800", "a\0b", "x" * 100000]
)
def test_a_key_is_forty_lower_case_hex_digits(name):
    assert re.match(r"\A[0-9a-f]{40}\Z", digest("default", name))
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
    outcomes = [receive_events(get_provider("default"), {}, body)[0] for body in bodies]
    assert [created for _, created in outcomes] == [True, True]
    assert [event.provider_event_id for event in Event.objects.order_by("pk")] == [first, second]
    assert sorted(published()) == [event.pk for event, _ in outcomes]
    assert [receive_events(get_provider("default"), {}, body)[0][1] for body in bodies] == [
        False,
        False,
    ]
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
    ]  # there is no database "replica": whoever reads from it fails
    assert "replica" not in django_settings.DATABASES
    assert webhook(event_id="evt_1").json() == {"status": "accepted", "event_id": "evt_1"}
    assert webhook(event_id="evt_1").json() == {"status": "duplicate", "event_id": "evt_1"}
    webhook(event_id="evt_2", type="refund.created", refund_id="re_1")
    with pytest.raises(ParseError):
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
    told = []
    handle(settings, apply=lambda self, event: told.append(connection.in_atomic_block))
    with another_connection("elsewhere") as elsewhere:
        settings.DATABASE_ROUTERS = [Elsewhere()]
        body = json.dumps(PayloadFactory()).encode()
        with transaction.atomic(using="elsewhere"):
            ((event, _),) = receive_events(get_provider("default"), {}, body)
            assert (received_signals, published()) == ([], [])
        assert received_signals.names() == ["event_received"]
        assert published() == [event.pk]
        with CaptureQueriesContext(connection) as queries, CaptureQueriesContext(
            elsewhere
        ) as queries_elsewhere:
            process(event.pk)
        assert len(queries) == 0
        assert len(queries_elsewhere) > 3
        assert told == [False]  # the transaction is the other connection's
        assert columns(event)["status"] == "processed"
        settings.DATABASE_ROUTERS = []
