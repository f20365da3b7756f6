"""The command that closes conflicts, and the filter that finds them."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from django_payment_webhooks import history
from django_payment_webhooks.history.models import Conflict, Entry
from django_payment_webhooks.history.receivers import write_conflicted
from django_payment_webhooks.models import Event

from ..factories import EventFactory
from .shapes import check_shape

pytestmark = pytest.mark.django_db(transaction=True)

FINAL = {"due_at": None, "enqueue_at": None}
CLOSE = "close_payment_webhook_conflicts"
WHY = ("--reason", "sent twice by mistake")


def run(name, *args):
    """Run a command, and return what it printed."""
    printed = io.StringIO()
    call_command(name, *args, stdout=printed)
    return printed.getvalue()


def conflicting(amount, **values):
    """Return an event that was processed, and that came again with another amount."""
    facts = {"status": Event.PROCESSED, "data": {"amount": "10.00", "currency": "EUR"}}
    event = EventFactory(**{**facts, **FINAL, **values})
    other = EventFactory.build(data={"amount": amount, "currency": "EUR"})
    write_conflicted(event, other)
    return event


def list_ids(*args):
    """Return the ids of the events that the list has."""
    found = json.loads(run("list_payment_webhooks", "--json", *args))
    return {each["event_id"] for each in found["events"]}


@pytest.fixture
def events():
    """Two events with an open conflict each, and one without."""
    EventFactory(provider_event_id="evt_calm", status=Event.PROCESSED, **FINAL)
    refund = conflicting("5.00", provider_event_id="evt_refund", type="refund.created")
    return conflicting("9.00", provider_event_id="evt_charge"), refund


def test_the_conflicts_of_a_named_event_are_closed_and_who_and_why_is_kept(events):
    charge, refund = events
    assert run(CLOSE, "evt_charge", "--by", "alice", *WHY) == "Conflicts of 1 event closed\n"
    closed = Conflict.objects.get(event=charge)
    assert (closed.closed_by, closed.note) == ("alice", "sent twice by mistake")
    assert closed.closed_at is not None
    entry = Entry.objects.get(event=charge, verb="closed")
    assert (entry.by, entry.text) == ("alice", "sent twice by mistake")
    assert Conflict.objects.get(event=refund).closed_at is None
    assert set(Event.objects.values_list("status", flat=True)) == {Event.PROCESSED}


def test_the_list_finds_the_events_whose_conflicts_are_open_or_closed(events):
    assert list_ids("--conflict", "open") == {"evt_charge", "evt_refund"}
    assert list_ids("--conflict", "closed") == set()
    run(CLOSE, "evt_charge", *WHY)
    assert list_ids("--conflict", "open") == {"evt_refund"}
    assert list_ids("--conflict", "closed") == {"evt_charge"}
    assert list_ids("--conflict", "open", "--type", "charge.succeeded") == set()
    text = run("list_payment_webhooks", "--conflict", "open", "--type", "charge.succeeded")
    assert text == "No event matches --type charge.succeeded --conflict open.\n"


def test_options_choose_only_events_that_have_an_open_conflict(events):
    assert run(CLOSE, "--status", "processed", *WHY) == "Conflicts of 2 events closed\n"
    assert history.count_open_conflicts() == 0
    text = run(CLOSE, "--status", "processed", *WHY)
    assert text == "No event matches --status processed.\n"


def test_a_limit_takes_the_oldest(events):
    run(CLOSE, "--conflict", "open", "--limit", "1", *WHY)
    assert list_ids("--conflict", "open") == {"evt_charge"}


def test_a_named_event_without_an_open_conflict_is_left_and_the_others_are_closed(events):
    printed = io.StringIO()
    with pytest.raises(CommandError, match="^evt_9 was not found.*\nEvents that were left have no"):
        call_command(CLOSE, "evt_calm", "evt_charge", "evt_9", "--json", *WHY, stdout=printed)
    found = json.loads(printed.getvalue())
    check_shape(CLOSE, {**found, "problems": {"any": 1}})
    assert (found["closed"], found["left"], found["not_found"]) == (1, 1, ["evt_9"])
    assert history.count_open_conflicts() == 1


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (WHY, "Say which events"),
        (["evt_charge"], "Say what was found, and what was done: --reason TEXT."),
        (["evt_charge", "--reason", " "], "Say what was found, and what was done: --reason TEXT."),
        (["--type", "charge.suceeded", *WHY], "Did you mean charge.succeeded"),
        (["--conflict", "opened", *WHY], "invalid choice: 'opened'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(events, args, error):
    with pytest.raises(CommandError, match=error):
        run(CLOSE, *args)
    assert history.count_open_conflicts() == 2


@pytest.mark.parametrize(
    "args", [(CLOSE, "evt_1", *WHY), ("list_payment_webhooks", "--conflict", "open")]
)
def test_without_the_history_it_is_said_that_nothing_is_known_of_conflicts(monkeypatch, args):
    monkeypatch.setattr(history, "is_installed", lambda: False)
    with pytest.raises(CommandError, match="Conflicts are not recorded: the app history") as error:
        run(*args)
    assert error.value.returncode == 2
