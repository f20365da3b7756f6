"""The command that shows the overview, and exits with what it comes to."""

import datetime
import io
import json
import re
import time

import pytest
from django.core.management import CommandError, call_command, execute_from_command_line
from django.db import OperationalError
from django.utils import timezone

from django_payment_webhooks.history.models import Rejection, Sweep
from django_payment_webhooks.models import Event, EventManager
from django_payment_webhooks.monitoring import overview
from django_payment_webhooks.publisher import process

from ..factories import EventFactory

pytestmark = pytest.mark.django_db

FINAL = {"due_at": None, "enqueue_at": None}


def run(*args, **options):
    """Run the command, and return its exit status and what it printed."""
    printed = io.StringIO()
    try:
        call_command("payment_webhooks_status", *args, stdout=printed, no_color=True, **options)
    except SystemExit as exit:
        return exit.code, printed.getvalue()
    return 0, printed.getvalue()


def ago(seconds):
    """Return the moment a number of seconds ago."""
    return timezone.now() - datetime.timedelta(seconds=seconds)


def unix(seconds):
    """Return the Unix time of a number of seconds ago."""
    return time.time() - seconds


@pytest.fixture
def failed():
    """Have an event that failed two hours ago: something to look at in working hours."""
    return EventFactory(status=Event.FAILED, received_at=ago(7300), **FINAL)


@pytest.fixture
def stuck():
    """An event that no worker takes: something that can't wait."""
    return EventFactory(due_at=unix(1000), enqueue_at=unix(-100))


def test_nothing_is_wrong(order):
    code, printed = run()
    assert code == 0
    assert printed.splitlines()[-1] == "Nothing is wrong."


def test_the_overview_can_be_read(failed):
    EventFactory(due_at=unix(10), received_at=ago(10))
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    Rejection.objects.create(hour=hour, provider="default", status=401, reason="mismatch", count=12)
    Rejection.objects.create(hour=hour, provider="", status=404, reason="unknown_provider", count=3)
    Sweep.objects.create(pk=1, finished_at=ago(5), enqueued=0)
    code, printed = run("--hours", "12")
    assert code == 1
    # On a busy machine some seconds more.
    printed = re.sub(r"\b1\d seconds", "10 seconds", printed)
    lines = re.sub(r"\b[5-9] seconds", "5 seconds", printed).splitlines()
    assert lines[:11] == [
        "                events   oldest",
        "received             1   10 seconds",
        "waiting              0",
        "applied              0",
        "processed            0",
        "duplicate            0",
        "ignored              0",
        "failed               1   2 hours",
        "due                  1   10 seconds",
        "retrying             0",
        "conflicts            0   open",
    ]
    assert lines[11:] == [
        "",
        "Received in 12 hours: 2 (now 1 received, 1 failed)",
        "Last event of default: 10 seconds ago",
        "Last event of timed: none",
        "Rejected of default: 12 times 401 mismatch",
        "Rejected of an unknown provider: 3 times 404 unknown_provider",
        "Last sweep: 5 seconds ago",
        "Broker: reachable",
        "",
        "WARNING: 1 event has failed, the oldest was received 2 hours ago. Fix the cause, then "
        "replay or resolve it.",
    ]


def test_what_is_not_known_is_said(monkeypatch):
    monkeypatch.setattr(overview, "is_broker_reachable", lambda: False)
    monkeypatch.setattr(overview, "BOUND", 2)
    EventFactory.create_batch(3, due_at=unix(-100))
    code, printed = run()
    assert code == 1
    assert "received            2+   " in printed
    assert "\nLast sweep: not recorded\nBroker: not reachable\n" in printed


def test_a_broker_without_its_client_is_not_called_unreachable(monkeypatch):
    def fail(*_, **__):
        raise ImportError("No module named 'redis'")

    monkeypatch.setattr(overview, "is_broker_reachable", lambda: False)
    monkeypatch.setattr(process.app, "connection_for_write", fail)
    code, printed = run()
    assert code == 2
    assert "\nBroker: its client can't be loaded\n" in printed


def test_what_can_not_wait_comes_first_and_has_a_status_of_its_own(failed, stuck):
    code, printed = run()
    assert code == 2
    critical, warning = printed.splitlines()[-2:]
    assert critical.startswith("CRITICAL: 1 event is due, the oldest for 16 minutes")
    assert warning.startswith("WARNING: 1 event has failed")


@pytest.mark.parametrize(("fixture", "code"), [("failed", 0), ("stuck", 2)])
def test_what_can_wait_can_be_left_out_of_the_exit_status(request, fixture, code):
    request.getfixturevalue(fixture)
    assert run("--only-critical")[0] == code
    assert run("--only-critical", "--json")[0] == code


def test_only_critical_problems_are_printed_if_asked(failed):
    assert run("--only-critical", verbosity=0) == (0, "")
    assert run("--only-critical")[1].splitlines()[-1] == "Nothing is critical."
    EventFactory(due_at=unix(1000), enqueue_at=unix(-100))
    code, printed = run("--only-critical", verbosity=0)
    (line,) = printed.splitlines()
    assert (code, line[:24]) == (2, "CRITICAL: 1 event is due")


def test_only_problems_are_printed_if_asked(failed):
    assert run(verbosity=0)[1].startswith("WARNING: 1 event has failed")
    Event.objects.all().delete()
    assert run(verbosity=0) == (0, "")


def test_scripts_get_json(stuck):
    code, printed = run("--json", "--hours", "3")
    assert code == 2
    found = json.loads(printed)
    assert found["due"]["count"] == 1
    assert len(found["hours"]) == 3
    assert found["is_critical"] is True
    assert len(found["problems"]) == 1


def test_a_database_that_does_not_answer_is_critical(monkeypatch):
    def fail(self, **conditions):
        raise OperationalError("The server has gone away.")

    monkeypatch.setattr(EventManager, "filter", fail)
    printed, errors = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as exit:
        call_command("payment_webhooks_status", "--json", stdout=printed, stderr=errors)
    assert exit.value.code == 2
    text = "The database failed. Check that it can be reached. "
    text += "OperationalError('The server has gone away.')"
    assert text in errors.getvalue() and "CRITICAL" in errors.getvalue()
    assert json.loads(printed.getvalue()) == {"problems": [text], "is_critical": True}


@pytest.mark.parametrize("args", [("--hours", "0"), ("--hours", "many"), ("now",)])
def test_arguments_that_make_no_sense_are_refused(args):
    with pytest.raises(CommandError):
        run(*args)


def test_a_configuration_error_is_critical_and_does_not_keep_the_command_from_running(
    settings, capsys
):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"SECRETS": []}}
    with pytest.raises(SystemExit) as ended:
        execute_from_command_line(["manage.py", "payment_webhooks_status", "--json"])
    assert ended.value.code == 2
    found = json.loads(capsys.readouterr().out)
    assert found["is_critical"] is True
    (problem,) = found["problems"]
    assert problem.endswith("(payment_webhooks.E004)")


def test_each_cause_has_a_line_with_the_key_that_other_commands_take(order):
    values = {"cause_key": "a" * 32, "error": "KeyError('x')\n", "status": Event.FAILED}
    EventFactory(due_at=None, enqueue_at=None, **values)
    _, printed = run()
    assert "a" * 32 + ": 1 failed, 0 retrying: KeyError: x" in printed.splitlines()
