"""Resolve: an event that was handled by hand ends, and its effect does not happen again."""

import time

import pytest
from django.db import transaction
from django.db.models import F

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.operations.resolve import ResolveError, resolve
from django_payment_webhooks.publisher import process
from django_payment_webhooks.receiving import receive_events

from ..doubles import handle
from ..factories import EventFactory

pytestmark = pytest.mark.django_db(transaction=True)


def read(event):
    """Return the event as its row is now."""
    return Event.objects.get(pk=event.pk)


def columns(event):
    """Return the row as plain values."""
    return Event.objects.filter(pk=event.pk).values().get()


def by_hand(event, reason="shipped by hand"):
    """Mark an event as handled by hand."""
    return resolve(event, "alice", reason)


@pytest.mark.parametrize(
    "status", [Event.RECEIVED, Event.WAITING, Event.APPLIED, Event.IGNORED, Event.FAILED]
)
def test_an_event_that_is_handled_by_hand_is_processed_and_says_by_whom_and_why(
    status, received_signals, published
):
    event = EventFactory(status=status, error="the reason")
    assert by_hand(event) is True
    row = read(event)
    assert (row.status, row.error) == ("processed", "Handled by hand by alice: shipped by hand")
    assert (row.due_at, row.enqueue_at) == (None, None)
    assert abs(row.finished_at.timestamp() - time.time()) < 10
    assert row.idempotency_key == digest(f"order-paid:{digest('A1')}")
    assert (event.status, event.version) == (row.status, row.version)
    assert received_signals.names() == ["event_processed"]
    assert published() == []
    process([event.pk])
    assert columns(event) == columns(row)


@pytest.mark.parametrize("status", [Event.PROCESSED, Event.DUPLICATE])
def test_an_event_whose_effect_was_had_is_not_handled_by_hand(status, received_signals):
    event = EventFactory(status=status)
    before = columns(event)
    assert by_hand(event) is False
    assert columns(event) == before
    assert received_signals == []


@pytest.mark.parametrize("reason", ["", " \n"])
def test_marking_an_event_as_handled_by_hand_needs_a_reason(reason):
    event = EventFactory(status=Event.FAILED)
    before = columns(event)
    with pytest.raises(ValueError, match="reason is blank"):
        by_hand(event, reason)
    assert columns(event) == before


def test_a_long_reason_is_cut():
    event = EventFactory(status=Event.FAILED)
    assert by_hand(event, "x" * 10000)
    assert len(read(event).error) == 500


def test_an_effect_that_was_had_by_hand_is_had_by_no_other_event(order, run_due, shop_state):
    assert by_hand(EventFactory(status=Event.FAILED, due_at=None))
    other = EventFactory()
    run_due()
    assert read(other).status == "duplicate"
    assert shop_state()["ledger"] == []


def test_an_event_whose_effect_another_had_is_a_duplicate_that_says_by_whom(
    order, run_due, received_signals
):
    EventFactory()
    run_due()
    event = EventFactory(status=Event.FAILED, due_at=None)
    assert by_hand(event) is True
    row = read(event)
    assert (row.status, row.error) == ("duplicate", "Handled by hand by alice: shipped by hand")
    assert row.idempotency_key is None
    assert received_signals.names()[-1] == "event_duplicate"


def test_an_event_whose_effect_another_order_had_is_left_and_says_whose_it_is(
    settings, received_signals
):
    handle(settings, idempotency_key=lambda self, event: "the same")
    holder = EventFactory(
        order_id="A7", status=Event.PROCESSED, idempotency_key=digest("the same"), due_at=None
    )
    event = EventFactory(status=Event.FAILED, due_at=None)
    before = columns(event)
    with pytest.raises(ResolveError, match="^%s, of order A7, had this effect" % holder):
        by_hand(event)
    assert columns(event) == before
    assert received_signals == []


def test_an_event_whose_effect_one_without_an_order_had_is_a_duplicate(settings):
    handle(settings, idempotency_key=lambda self, event: "the same")
    EventFactory(
        order_id="", status=Event.PROCESSED, idempotency_key=digest("the same"), due_at=None
    )
    event = EventFactory(status=Event.FAILED, due_at=None)
    assert by_hand(event)
    assert read(event).status == "duplicate"


def test_what_waits_for_a_duplicate_is_released_when_it_is_handled_by_hand(
    order, run_due, received_signals
):
    EventFactory(
        type="checkout.completed",
        status=Event.PROCESSED,
        due_at=None,
        idempotency_key=digest(f"order-paid:{digest('A1')}"),
    )
    refund = EventFactory(
        type="refund.created", data={"refund_id": "re_1", "amount": "1.00", "currency": "EUR"}
    )
    run_due()
    assert read(refund).status == "waiting"
    charge = EventFactory(status=Event.FAILED, due_at=None)
    assert by_hand(charge)
    assert read(charge).status == "duplicate"
    assert received_signals.of("event_released")[0]["by"].pk == charge.pk
    run_due()
    assert read(refund).status == "processed"


@pytest.mark.parametrize("name", ["", None, 7])
def test_an_event_whose_key_names_nothing_has_its_own(settings, name):
    handle(settings, idempotency_key=lambda self, event: name)
    event = EventFactory(status=Event.FAILED, due_at=None)
    assert by_hand(event)
    assert read(event).idempotency_key == digest("event:" + event.dedup_key)


def test_what_waits_for_an_event_is_released_when_it_is_handled_by_hand(
    order, run_due, received_signals, shop_state
):
    refund = EventFactory(
        type="refund.created", data={"refund_id": "re_1", "amount": "1.00", "currency": "EUR"}
    )
    run_due()
    assert read(refund).status == "waiting"
    charge = EventFactory(status=Event.FAILED, due_at=None)
    assert by_hand(charge)
    assert received_signals.of("event_released")[0]["by"].pk == charge.pk
    run_due()
    assert read(refund).status == "processed"
    assert shop_state()["refunds"] == [("A1", "re_1")]


def test_a_committed_effect_keeps_its_key_when_the_delivery_is_made_by_hand():
    event = EventFactory(status=Event.APPLIED, idempotency_key=digest("k"))
    assert by_hand(event)
    assert (read(event).status, read(event).idempotency_key) == ("processed", digest("k"))


@pytest.mark.parametrize("event_type", ["customer.updated", "refund.created", "broken"])
def test_an_event_whose_key_can_not_be_found_has_its_own(settings, event_type):
    settings.PAYMENT_WEBHOOKS_HANDLERS = dict(
        settings.PAYMENT_WEBHOOKS_HANDLERS, broken="no.such.handler"
    )
    event = EventFactory(
        type=event_type, order_id="", status=Event.FAILED
    )  # a refund without its refund_id
    assert by_hand(event)
    assert (read(event).status, read(event).idempotency_key) == (
        "processed",
        digest("event:" + event.dedup_key),
    )


def test_an_unparsed_body_can_be_handled_by_hand():
    (unparsed,) = receive_events(get_provider("default"), {}, b"{}")
    assert by_hand(unparsed) is True
    assert (read(unparsed).status, read(unparsed).idempotency_key) == ("processed", None)


def test_an_event_that_changed_since_it_was_read_is_not_handled_by_hand(received_signals):
    event = EventFactory(status=Event.FAILED)
    Event.objects.update(version=F("version") + 1)
    before = columns(event)
    assert by_hand(event) is False
    assert columns(event) == before
    assert received_signals == []


def test_a_worker_that_has_the_event_meanwhile_has_no_effect(settings, order, shop_state):
    def apply(self, event):
        raise AssertionError("Two had the effect.")

    handle(settings, prepare=lambda self, event: by_hand(read(event)), apply=apply)
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, read(event).attempts) == ("processed", 1)


@pytest.mark.parametrize("is_duplicate", [False, True])
def test_within_a_transaction_an_event_is_handled_by_hand_when_that_commits(
    order, received_signals, is_duplicate
):
    refund = EventFactory(type="refund.created", status=Event.WAITING, due_at=time.time() + 3600)
    event = EventFactory(status=Event.FAILED, due_at=None)
    if is_duplicate:
        EventFactory(status=Event.PROCESSED, idempotency_key=digest(f"order-paid:{digest('A1')}"))
    with transaction.atomic():
        assert by_hand(event)
        assert received_signals == []
        assert read(refund).due_at > time.time()
    status = "duplicate" if is_duplicate else "processed"
    assert read(event).status == status
    assert sorted(received_signals.names()) == sorted(["event_" + status, "event_released"])


def test_an_event_is_not_handled_by_hand_if_the_transaction_is_rolled_back(received_signals):
    event = EventFactory(status=Event.FAILED, due_at=None)
    before = columns(event)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert by_hand(event)
        raise ZeroDivisionError
    assert columns(event) == before
    assert received_signals == []
