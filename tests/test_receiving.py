"""Receiving: what a webhook's events become in the table, and which messages are sent for them."""

from __future__ import annotations

import json
import time

import pytest
from django.db import IntegrityError, OperationalError, ProgrammingError, transaction
from django.utils import timezone

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.providers.comparison import find_fingerprint
from django_payment_webhooks.publisher import process
from django_payment_webhooks.receiving import receive_events

from .database_errors import LASTING, TRANSIENT
from .doubles import at_once
from .factories import EventFactory, PayloadFactory
from .rows import FINAL, columns, is_in, read

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_is_stored_with_all_that_is_known_about_it(
    receive, body, received_signals, published
):
    before = timezone.now()
    event = receive(event_id="evt_1", created_at="2026-11-23T10:00:00Z")
    row = read(event)
    assert event.is_new
    assert (row.provider, row.provider_event_id, row.type, row.order_id) == (
        "default",
        "evt_1",
        "charge.succeeded",
        "A1",
    )
    assert (row.dedup_key, row.order_key) == (digest("default", "evt_1"), digest("A1"))
    assert (row.status, row.attempts, row.version, row.error) == ("received", 0, 0, "")
    assert row.fingerprint == find_fingerprint(row.payload)
    assert (row.verified_by, row.idempotency_key) == ("by-test", None)
    assert row.occurred_at.isoformat() == "2026-11-23T10:00:00+00:00"
    assert before <= row.received_at <= timezone.now()
    assert is_in(row.due_at, 0)
    assert row.enqueue_at - row.due_at == pytest.approx(30, abs=0.001)
    assert (row.waiting_since, row.finished_at) == (None, None)
    assert received_signals.names() == ["event_received"]
    assert received_signals.of("event_received")[0]["event"] == event
    assert published() == [event.pk]


def test_the_same_event_is_stored_once(receive, received_signals, published):
    first = receive(event_id="evt_1", data__charge_id="ch_1")
    again = receive(event_id="evt_1", data__charge_id="ch_1")
    assert (first.is_new, again.is_new, again.pk) == (True, False, first.pk)
    assert columns(first)["version"] == 0
    assert Event.objects.count() == 1
    assert received_signals.names() == ["event_received"]
    # It was still received: a message too many costs nothing.
    assert published() == [first.pk, first.pk]


@pytest.mark.parametrize("status", FINAL + [Event.WAITING, Event.APPLIED])
def test_a_repeated_event_that_a_worker_took_is_not_enqueued_again(
    status, receive, received_signals, published
):
    event = receive(event_id="evt_1", data__charge_id="ch_1")
    event.change(status=status, due_at=None if status in FINAL else time.time() + 60)
    published()
    before = columns(event)
    del received_signals[:]
    assert receive(event_id="evt_1", data__charge_id="ch_1").is_new is False
    assert published() == []
    assert columns(event) == before
    assert received_signals == []


def test_an_id_that_comes_again_with_other_content_is_a_conflict_and_the_first_is_kept(
    receive, received_signals, published
):
    first = receive(event_id="evt_1", data__amount="10.00")
    again = receive(event_id="evt_1", data__amount="99.00")
    assert (again.pk, again.is_new, Event.objects.count()) == (first.pk, False, 1)
    assert read(first).payload["data"]["amount"] == "10.00"
    assert received_signals.names() == ["event_received", "event_conflicted"]
    (facts,) = received_signals.of("event_conflicted")
    assert (facts["event"].pk, facts["other"].pk) == (first.pk, None)
    assert facts["other"].payload["data"]["amount"] == "99.00"
    assert published() == [first.pk, first.pk]


def test_the_same_content_in_other_bytes_is_no_conflict(body, received_signals):
    first = body(event_id="evt_1")
    again = json.dumps(json.loads(first.decode()), indent=4, sort_keys=True).encode()
    assert again != first
    receive_events(get_provider("default"), {}, first)
    receive_events(get_provider("default"), {}, again)
    assert bytes(Event.objects.get().body) == first
    assert received_signals.names() == ["event_received"]


def test_the_same_id_from_another_provider_is_another_event(body, published):
    same = body(event_id="evt_1")
    events = [receive_events(get_provider(name), {}, same)[0] for name in ("default", "timed")]
    assert [event.is_new for event in events] == [True, True]
    assert Event.objects.count() == 2
    assert published() == [event.pk for event in events]


def test_several_events_of_one_webhook_are_stored_each(settings, published):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"many": {"EVENTS_PATH": "items.*"}}
    same = PayloadFactory(event_id="evt_1")
    items = [same, PayloadFactory(event_id="evt_2"), same]
    events = receive_events(get_provider("many"), {}, json.dumps({"items": items}).encode())
    assert [(event.provider_event_id, event.is_new) for event in events] == [
        ("evt_1", True),
        ("evt_2", True),
        ("evt_1", False),
    ]
    assert [event.payload for event in Event.objects.order_by("pk")] == items[:2]
    first, second = Event.objects.order_by("pk")
    assert published() == [first.pk, second.pk, first.pk]


def test_a_body_that_can_not_be_parsed_is_kept_once(received_signals, published, run_due):
    for is_new in (True, False):
        (event,) = receive_events(
            get_provider("default"), {}, b'{"type": "charge.succeeded"}', "by-test"
        )
        assert event.is_new is is_new
    event = Event.objects.get()
    assert (event.status, event.type, event.verified_by) == ("failed", "", "by-test")
    assert event.provider_event_id == "unparsed:" + digest(b'{"type": "charge.succeeded"}'.hex())
    assert bytes(event.body) == b'{"type": "charge.succeeded"}'
    assert "event_id" in event.error
    assert (event.due_at, event.enqueue_at) == (None, None)
    assert is_in(event.finished_at, 0)
    assert received_signals.names() == ["event_failed"]
    assert published() == []
    assert run_due() == []


def test_two_bodies_that_can_not_be_parsed_are_both_kept():
    for body in (b"one", b"two", b"\xff\xfe", b"{}"):
        receive_events(get_provider("default"), {}, body)
    assert sorted(bytes(event.body) for event in Event.objects.all()) == [
        b"one",
        b"two",
        b"{}",
        b"\xff\xfe",
    ]


def test_one_of_several_that_can_not_be_parsed_fails_the_webhook_and_stores_none_of_them(
    settings, published
):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"many": {"EVENTS_PATH": "items.*"}}
    body = json.dumps({"items": [PayloadFactory(), {"type": "no id"}]}).encode()
    receive_events(get_provider("many"), {}, body)
    assert [(event.status, bytes(event.body)) for event in Event.objects.all()] == [
        ("failed", body)
    ]
    assert published() == []


def test_an_insert_that_comes_second_finds_the_row_that_came_first(
    monkeypatch, body, published, received_signals
):
    """Between the look and the INSERT, another process stores the same event."""
    same, save, first = body(event_id="evt_1"), Event.save, []

    def save_second(self, **options):
        if not first:
            first.append(self)
            first[0] = EventFactory(provider_event_id="evt_1", body=same)
        return save(self, **options)

    monkeypatch.setattr(Event, "save", save_second)
    (event,) = receive_events(get_provider("default"), {}, same)
    assert ([event], event.is_new) == (first, False)
    assert Event.objects.count() == 1
    assert published() == [event.pk]
    assert received_signals == []


def test_a_row_that_the_database_refuses_for_another_reason_is_never_called_a_duplicate(
    monkeypatch, receive, published, received_signals
):
    save, tries = Event.save, []

    def save_without_type(self, **options):
        tries.append(self)
        self.type = None
        return save(self, **options)

    monkeypatch.setattr(Event, "save", save_without_type)
    with pytest.raises(IntegrityError):
        receive()
    assert len(tries) == 6
    assert Event.objects.count() == 0
    assert published() == []
    assert received_signals == []


@pytest.mark.parametrize("name", TRANSIENT)
def test_an_insert_that_was_a_victim_is_repeated(name, monkeypatch, receive, published):
    errors, save = [TRANSIENT[name]() for _ in range(5)], Event.save

    def save_at_last(self, **options):
        if errors:
            raise errors.pop()
        save(self, **options)

    monkeypatch.setattr(Event, "save", save_at_last)
    event = receive()
    assert (event.is_new, errors) == (True, [])
    assert Event.objects.get() == event
    assert published() == [event.pk]


@pytest.mark.parametrize("make", [LASTING[name] for name in sorted(LASTING)], ids=sorted(LASTING))
def test_an_insert_that_fails_for_good_is_reported_at_once(
    make, monkeypatch, receive, published, received_signals
):
    calls = []

    def save(self, **options):
        calls.append(self)
        raise make()

    monkeypatch.setattr(Event, "save", save)
    with pytest.raises((OperationalError, ProgrammingError)):
        receive()
    assert len(calls) == 1
    assert Event.objects.count() == 0
    assert published() == []
    assert received_signals == []


def test_an_insert_that_is_a_victim_again_and_again_is_given_up(monkeypatch, receive, published):
    calls = []

    def save(self, **options):
        calls.append(self)
        raise OperationalError(1213, "Deadlock found when trying to get lock")

    monkeypatch.setattr(Event, "save", save)
    with pytest.raises(OperationalError):
        receive()
    assert len(calls) == 6
    assert published() == []


def test_an_event_that_is_delivered_many_times_at_once_is_stored_once(
    body, published, received_signals
):
    same = body(event_id="evt_1")
    results = at_once(*[lambda: receive_events(get_provider("default"), {}, same)[0]] * 8)
    assert Event.objects.count() == 1
    assert sorted(event.is_new for event in results) == [False] * 7 + [True]
    assert {event.pk for event in results} == {Event.objects.get().pk}
    assert received_signals.names() == ["event_received"]
    assert published() == [Event.objects.get().pk] * 8


def test_events_received_in_a_transaction_of_the_host_go_with_it(
    receive, published, received_signals
):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert receive().is_new
        raise ZeroDivisionError
    assert Event.objects.count() == 0
    assert published() == []
    assert received_signals == []


def test_events_received_in_a_transaction_of_the_host_are_enqueued_after_its_commit(
    receive, published, received_signals
):
    with transaction.atomic():
        event = receive()
        assert published() == []
        assert received_signals == []
    assert published() == [event.pk]
    assert received_signals.names() == ["event_received"]


def test_an_event_is_swept_if_what_the_host_does_on_commit_fails_before_it_is_enqueued(
    receive, published, order
):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        transaction.on_commit(fail)
        event = receive()
    assert published() == []
    assert is_in(read(event).enqueue_at, 30)
    process([event.pk])
    assert read(event).status == "processed"
