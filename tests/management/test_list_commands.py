"""The commands that read a provider's lists: what they print, and what their exit codes say."""

import csv
import io
import json
import signal
import time

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.backfill import runs
from django_payment_webhooks.operations.backfill.models import Run
from django_payment_webhooks.operations.interrupts import Interrupted
from django_payment_webhooks.providers.escaping import escape_cell
from django_payment_webhooks.receiving import receive_events

from ..factories import EventFactory
from ..operations.backfill.conftest import pauses, stripe
from ..operations.backfill.stripe_server import limit, make_event, make_payment, refuse
from .shapes import check_shape
from .test_every_command import Terminal

pytestmark = pytest.mark.django_db(transaction=True)
FIXTURES = (pauses, stripe)


class Result:
    """What a command printed, and its exit code."""

    def __init__(self, command, *args, errors=None, **options):
        self.output, self.errors = io.StringIO(), errors or io.StringIO()
        try:
            call_command(
                f"{command}_payment_webhooks",
                *["--provider=stripe", "--since=3d", "--rate=1000", *args],
                stdout=self.output,
                stderr=self.errors,
                **options,
            )
            self.code = 0
        except SystemExit as exit:
            self.code = exit.code
        self.out, self.err = self.output.getvalue(), self.errors.getvalue()


@pytest.fixture
def listed(stripe):
    """A provider that lists three events, one of which arrived, and their payments."""
    then = int(time.time()) - 3600
    stripe.events = [make_event(number, then - number) for number in range(3)]
    stripe.payments = [make_payment(number, then - number) for number in range(3)]
    receive_events(get_provider("stripe"), {}, json.dumps(stripe.events[1]).encode())
    return stripe


# ---- backfill


def test_it_says_what_was_missed_and_exits_with_1_and_then_with_0(listed):
    found = Result("backfill")
    assert found.code == 1
    lines = found.out.splitlines()
    assert lines[0].startswith("The webhook address missed 2 of 3 events of stripe since 20")
    assert lines[1:] == ["They are stored now:", "  charge.succeeded: 2", "Orders: A0, A2"]
    assert found.err == ""
    again = Result("backfill")
    assert again.code == 0
    assert again.out.startswith("The webhook address missed 0 of 3 events")
    assert len(again.out.splitlines()) == 1


def test_a_cron_job_is_quiet_unless_something_was_missed(listed):
    assert Result("backfill", verbosity=0).out.startswith("The webhook address missed 2 of 3")
    quiet = Result("backfill", verbosity=0)
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_a_dry_run_stores_nothing_and_says_what_would_be(listed):
    found = Result("backfill", "--dry-run")
    assert found.code == 1
    assert "They would be stored:\n  charge.succeeded: 2\nOrders: A0, A2" in found.out
    assert (Event.objects.count(), Run.objects.count()) == (1, 0)


def test_json_has_all_of_it(listed):
    found = json.loads(Result("backfill", "--json").out)
    check_shape("backfill_payment_webhooks", found)
    assert (found["missed"], found["checked"], found["dry_run"]) == (2, 3, False)
    assert (found["types"], found["orders"]) == ({"charge.succeeded": 2}, ["A0", "A2"])


def test_a_list_that_breaks_off_exits_with_2_and_says_how_to_continue(listed, pauses):
    listed.faults = [None, refuse(403)]
    failed = Result("backfill")
    assert failed.code == 2
    assert "refuses to list it" in failed.err
    assert "Run the same command again to continue where it stopped" in failed.err
    found = Result("backfill")
    assert (found.code, "missed 2 of 3" in found.out) == (1, True)
    assert "Continuing the backfill of stripe since" in found.err
    assert "after 2 events. --restart starts over." in found.err


def test_a_pause_is_explained(listed, pauses):
    listed.faults = [limit(7)]
    assert "429" in Result("backfill").err
    assert 7 in pauses


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_how_to_go_on(listed, monkeypatch, number, code):
    def interrupt(*args):
        raise Interrupted(number)

    monkeypatch.setattr(runs, "receive_events", interrupt)
    stopped = Result("backfill")
    assert stopped.code == code
    text = "Interrupted after 0 events. What was received stays received. Run the same command"
    assert stopped.err.startswith(text)


def test_a_database_that_fails_exits_with_2(listed, monkeypatch):
    def fail(*args):
        raise OperationalError("The server has gone away.")

    monkeypatch.setattr(runs, "receive_events", fail)
    failed = Result("backfill")
    assert failed.code == 2
    assert failed.err.startswith(
        "The database failed. Check that it can be reached. What was received"
    )


def test_what_makes_no_sense_exits_with_2_and_says_why(listed):
    listed.events.append({"id": "evt_9", "created": int(time.time()) - 4000, "data": {}})
    found = Result("backfill")
    assert found.code == 2
    assert "1 item makes no sense. Nothing of that is stored." in found.out
    assert (
        found.err
        == "1 item makes no sense: type is missing, or is neither a string nor an integer.\n"
    )
    assert Event.objects.count() == 3


def test_without_the_app_it_says_what_to_install(listed, settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "backfill" not in app]
    assert (
        'add "django_payment_webhooks.operations.backfill.apps.BackfillConfig"'
        in Result("backfill").err
    )
    assert Result("backfill", "--dry-run").code == 1


def test_a_terminal_shows_how_far_it_has_come(listed):
    found = Result("backfill", errors=Terminal())
    assert "%  2 events" in found.err
    assert found.err.endswith("\r\x1b[K")
    assert "\r2 payments" in Result("reconcile", errors=Terminal()).err


@pytest.mark.parametrize("command", ["backfill", "reconcile"])
@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["--provider=strpe"], "no provider 'strpe' in PAYMENT_WEBHOOKS_PROVIDERS. Did you mean"),
        (["--provider=default"], "There is no source for default"),
        (["--since=1m"], "The period is empty"),
        (["--until=4d"], "The period is empty"),
    ],
)
def test_arguments_that_make_no_sense_exit_with_2(listed, command, args, problem):
    failed = Result(command, *args)
    assert failed.code == 2
    assert problem in failed.err
    assert "Run the same command again" not in failed.err
    assert listed.asked == []
    assert "Run the same command again" not in failed.err


@pytest.mark.parametrize("command", ["backfill", "reconcile"])
@pytest.mark.parametrize(
    ("arg", "problem"),
    [
        ("--since=3 days", "neither an age such as 90m, 12h, 3d or 2w, .*nor a time"),
        ("--until=yesterday", "neither an age"),
        ("--rate=0", "less than 0.001"),
        ("--rate=nan", "less than 0.001"),
    ],
)
def test_arguments_that_can_not_be_read_are_refused(listed, command, arg, problem):
    with pytest.raises(CommandError, match=problem):
        Result(command, arg)


def test_a_period_can_be_given_as_times(listed):
    Result("backfill", "--since=2026-11-23", "--until=2026-11-23T10:00Z", "--dry-run")
    assert listed.asked[0]["created[gte]"] == "1795392000"
    assert listed.asked[0]["created[lt]"] == "1795428000"


def test_what_happened_just_now_is_not_missed_yet(stripe):
    stripe.events = [make_event(1, time.time() - 60)]
    assert Result("backfill").code == 0
    assert Result("backfill", "--until=0m").code == 1


# ---- reconcile


def settle():
    """Let the event that came have its effect."""
    Event.objects.update(status="processed")


def test_differences_are_printed_and_exit_with_1(listed):
    settle()
    listed.payments[1]["amount_received"] = 900
    found = Result("reconcile")
    assert found.code == 1
    assert found.out.splitlines()[:3] == [
        "paid there, not here: pi_0 (order A0): there 10.00 EUR; no event was received",
        "another amount or currency: pi_1 (order A1): there 9.00 EUR; here 10.00 EUR",
        "paid there, not here: pi_2 (order A2): there 10.00 EUR; no event was received",
    ]
    assert found.out.splitlines()[3].startswith("3 differences in 3 payments of stripe since")


def test_no_difference_exits_with_0(listed):
    settle()
    del listed.payments[2], listed.payments[0]
    found = Result("reconcile")
    assert found.code == 0
    assert found.out.startswith("0 differences in 1 payment of stripe since")


@pytest.mark.parametrize(
    "name, meant",
    [("charge.succeded", "charge.succeeded"), ("Payment.Captured", "payment.captured")],
)
def test_a_mistyped_type_is_refused_before_the_provider_is_asked(listed, name, meant):
    EventFactory(type="payment.captured")
    with pytest.raises(CommandError, match=f"No event has the type '{name}'.*{meant}") as refused:
        Result("reconcile", "--type", name)
    assert refused.value.returncode == 2
    assert listed.asked == []


def test_a_type_that_only_events_have_is_compared(listed):
    settle()
    Event.objects.update(type="payment.captured")
    assert "3 differences" in Result("reconcile").out
    assert "2 differences" in Result("reconcile", "--type", "payment.captured").out


def test_differences_can_be_json(listed):
    settle()
    found = json.loads(Result("reconcile", "--json").out)
    check_shape("reconcile_payment_webhooks", found)
    assert [each["payment_id"] for each in found["differences"]] == ["pi_0", "pi_2"]
    assert found["counts"]["not_here"] == 2
    del listed.payments[2], listed.payments[0]
    assert json.loads(Result("reconcile", "--json").out)["differences"] == []


def test_differences_can_be_csv_without_formulas(listed):
    listed.payments = listed.payments[:1]
    listed.payments[0].update(metadata={"order_id": "=HYPERLINK(1)\x1b\n"}, id="-1+1")
    rows = list(csv.DictReader(io.StringIO(Result("reconcile", "--csv").out)))
    assert rows[0]["kind"] == "not_here"
    assert rows[0]["order_id"] == "'=HYPERLINK(1)\\x1b\\n"
    assert rows[0]["payment_id"] == "'-1+1"
    assert [escape_cell(cell) for cell in ["@a", "+1", "\t=1", "A1"]] == [
        "'@a",
        "'+1",
        "'\\t=1",
        "A1",
    ]


def test_a_list_of_payments_that_breaks_off_exits_with_2(listed, pauses):
    listed.faults = [None, refuse(403)]
    failed = Result("reconcile")
    assert failed.code == 2
    assert "refuses to list it" in failed.err
    assert "Nothing was changed. Run the same command again." in failed.err
