"""The command that sweeps, for cron and for loops."""

import io
import time

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from shop.models import LedgerEntry

from django_payment_webhooks.management.commands.sweep_payment_webhooks import Command
from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import process

from ..factories import EventFactory

pytestmark = pytest.mark.django_db


def sweep(*args, **options):
    """Run the command, and return what it printed."""
    printed = io.StringIO()
    call_command("sweep_payment_webhooks", *args, stdout=printed, **options)
    return printed.getvalue()


@pytest.fixture
def lost(pass_time):
    """Two events that have been due for a while, as their messages were lost, and one that is not
    due yet.
    """
    events = EventFactory.create_batch(2, order_id="A1")
    pass_time(40)
    EventFactory(order_id="A1")
    return events


class Stopped(BaseException):
    """What ends the loop, as Ctrl-C does."""


@pytest.fixture
def rounds(monkeypatch):
    """Do something in place of each pause of the loop: ``rounds(first, second)``; then stop.
    Returns the pauses.
    """

    def rounds(*functions):
        pauses, functions = [], list(functions)

        def sleep(seconds):
            pauses.append(seconds)
            if not functions:
                raise Stopped
            functions.pop(0)()

        monkeypatch.setattr(time, "sleep", sleep)
        return pauses

    return rounds


def break_broker(monkeypatch, error):
    """Have every message refused by the broker."""

    def refuse(*args, **options):
        raise error

    monkeypatch.setattr(process, "apply_async", refuse)


def test_it_enqueues_what_is_due_and_says_how_many(lost, published, received_signals):
    assert sweep() == "2 events enqueued\n"
    assert published() == [event.pk for event in lost]
    assert set(Event.objects.values_list("status", flat=True)) == {Event.RECEIVED}
    assert received_signals.names() == ["sweep_finished"]
    assert received_signals.of("sweep_finished")[0]["enqueued"] == 2


def test_it_says_that_nothing_was_due(published):
    assert sweep() == "0 events enqueued\n"
    assert published() == []


def test_what_was_enqueued_is_not_enqueued_again_at_once(lost, published):
    sweep()
    published()
    assert sweep() == "0 events enqueued\n"
    assert published() == []


def test_it_processes_what_is_due_without_a_broker(order, lost, published, monkeypatch, shop_state):
    break_broker(monkeypatch, AssertionError("The broker was asked."))
    assert sweep("--process") == "2 events processed\n"
    statuses = [Event.objects.get(pk=event.pk).status for event in lost]
    assert statuses == [Event.PROCESSED, Event.DUPLICATE]
    assert Event.objects.latest("pk").status == Event.RECEIVED
    assert shop_state()["orders"] == {"A1": "paid"}
    assert LedgerEntry.objects.count() == 1


def test_it_sweeps_again_and_again_and_speaks_only_of_sweeps_that_found_something(
    lost, published, pass_time, rounds, received_signals
):
    pauses = rounds(lambda: None, lambda: pass_time(32), lambda: None)
    printed = io.StringIO()
    with pytest.raises(Stopped):
        call_command("sweep_payment_webhooks", "--every", "2.5", stdout=printed)
    assert pauses == [2.5] * 4
    assert [facts["enqueued"] for facts in received_signals.of("sweep_finished")] == [2, 0, 1, 0]
    assert printed.getvalue() == "2 events enqueued\n1 event enqueued\n"
    assert published() == list(Event.objects.order_by("pk").values_list("pk", flat=True))


def test_it_can_process_again_and_again(order, lost, pass_time, rounds, shop_state):
    rounds(lambda: pass_time(40))
    printed = io.StringIO()
    with pytest.raises(Stopped):
        call_command("sweep_payment_webhooks", "--every", "1", "--process", stdout=printed)
    assert printed.getvalue() == "2 events processed\n1 event processed\n"
    assert sorted(Event.objects.values_list("status", flat=True)) == [
        "duplicate",
        "duplicate",
        "processed",
    ]
    assert shop_state()["ledger"] == [("payment", "A1")]


@pytest.mark.parametrize("args", [(), ("--every", "1")])
def test_a_broker_that_fails_ends_the_command_with_an_error_and_loses_nothing(
    lost, monkeypatch, published, pass_time, rounds, args
):
    pauses = rounds()
    with monkeypatch.context() as broken:
        break_broker(broken, ConnectionRefusedError(111, "Connection refused"))
        with pytest.raises(
            CommandError,
            match="The sweep was interrupted: .*Connection refused.*What is due stays due.",
        ):
            sweep(*args)
    assert pauses == []
    assert published() == []
    assert Event.objects.exclude(enqueue_at=None).count() == 3
    pass_time(4000)
    assert sweep() == "3 events enqueued\n"
    assert sorted(published()) == sorted(Event.objects.values_list("pk", flat=True))


def test_it_exits_with_2_and_without_a_traceback_after_an_error(lost, monkeypatch, capsys):
    break_broker(monkeypatch, ConnectionRefusedError(111, "Connection refused"))
    with pytest.raises(SystemExit) as exit:
        Command().run_from_argv(["manage.py", "sweep_payment_webhooks"])
    assert exit.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "CommandError: The sweep was interrupted" in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("args", [(), ("--process",), ("--every", "1")])
def test_it_is_silent_if_asked(order, lost, published, rounds, args):
    rounds()
    if "--every" in args:
        printed = io.StringIO()
        with pytest.raises(Stopped):
            call_command("sweep_payment_webhooks", *args, verbosity=0, stdout=printed)
        assert printed.getvalue() == ""
    else:
        assert sweep(*args, verbosity=0) == ""
    enqueue_at = Event.objects.get(pk=lost[0].pk).enqueue_at
    assert enqueue_at is None or enqueue_at > lost[0].enqueue_at  # it swept nevertheless
    assert len(published()) == (0 if "--process" in args else 2)


def test_its_messages_are_those_that_a_worker_takes(order, lost, published):
    sweep()
    for task, arguments in published.messages():
        current_app.tasks[task](*arguments)
    assert [Event.objects.get(pk=event.pk).status for event in lost] == [
        Event.PROCESSED,
        Event.DUPLICATE,
    ]


def test_it_takes_a_bounded_number_of_events_the_oldest_first(lost, published, settings):
    settings.PAYMENT_WEBHOOKS_SWEEP_BATCH = 1
    assert sweep() == "1 event enqueued\n"
    assert published() == [lost[0].pk]
    assert sweep() == "1 event enqueued\n"
    assert published() == [lost[1].pk]


@pytest.mark.parametrize(
    "args", [("--every", "often"), ("--every", "0"), ("--every", "-5"), ("A1",)]
)
def test_arguments_that_it_does_not_have_are_refused(args):
    with pytest.raises(CommandError):
        sweep(*args)
