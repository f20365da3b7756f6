"""What a command says about a filter that finds nothing: a typo is an error, a quiet day is not."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from django_payment_webhooks.management import filters
from django_payment_webhooks.models import Event

from ..factories import EventFactory

pytestmark = pytest.mark.django_db


def run(*args):
    """Run a command that has the filters, and return what it printed."""
    printed = io.StringIO()
    call_command("replay_payment_webhooks", *args, "--dry-run", stdout=printed)
    return printed.getvalue()


@pytest.fixture(autouse=True)
def _events():
    """Have events whose type and provider are no longer in the settings, and two errors."""
    final = {"due_at": None, "enqueue_at": None}
    EventFactory(status=Event.PROCESSED, type="invoice.paid", provider="old-partner", **final)
    for error in ("KeyError('warehouse_id')", "There is no order A7."):
        EventFactory(status=Event.FAILED, order_id="S-9", error=error, **final)


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--type", "charge.suceeded"], r"No event has the type 'charge.suceeded'. Did you mean "),
        (["--type", "INVOICE.PAID"], r"Did you mean invoice.paid\?$"),
        (["--type", "x"], r"There are: charge.succeeded, .*invoice.paid.*\.$"),
        (["--provider", "defautl"], r"No provider is called 'defautl'. Did you mean default\?$"),
        (["--provider", "old-partnr"], r"Did you mean old-partner\?$"),
        (["--provider", "\x1b[2J"], r"No provider is called '\\x1b\[2J'. There are: default, old"),
        (["--order", "s-9"], r"No event is of the order 's-9'. Did you mean S-9\?$"),
        (["--error", "KeyEror"], r"No event has an error with 'KeyEror'. The nearest are:\n  KeyE"),
        (["--error", "no ordr"], r"The nearest are:\n  There is no order A7.$"),
        (["--error", "something else"], r"The newest are:\n  There is no order A7.\n  KeyError\("),
    ],
)
def test_a_name_that_nothing_has_is_an_error_with_the_nearest_ones(args, error):
    with pytest.raises(CommandError, match=error):
        run(*args)


def test_the_errors_that_it_names_are_of_different_causes_and_without_what_is_personal():
    for number in range(3):
        error = f"no order A{number} for a{number}@example.org, card 4242424242424242"
        EventFactory(status=Event.FAILED, due_at=None, enqueue_at=None, error=error)
    with pytest.raises(CommandError) as raised:
        run("--error", "something else")
    text = str(raised.value)
    assert text.count("for [redacted]") == 1
    assert "no order A2 for [redacted], card [redacted]" in text


@pytest.mark.parametrize(
    ("args", "given"),
    [
        (["--type", "refund.created"], "--status failed --type refund.created"),
        (["--type", "invoice.paid"], "--status failed --type invoice.paid"),
        (["--provider", "timed"], "--status failed --provider timed"),
        (["--provider", "old-partner"], "--status failed --provider old-partner"),
        (["--order", "A999"], "--status failed --order A999"),
        (["--payment", "pi_1"], "--status failed --payment pi_1"),
        (
            ["--status", "ignored", "--error", "no order"],
            "--status ignored --error 'no order'",
        ),
    ],
)
def test_a_name_that_is_known_and_finds_nothing_now_is_no_error(args, given):
    assert run(*args) == f"No event matches {given}.\n"


def test_a_payment_chooses_the_events_that_name_it():
    event = EventFactory(status=Event.FAILED, data={"charge_id": "ch_7"}, due_at=None)
    printed = io.StringIO()
    call_command("replay_payment_webhooks", "--payment", "ch_7", stdout=printed)
    assert printed.getvalue() == "1 event replayed, 0 left as they are\n"
    assert Event.objects.get(pk=event.pk).status == Event.RECEIVED


def test_where_nothing_failed_no_error_is_a_typo():
    Event.objects.update(error="")
    assert run("--error", "anything").startswith("No event matches")


def test_scripts_get_json_of_nothing():
    assert json.loads(run("--type", "refund.created", "--json"))["outcomes"] == {}


def test_only_the_newest_events_are_searched_for_names(monkeypatch):
    EventFactory.create_batch(2, due_at=None)
    monkeypatch.setattr(filters, "LOOKED_AT", 2)
    with pytest.raises(CommandError, match="There are: default, timed"):
        run("--provider", "no-such-provider")
