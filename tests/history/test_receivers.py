"""The history: what happened to each event is written down, and what the overview needs with it."""

import builtins
import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from shop.handlers import RecordRefund

from django_payment_webhooks import signals
from django_payment_webhooks.exceptions import PermanentFailure
from django_payment_webhooks.history import forget, read_traceback, receivers
from django_payment_webhooks.history.models import Cause, Entry, Rejection, Sweep
from django_payment_webhooks.history.receivers import rejections
from django_payment_webhooks.history.tracebacks import MAX_LENGTH, describe_traceback
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.publisher import process
from django_payment_webhooks.sweeper import sweep

from ..doubles import handle, recorded_statements
from ..factories import EventFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("history")]


def entries(event_id):
    """Return what is written of an event: its verbs and texts, the oldest first."""
    found = Entry.objects.filter(event__provider_event_id=event_id).order_by("pk")
    return list(found.values_list("verb", "attempts", "text"))


def rejected():
    """Return the counts of rejected webhooks."""
    rejections.write()
    return sorted(Rejection.objects.values_list("provider", "status", "reason", "count"))


def test_an_event_that_is_paid_is_applied_and_processed(webhook, order, run_due):
    webhook(event_id="evt_1")
    run_due()
    assert entries("evt_1") == [("applied", 1, ""), ("processed", 1, "")]
    ((at, finished_at),) = Entry.objects.filter(verb="processed").values_list(
        "at", "event__finished_at"
    )
    assert abs(at - finished_at) < timedelta(seconds=10)


def test_a_refund_is_written_to_wait_and_to_be_released_by_its_charge(webhook, order, run_due):
    webhook(event_id="evt_2", type="refund.created", refund_id="re_1", amount="1.00")
    run_due()
    webhook(event_id="evt_1")
    run_due()
    assert [verb for verb, _, _ in entries("evt_2")] == ["waiting", "released", "processed"]
    assert entries("evt_2")[0] == ("waiting", 0, "It waits for charge.succeeded.")
    assert Entry.objects.get(verb="released").other == Event.objects.get(provider_event_id="evt_1")


def test_each_failed_attempt_is_written_with_its_error(
    webhook, order, run_due, pass_time, monkeypatch
):
    monkeypatch.setattr("shop.handlers.MarkOrderPaid.deliver", lambda *_: 1 / 0)
    webhook(event_id="evt_1")
    run_due()
    pass_time(3600)
    run_due()
    error = "ZeroDivisionError('division by zero')"
    assert entries("evt_1") == [("applied", 1, ""), ("retried", 1, error), ("retried", 2, error)]


def test_a_replay_is_written_with_who_asked_for_it_and_why(webhook, order, run_due):
    webhook(event_id="evt_1", amount="7.00")
    run_due()
    assert replay(Event.objects.get())
    signals.event_replayed.send_robust(
        Event, event=Event.objects.get(), by="ada", reason="The price was fixed."
    )
    verbs = [verb for verb, _, _ in entries("evt_1")]
    assert verbs == ["failed", "replayed", "replayed"]
    assert Entry.objects.filter(verb="replayed").last().by == "ada"
    assert entries("evt_1")[-1][2] == "The price was fixed."
    assert entries("evt_1")[0][2].startswith("PermanentFailure(")


def test_two_charges_that_say_something_else_are_written_as_a_conflict(webhook, order, run_due):
    webhook(event_id="evt_1", charge_id="ch_1")
    webhook(event_id="evt_2", charge_id="ch_2")
    run_due()
    difference = 'charge_id was "ch_1", here it is "ch_2".'
    assert entries("evt_1")[-1] == ("conflicted", 1, difference)
    assert Entry.objects.get(verb="conflicted").other.provider_event_id == "evt_2"
    text = f"charge.succeeded evt_1 had this effect already. {difference}"
    assert entries("evt_2") == [("duplicate", 1, text)]


def test_a_second_body_under_a_known_id_is_kept_as_what_differs_in_it(webhook, order):
    webhook(event_id="evt_1", charge_id="ch_1", amount="10.00")
    webhook(event_id="evt_1", charge_id="ch_1", amount="99.00")
    assert entries("evt_1") == [("conflicted", 0, 'data.amount was "10.00", here it is "99.00".')]
    assert Entry.objects.get().other is None


def test_a_difference_is_written_once_and_another_one_too(webhook, order):
    for amount in ("10.00", "99.00", "99.00", "10.00", "5.00", "99.00"):
        webhook(event_id="evt_1", charge_id="ch_1", amount=amount)
    assert [text for _, _, text in entries("evt_1")] == [
        'data.amount was "10.00", here it is "99.00".',
        'data.amount was "10.00", here it is "5.00".',
    ]


def test_differences_that_look_alike_to_a_database_are_two(webhook, order):
    for note in ("x", "a", "A", "\u00e4"):
        webhook(event_id="evt_1", charge_id="ch_1", note=note)
    assert len(entries("evt_1")) == 3


def test_the_same_difference_of_two_events_is_written_for_both(webhook, order, run_due):
    for event_id, charge in (("evt_1", "ch_1"), ("evt_2", "ch_2"), ("evt_3", "ch_2")):
        webhook(event_id=event_id, charge_id=charge)
        run_due()
    conflicts = Entry.objects.filter(event__provider_event_id="evt_1", verb="conflicted")
    others = conflicts.values_list("other__provider_event_id", flat=True)
    assert sorted(others) == ["evt_2", "evt_3"]


def test_a_conflict_with_what_can_not_be_read_any_more_is_written_all_the_same(
    webhook, order, settings
):
    webhook(event_id="evt_1", amount="10.00")
    Event.objects.update(body=b"{")
    webhook(event_id="evt_1", amount="99.00")
    ((verb, _, text),) = entries("evt_1")
    assert verb == "conflicted"
    assert text.startswith("What differs can't be read")


def test_a_failed_attempt_at_an_event_that_waits_is_written(order, settings, run_due, pass_time):
    def apply(self, event):
        raise ValueError("broken")

    handle(settings, "refund.created", parent=RecordRefund, apply=apply)
    refund = EventFactory(type="refund.created", data={"refund_id": "re_1"})
    run_due()
    EventFactory()
    run_due()
    verbs = [verb for verb, _, _ in entries(refund.provider_event_id)]
    assert verbs == ["waiting", "released", "retried"]
    assert entries(refund.provider_event_id)[-1][1:] == (1, "ValueError('broken')")


def test_the_receipt_of_an_event_costs_the_history_nothing(webhook, order):
    with recorded_statements() as statements:
        webhook(event_id="evt_1")
    assert not [sql for sql in statements if "payment_webhooks_history" in sql]
    assert not Entry.objects.exists()


def test_an_entry_that_can_not_be_written_does_not_stop_the_event(
    webhook, order, run_due, shop_state, monkeypatch
):
    def fail(**_):
        raise DatabaseError("There is no room.")

    monkeypatch.setattr(Entry.objects, "create", fail)
    webhook(event_id="evt_1")
    run_due()
    assert Event.objects.get().status == Event.PROCESSED
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_an_entry_that_the_database_refuses_does_not_spoil_a_transaction_around_it(db):
    event = EventFactory(status=Event.FAILED, due_at=None)
    with transaction.atomic():
        event.attempts = None
        ((_, error),) = [
            answer for answer in signals.event_replayed.send_robust(Event, event=event) if answer[1]
        ]
        assert isinstance(error, DatabaseError)
        Event.objects.filter(pk=event.pk).update(order_id="A7")
    assert Event.objects.get().order_id == "A7"


def test_a_sweep_is_written_into_one_row():
    before = timezone.now()
    EventFactory(enqueue_at=before.timestamp())
    sweep(lambda pk: None)
    assert Sweep.objects.get().enqueued == 1
    sweep(lambda pk: None)
    row = Sweep.objects.get()
    assert (row.enqueued, row.finished_at >= before) == (0, True)


# ---- rejected webhooks


def test_rejected_webhooks_are_counted_by_provider_status_and_reason(webhook):
    for _ in range(3):
        webhook(signature="0" * 64)
    webhook(signature=None)
    webhook(provider="timed", signature=None)
    assert not Rejection.objects.exists()
    default = [("default", 401, "mismatch", 3), ("default", 401, "no_signature", 1)]
    assert rejected() == [*default, ("timed", 401, "no_signature", 1)]
    assert rejections.counts == {}


def test_counts_are_added_to_those_of_other_processes(webhook):
    webhook(signature="0" * 64)
    rejected()
    webhook(signature="0" * 64)
    webhook(signature="0" * 64)
    assert rejected() == [("default", 401, "mismatch", 3)]


def test_a_name_that_anybody_can_choose_is_not_kept(webhook):
    for name in ("evil", "worse", "x" * 500):
        webhook(provider=name)
    assert rejected() == [("", 404, "unknown_provider", 3)]


def test_a_forgery_waits_for_no_query(webhook):
    with recorded_statements() as statements:
        webhook(signature="0" * 64)
    assert statements == []


def test_counts_that_could_not_be_written_are_kept_and_written_later(webhook, monkeypatch):
    def fail(*_):
        raise DatabaseError("There is no database.")

    with monkeypatch.context() as patch:
        patch.setattr(receivers, "add", fail)
        webhook(signature="0" * 64)
        with pytest.raises(DatabaseError):
            rejections.write()
    webhook(signature="0" * 64)
    assert rejected() == [("default", 401, "mismatch", 2)]


def test_a_thread_writes_the_counts_after_a_while(webhook, settings):
    settings.PAYMENT_WEBHOOKS_REJECTIONS_INTERVAL = 0.01
    mine = receivers.Rejections()
    mine.count(timezone.now(), "default", 401, "mismatch")
    mine.timer.join(10)
    assert Rejection.objects.get().count == 1
    assert not mine.counts
    assert mine.timer not in threading.enumerate()


def test_a_thread_that_finds_no_database_tries_again(settings, monkeypatch):
    settings.PAYMENT_WEBHOOKS_REJECTIONS_INTERVAL = 0.01
    mine, real, failed = receivers.Rejections(), receivers.add, threading.Event()

    def fail_once(*args):
        if not failed.is_set():
            failed.set()
            raise DatabaseError("There is no database.")
        real(*args)

    monkeypatch.setattr(receivers, "add", fail_once)
    monkeypatch.setattr(threading, "excepthook", lambda args: None, raising=False)
    mine.count(timezone.now(), "default", 401, "mismatch")
    first = mine.timer
    first.join(10)
    mine.timer.join(10)
    assert mine.timer is not first
    assert Rejection.objects.get().count == 1


# ---- what failed attempts have in common


def fail_with(settings, error, attempts=1, **fields):
    """Make attempts at an event whose handler raises an error, and return the event."""

    def apply(self, event):
        value = "a secret" if event else ""
        raise error if value else ValueError

    handle(settings, apply=apply)
    event = EventFactory(**fields)
    for _ in range(attempts):
        Event.objects.filter(pk=event.pk).update(due_at=0)
        process([event.pk])
    return event


def test_a_cause_is_written_once_by_the_first_attempt_that_fails_of_it(settings):
    fail_with(settings, KeyError("warehouse_id"), attempts=2)
    fail_with(settings, KeyError("warehouse_id"), order_id="A2")
    fail_with(settings, PermanentFailure("Order 17 is gone."))
    found = Cause.objects.values_list("exception", "place", "text")
    refused = "django_payment_webhooks.exceptions.PermanentFailure"
    assert set(found) == {
        ("KeyError", f"{__name__}.apply", "warehouse_id"),
        (refused, f"{__name__}.apply", "Order … is gone."),
    }
    keys = set(Event.objects.values_list("cause_key", flat=True))
    assert keys == set(Cause.objects.values_list("pk", flat=True))
    titles = {str(cause) for cause in Cause.objects.all()}
    assert f"KeyError: warehouse_id in {__name__}.apply" in titles


def test_a_body_that_can_not_be_parsed_has_a_cause(webhook):
    webhook(b"{")
    found = Cause.objects.get()
    assert (found.exception, found.place) == ("", "default")
    assert found.text.startswith("The body can't be read: ")


def test_the_traceback_of_the_last_attempt_is_kept_without_the_values_of_variables(settings):
    event = fail_with(settings, KeyError("warehouse_id"), attempts=2)
    first, last = Entry.objects.order_by("pk").values_list("traceback", flat=True)
    assert first == ""
    assert last == read_traceback(event)
    assert last.endswith("KeyError: 'warehouse_id'\n")
    assert "in apply\n    raise error" in last
    assert last.count("a secret") == 0
    forget(event)
    assert read_traceback(event) == ""


def test_a_traceback_is_cut_at_its_beginning_and_a_long_message_at_its_end():
    def fall(depth):
        if depth:
            fall(depth - 1)
        raise ValueError("x" * 10000 + "\0\ud800")

    with pytest.raises(ValueError) as caught:
        fall(200)
    text = describe_traceback(caught.value)
    assert len(text) <= MAX_LENGTH
    assert "in fall" in text
    assert "x" * 400 in text and "x" * 501 not in text
    assert "x…\n" in text

    def chain(depth):
        try:
            if depth:
                chain(depth - 1)
            raise KeyError("the\0first")
        except KeyError as error:
            raise ValueError("\ud800" + "x" * 10000) from error

    with pytest.raises(ValueError) as caught:
        chain(10)
    text = describe_traceback(caught.value)
    assert len(text.encode()) <= MAX_LENGTH + 100
    assert "\0" not in text and "\\ud800" in text


@pytest.mark.skipif(not hasattr(builtins, "ExceptionGroup"), reason="Python 3.11 has groups.")
def test_the_traceback_of_a_group_says_what_is_in_it():
    # By its name: older Pythons have none.
    group = vars(builtins)["ExceptionGroup"]
    inner = group("the rest", [TypeError("the third")])
    many = [KeyError(f"number {number}") for number in range(1000)]
    with pytest.raises(group) as caught:
        raise group("all of them", [ValueError("x" * 10000), inner, *many])
    text = describe_traceback(caught.value)
    assert "ValueError: xxxx" in text and "the rest (1 sub-exception)" in text
    assert len(text) <= MAX_LENGTH and "number 9" not in text
    assert "all of them (1002 sub-exceptions)" in text.splitlines()[-1]
    with pytest.raises(group) as caught:
        raise group("outer", [inner])
    assert "TypeError: the third" in describe_traceback(caught.value)
