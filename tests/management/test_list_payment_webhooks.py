"""The command that lists events: which, how many, and in which form."""

import csv
import io
import json

import pytest
from django.core.management import CommandError, call_command

from django_payment_webhooks.models import Event

from ..factories import EventFactory
from .terminals import Terminal

pytestmark = pytest.mark.django_db

FINAL = {"due_at": None, "enqueue_at": None}


def run(*args):
    """Run the command, and return what it printed, and what it said beside it."""
    printed, said = io.StringIO(), io.StringIO()
    call_command("list_payment_webhooks", *args, stdout=printed, stderr=said, no_color=True)
    return printed.getvalue(), said.getvalue()


def listed(*args):
    """Return the keys of the events that are listed."""
    found = json.loads(run(*args, "--json")[0])
    return [event["key"] for event in found["events"]]


@pytest.fixture
def several():
    """Return events of different kinds, the oldest first."""
    return {
        "paid": EventFactory(status=Event.PROCESSED, **FINAL),
        "failed": EventFactory(status=Event.FAILED, order_id="A7", error="broken", **FINAL),
        "retrying": EventFactory(cause_key="c" * 32, attempts=3, error="KeyError('x')"),
        "new": EventFactory(data={"charge_id": "ch_9"}),
        "gone": EventFactory(status=Event.FAILED, cause_key="c" * 32, provider="gone", **FINAL),
    }


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ((), ["gone", "new", "retrying", "failed", "paid"]),
        (("--oldest-first", "--limit", "2"), ["paid", "failed"]),
        (("--status", "failed"), ["gone", "failed"]),
        (("--status", "retrying"), ["retrying"]),
        (("--status", "retrying", "--status", "processed"), ["retrying", "paid"]),
        (("--cause", "c" * 32), ["gone", "retrying"]),
        (("--payment", "ch_9"), ["new"]),
        (("--order", "A7"), ["failed"]),
        (("--provider", "gone"), ["gone"]),
        (("--error", "broken"), ["failed"]),
    ],
)
def test_the_filters_all_must_match_and_the_newest_comes_first(several, args, names):
    assert listed(*args) == [several[name].pk for name in names]


def test_a_table_is_for_people(several):
    lines = run()[0].splitlines()
    assert len(lines) == 6
    assert lines[0].split() == [
        *("KEY", "RECEIVED", "STATUS", "TRIES", "PROVIDER", "TYPE", "ORDER", "MONEY", "ID"),
        "ERROR",
    ]
    assert " retrying " in lines[3]
    assert " 3 " in lines[3]
    starts = {line.index(" charge.succeeded") for line in lines[1:]}
    assert len(starts) == 1


def test_a_terminal_that_is_too_narrow_gets_a_paragraph_for_each_event(several, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    call_command("list_payment_webhooks", "--status", "failed", stdout=terminal, no_color=True)
    lines = terminal.getvalue().splitlines()
    assert all(len(line) < 40 or " " not in line.strip() for line in lines)
    starts = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert starts == ["KEY", str(several["gone"].pk), str(several["failed"].pk)]
    assert several["failed"].provider_event_id in terminal.getvalue().split()


def test_what_is_not_shown_is_said_in_every_form(several):
    for form in ([], ["--csv"]):
        printed, said = run(*form, "--limit", "2")
        assert len(printed.splitlines()) == 3
        assert said.startswith("There are more than these 2 events: raise --limit")
        assert run(*form, "--limit", "5")[1] == ""
    assert json.loads(run("--json", "--limit", "2")[0])["has_more"] is True
    assert json.loads(run("--json", "--limit", "5")[0])["has_more"] is False


def test_no_match_and_a_typo_are_distinguished(several):
    assert run("--type", "refund.created")[0] == "No event matches --type refund.created.\n"
    assert json.loads(run("--type", "refund.created", "--json")[0])["events"] == []
    assert len(run("--type", "refund.created", "--csv")[0].splitlines()) == 1
    with pytest.raises(CommandError, match=r"Did you mean refund.created"):
        run("--type", "refund.craeted", "--csv")


def test_no_value_is_a_formula_or_moves_the_cursor():
    EventFactory(provider_event_id='=HYPERLINK("http://x")', type="@SUM(1)", order_id="\x1b[2J\n-1")
    (row,) = csv.DictReader(io.StringIO(run("--csv")[0]))
    assert row["event_id"] == '\'=HYPERLINK("http://x")'
    assert row["type"] == "'@SUM(1)"
    assert row["order_id"] == "\\x1b[2J\\n-1"
    assert len(run()[0].splitlines()) == 2
    assert "\x1b" not in run()[0]
    # Elsewhere a semicolon divides cells.
    EventFactory(provider_event_id='evt_2;"=1+1"', order_id="A1; @SUM(1);-x", payment_id="a;b-c")
    rows = csv.reader(io.StringIO(run("--csv")[0]), delimiter=";")
    cells = [cell.strip(' "') for row in rows for cell in row]
    assert [cell for cell in cells if cell.startswith(("=", "@", "-"))] == []
    assert any(cell.startswith("b-c") for cell in cells)


def test_errors_are_redacted_and_ids_are_not():
    EventFactory(error="No card 4111 1111 1111 1111 of erika@example.com for order A1.", **FINAL)
    for form in ([], ["--csv"], ["--json"]):
        text = run(*form)[0]
        assert "4111" not in text
        assert "erika@" not in text
        assert "A1" in text


def test_the_money_is_shown_if_it_can_be_read():
    EventFactory(data={"amount": "12.50", "currency": "EUR"})
    EventFactory(provider="gone")
    first, second = json.loads(run("--json")[0])["events"]
    assert (first["money"], second["money"]) == ("", "12.50 EUR")


def test_a_limit_is_at_least_one():
    with pytest.raises(CommandError, match="'0' is less than 1"):
        run("--limit", "0")
