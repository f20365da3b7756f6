"""The command that shows single events, and on request, which is recorded, the payload."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_payment_webhooks.history.models import AuditRecord, Entry
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.pruning import prune

from ..factories import EventFactory

pytestmark = pytest.mark.django_db

FINAL = {"due_at": None, "enqueue_at": None}
PERSON = "erika@example.com"


def run(*args):
    """Run the command, and return what it printed."""
    printed = io.StringIO()
    call_command("show_payment_webhook", *args, stdout=printed, no_color=True)
    return printed.getvalue()


@pytest.fixture
def event():
    """Return an event that failed, with a history and a person in its payload."""
    event = EventFactory(
        status=Event.FAILED,
        error=f"KeyError('warehouse_id') for {PERSON}",
        attempts=2,
        provider_event_id="evt_1",
        data={"amount": "10.00", "currency": "EUR", "customer_email": PERSON},
        **FINAL,
    )
    facts = {"event": event, "at": timezone.now(), "verb": "failed", "attempts": 2}
    Entry.objects.create(**facts, text=event.error, traceback=f"in ship\nKeyError: {PERSON}")
    return event


@pytest.mark.parametrize("name", ["id", "key", "order"])
def test_all_that_is_known_is_shown_by_any_name(event, name):
    args = {"id": ["evt_1"], "key": ["--key", str(event.pk)], "order": ["--order", "A1"]}[name]
    lines = run(*args).splitlines()
    assert lines[:2] == [f"key               {event.pk}", "event_id          evt_1"]
    assert "status            failed" in lines
    assert "money             10.00 EUR" in lines
    text = "\n".join(lines)
    for word in ("KeyError('warehouse_id')", "timeline", "  received  ", "in ship", '"order_id": '):
        assert word in text
    assert PERSON not in text


def test_the_payload_is_shown_if_asked_for_and_who_looked_is_written_down(event):
    assert PERSON not in run("evt_1", "--json")
    assert not AuditRecord.objects.exists()
    (found,) = json.loads(run("evt_1", "--json", "--payload", "--by", "alice", "--reason", "#1"))
    assert found["payload"]["data"]["customer_email"] == PERSON
    (record,) = AuditRecord.objects.values_list("verb", "subject", "by", "reason")
    assert record == ("looked at", f"the payload of {event}", "alice", "#1")


def test_a_payload_is_not_shown_if_that_can_not_be_written_down(event, monkeypatch):
    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("django_payment_webhooks.history.write_audit", fail)
    printed = io.StringIO()
    with pytest.raises(OSError, match="disk full"):
        call_command("show_payment_webhook", "evt_1", "--payload", stdout=printed)
    assert printed.getvalue() == ""


def test_what_has_no_payload_to_show_is_shown_all_the_same(event):
    prune(event)
    EventFactory(type="", provider_event_id="evt_2", body=f"not json {PERSON}".encode())
    EventFactory(provider="gone", provider_event_id="evt_3")
    pruned, unparsed, gone = json.loads(run("--order", "A1", "--json"))
    assert pruned["payload"] == "It was pruned."
    assert unparsed["payload"].startswith("not json ")
    assert PERSON not in unparsed["payload"]
    assert gone["provider_problem"] == "It is not in PAYMENT_WEBHOOKS_PROVIDERS."
    assert pruned["provider_problem"] == ""


def test_a_provider_that_can_not_be_loaded_is_said(event, settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"NO_SUCH_OPTION": 1}}
    (found,) = json.loads(run("--key", str(event.pk), "--json"))
    assert found["provider_problem"].endswith("Fix PAYMENT_WEBHOOKS_PROVIDERS.")
    assert PERSON not in json.dumps(found)


def test_an_event_is_found_whose_provider_was_removed(event, settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"timed": settings.PAYMENT_WEBHOOKS_PROVIDERS["timed"]}
    assert "It is not in PAYMENT_WEBHOOKS_PROVIDERS." in run("evt_1")


@pytest.mark.parametrize("chosen", ["by their order", "by their ids", "by their keys"])
def test_of_more_than_twenty_events_the_first_are_shown_and_that_is_said(chosen):
    events = EventFactory.create_batch(21, order_id="A2")
    args = {
        "by their order": ["--order", "A2"],
        "by their ids": [event.provider_event_id for event in events],
        "by their keys": [part for event in events for part in ("--key", str(event.pk))],
    }
    printed = io.StringIO()
    with pytest.raises(CommandError, match="There are more than these 20 events"):
        call_command("show_payment_webhook", *args[chosen], "--json", stdout=printed)
    assert [each["key"] for each in json.loads(printed.getvalue())] == [e.pk for e in events[:20]]


def test_nothing_that_a_provider_wrote_moves_the_cursor():
    EventFactory(provider_event_id="evt_4\x1b[2J\u202e", order_id="A9")
    text = run("--order", "A9")
    assert "evt_4\\x1b[2J\\u202e" in text
    assert text.isascii()


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((), "Say which events"),
        (("evt_1", "--order", "A1"), "Say which events"),
        (("evt_9",), "evt_9 was not found."),
        (("--order", "a1"), r"Did you mean A1\?"),
        (("--order", "B5"), "No event is of the order 'B5'."),
    ],
)
def test_what_is_not_there_is_an_error(event, args, error):
    with pytest.raises(CommandError, match=error):
        run(*args)
