"""What a command says about a filter that finds nothing: a typo is an error, a quiet day is not."""

import io
import json
import shlex

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

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
    values = {"cause_key": "c" * 32, "provider_event_id": "evt_8", "data": {"charge_id": "ch_8"}}
    EventFactory(status=Event.FAILED, **values, **final)
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
        (["--payment", "CH-8"], r"No event is of the payment 'CH-8'. Did you mean ch_8\?$"),
        (["--cause", "x"], r"There is no cause 'x'. There are: c{32}\.$"),
        (["EVT-8"], r"EVT-8 was not found. Did you mean evt_8\?$"),
        (["evt_9"], r"evt_9 was not found.$"),
        (["--since", "1h", "--until", "2h"], "--since must be before --until"),
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


def test_a_primary_key_that_is_given_as_an_id_is_recognized():
    key = Event.objects.latest("pk").pk
    with pytest.raises(CommandError, match=f"{key} was not found. Did you mean --key {key}?"):
        run(str(key))


@pytest.mark.parametrize("name", ["type", "provider", "order", "payment", "cause", "error"])
def test_an_unset_variable_of_the_shell_does_not_choose_all_events(name):
    with pytest.raises(CommandError, match=f"--{name}: it is empty"):
        run("--status", "failed", f"--{name}", "")


def test_a_key_that_no_database_has_is_refused():
    with pytest.raises(CommandError, match="is more than 9223372036854775807"):
        run("--key", str(2**63))


def test_an_age_chooses_the_events_since_then():
    old = timezone.now() - timezone.timedelta(hours=3)
    Event.objects.filter(error__contains="KeyError").update(received_at=old)
    assert run("--since", "4h", "--json") != run("--since", "2h", "--json")
    assert json.loads(run("--until", "2h", "--json"))["outcomes"] == {"waiting": 1}


def test_capitals_make_no_difference_in_an_error():
    assert json.loads(run("--error", "KEYERROR", "--json"))["outcomes"] == {"waiting": 1}


def test_what_is_named_can_be_pasted_into_a_shell():
    order = """it's "A 1" $HOME `id`"""
    given = run("--order", order)[len("No event matches ") : -len(".\n")]
    assert shlex.split(given) == ["--status", "failed", "--order", order]


def test_a_payment_chooses_the_events_that_name_it():
    event = EventFactory(status=Event.FAILED, data={"charge_id": "ch_7"}, due_at=None)
    printed = io.StringIO()
    call_command("replay_payment_webhooks", "--payment", "ch_7", stdout=printed)
    assert printed.getvalue() == "1 event replayed, 0 left as they are\n"
    assert Event.objects.get(pk=event.pk).status == Event.RECEIVED


def test_where_nothing_failed_no_error_is_a_typo():
    Event.objects.update(error="")
    assert run("--error", "anything").startswith("No event matches")


def test_the_errors_that_are_named_say_nothing_of_people():
    EventFactory(
        status=Event.FAILED,
        due_at=None,
        data={"holder": "Ann Smith"},
        error="ShopError('no customer ann smith in ulm')",
    )
    with pytest.raises(CommandError) as caught:
        run("--error", "no costumer")
    assert r"no customer [redacted] in ulm" in str(caught.value)


def test_scripts_get_json_of_nothing():
    assert json.loads(run("--type", "refund.created", "--json"))["outcomes"] == {}


def test_only_the_newest_events_are_searched_for_names(monkeypatch):
    EventFactory.create_batch(2, due_at=None)
    monkeypatch.setattr(filters, "LOOKED_AT", 2)
    with pytest.raises(CommandError, match="There are: default, timed"):
        run("--provider", "no-such-provider")
