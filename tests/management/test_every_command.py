"""What is true of every command that an operator runs."""

import io
import json
import os
import re
import signal
import time
from contextlib import suppress
from importlib import import_module
from pkgutil import iter_modules

import pytest
from django.core.management import (
    CommandError,
    ManagementUtility,
    call_command,
    load_command_class,
)
from django.db import OperationalError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone, translation

from django_payment_webhooks.history.models import AuditRecord
from django_payment_webhooks.management import commands
from django_payment_webhooks.models import Event, EventManager

from ..doubles import another_connection
from ..factories import EventFactory
from .shapes import check_shape
from .terminals import Terminal

pytestmark = pytest.mark.django_db

OPTIONS = {
    "backfill_payment_webhooks": [
        "--provider NAME",
        "--since AGE|TIME",
        "--until AGE|TIME",
        "--rate N",
        "--restart",
        "--dry-run",
        "--json",
    ],
    "close_payment_webhook_conflicts": ["--conflict", "--reason TEXT", "--limit N", "--json"],
    "payment_webhooks_status": ["--hours N", "--only-critical", "--json"],
    "prune_payment_webhooks": [
        "--days N",
        "--delete",
        "--force",
        "--include-failed",
        "--erase-order ID",
        "--dry-run",
        "--json",
    ],
    "reconcile_payment_webhooks": ["--provider NAME", "--since AGE|TIME", "--json", "--csv"],
    "replay_payment_webhooks": [
        "--status",
        "--since AGE|TIME",
        "--error TEXT",
        "--limit N",
        "--dry-run",
        "--json",
    ],
    "list_payment_webhooks": ["--status", "--cause KEY", "--limit N", "--json", "--csv"],
    "resolve_payment_webhooks": ["--status", "--reason TEXT", "--by NAME", "--no-input"],
    "show_payment_webhook": ["--key N", "--order ID", "--payload", "--json"],
    "sweep_payment_webhooks": [
        "--every SECONDS",
        "sweep repeatedly, at this interval",
        "--process",
        "without a broker or a worker",
    ],
}
NAMES = [module.name for module in iter_modules(commands.__path__)]
# For each command, words that make no sense. What argparse finds is among them.
SENSELESS = {
    "backfill_payment_webhooks": ["--provider", "defalt", "--since", "1h"],
    "close_payment_webhook_conflicts": ["--conflict", "open", "--reason", " "],
    "list_payment_webhooks": ["--since", "1h", "--until", "2h"],
    "payment_webhooks_in_tenant": ["rde", "payment_webhooks_status"],
    "payment_webhooks_status": ["--hours", "0"],
    "prune_payment_webhooks": ["--days", "30", "--force"],
    "reconcile_payment_webhooks": ["--provider", "default", "--since", "soon"],
    "replay_payment_webhooks": ["--status", "failed", "--order", ""],
    "resolve_payment_webhooks": ["--status", "failed", "--reason", " "],
    "send_payment_webhook": ["--provider", "defalt", "charge.succeeded"],
    "show_payment_webhook": ["evt_1", "--order", "A1"],
    "sweep_payment_webhooks": ["--every", "nan"],
    "verify_payment_webhook": ["--provider", "defalt", "--body", "nothing"],
}
# Each with arguments that have it go through events.
GOING_THROUGH = [
    ("prune_payment_webhooks", "--days", "30", "--include-failed", "--no-input"),
    ("replay_payment_webhooks", "--status", "failed"),
    ("resolve_payment_webhooks", "--status", "failed", "--reason", "by hand", "--no-input"),
]
OTHERS = [
    ("show_payment_webhook", "--order", "A1"),
    ("close_payment_webhook_conflicts", "--conflict", "open", "--reason", "compared"),
]
ERRORS = {
    "list_payment_webhooks": "The database failed. Check that it can be reached.*gone away",
    "resolve_payment_webhooks": "run it again for the rest. .*gone away",
    "close_payment_webhook_conflicts": "run it again for the rest. .*gone away",
    "show_payment_webhook": "The database failed. Check that it can be reached.*gone away",
    "prune_payment_webhooks": "run it again for the rest. .*gone away",
    "replay_payment_webhooks": "run it again for the rest. .*gone away",
    "sweep_payment_webhooks": "What is due stays due. .*gone away",
}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_help_stands_alone(name, capsys):
    command = load_command_class("django_payment_webhooks", name)
    with pytest.raises(SystemExit) as exit:
        command.run_from_argv(["manage.py", name, "--help"])
    assert exit.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert " ".join(command.help.split()) in text
    for option in OPTIONS[name]:
        assert option in text


def test_it_is_in_the_general_help_under_the_app():
    text = ManagementUtility(["manage.py"]).main_help_text()
    section = text.split("[django_payment_webhooks]")[1].split("[")[0]
    assert set(OPTIONS) <= set(section.split())


def end(name, *args):
    """Run a command from the command line, and return its exit code."""
    command = import_module(f"{commands.__name__}.{name}").Command()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as exit:
        # The test's own transaction goes on.
        patch.setattr("django.core.management.base.connections.close_all", lambda: None)
        command.run_from_argv(["manage.py", name, *args])
    return exit.value.code


@pytest.mark.parametrize("name", NAMES)
def test_what_makes_no_sense_exits_with_2_and_says_why_on_standard_error(name, capsys):
    assert end(name, *SENSELESS[name]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.strip() and "Traceback" not in printed.err
    assert not Event.objects.exists()


@pytest.mark.parametrize("name", NAMES)
def test_the_help_shows_each_default_once_and_in_one_form(name, capsys):
    assert end(name, "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    options = text[text.index("options" if "options:" in text else "optional arguments") :]
    own, _, djangos = options.partition("--version")
    assert not re.search(r"\[[^\]|]*\](?= -|$)", own)
    for part in re.split(r" (?=--?[a-z])", own):
        assert part.count("default") <= 1 or "default: default" in part, part


@pytest.mark.parametrize("name", sorted({*ERRORS, "payment_webhooks_status"}))
def test_a_database_without_its_tables_is_told_apart_and_what_to_run_is_said(name, capsys):
    MigrationRecorder(connection).record_unapplied("payment_webhooks", "0001_initial")
    args = {command: args for command, *args in [*GOING_THROUGH, *OTHERS]}.get(name, [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventManager, "get_queryset", fail)
        assert end(name, *args) == 2
    text = "The database failed. Its tables are missing or out of date: run manage.py migrate."
    assert text in capsys.readouterr().err


# Each with arguments for which its JSON has most of what it can have.
PRINTING = [
    ("list_payment_webhooks", "--cause", "c" * 32),
    ("payment_webhooks_status", "--hours", "2"),
    ("prune_payment_webhooks", "--days", "0", "--include-failed", "--dry-run"),
    ("replay_payment_webhooks", "evt_nobody", "--status", "failed"),
    ("resolve_payment_webhooks", "--status", "failed", "--reason", "by hand", "--dry-run"),
    ("show_payment_webhook", "--order", "A1"),
    ("verify_payment_webhook", "--body", __file__),
]


@pytest.mark.parametrize("language", ["en-us", "ru"])
@pytest.mark.parametrize(("name", "args"), [(name, args) for name, *args in PRINTING])
def test_json_is_as_documented_and_in_english(settings, name, args, language):
    settings.LANGUAGE_CODE = language
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"SECRETS": ["x" * 20]}}
    moment = timezone.now() - timezone.timedelta(hours=1)
    facts = {"cause_key": "c" * 32, "error": "KeyError('a')", "received_at": moment}
    EventFactory(status=Event.FAILED, finished_at=moment, due_at=None, enqueue_at=None, **facts)
    EventFactory(attempts=1, data={"amount": "5.00", "currency": "EUR"}, **facts)
    printed = io.StringIO()
    with translation.override(language), suppress(CommandError, SystemExit):
        call_command(name, *args, "--json", stdout=printed, stderr=io.StringIO())
    text = printed.getvalue()
    assert text.isascii() and "\\u04" not in text
    check_shape(name, json.loads(text))


def fail(self):
    raise OperationalError("The server has gone away.")


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_a_database_that_fails_ends_it_with_an_error(name, monkeypatch):
    monkeypatch.setattr(EventManager, "get_queryset", fail)
    args = {command: args for command, *args in [*GOING_THROUGH, *OTHERS]}.get(name, [])
    with pytest.raises(CommandError, match=ERRORS[name]):
        call_command(name, *args)


@pytest.mark.parametrize(("name", "args"), [(name, args) for name, *args in GOING_THROUGH])
def test_a_terminal_shows_how_far_it_has_come_and_nothing_else_does(name, args):
    def run(stream):
        then = timezone.now() - timezone.timedelta(days=40)
        EventFactory(status=Event.FAILED, received_at=then, finished_at=then, due_at=None)
        call_command(name, *args, stdout=io.StringIO(), stderr=stream)
        return stream.getvalue()

    assert run(Terminal()).endswith("1 events\r\x1b[K")
    assert run(io.StringIO()) == ""


# ---- what stops it in between


def stop_at_the_second(monkeypatch, number, times=1):
    """Have a signal come while the second event is under way."""
    change, changed = Event.change, []

    def change_and_stop(self, *args, **values):
        change(self, *args, **values)
        changed.append(self.pk)
        if len(changed) == 2:
            for _ in range(times):
                os.kill(os.getpid(), number)
                time.sleep(0)  # Python looks for signals

    monkeypatch.setattr(Event, "change", change_and_stop)


@pytest.fixture
def several():
    """Return the rows of four events that failed long ago, as they are."""
    then = timezone.now() - timezone.timedelta(days=40)
    failed = {"status": Event.FAILED, "received_at": then, "finished_at": then, "due_at": None}
    EventFactory.create_batch(4, **failed)
    return list(Event.objects.order_by("pk").values())


def run_from_terminal(name, *args):
    """Run a command as manage.py does."""
    command = load_command_class("django_payment_webhooks", name)
    command.run_from_argv(["manage.py", name, *args])


def count_changed(before):
    """Return how many events are not as they were."""
    after = list(Event.objects.order_by("pk").values())
    return [row != earlier for row, earlier in zip(after, before)].count(True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("name", "args"), [(name, args) for name, *args in GOING_THROUGH])
def test_a_signal_ends_it_after_the_event_that_is_under_way(
    name, args, number, several, monkeypatch, capsys
):
    stop_at_the_second(monkeypatch, number)
    with pytest.raises(SystemExit) as exit:
        load_command_class("django_payment_webhooks", name).run_from_argv(
            ["manage.py", name, *args]
        )
    assert exit.value.code == 128 + number
    printed = capsys.readouterr()
    assert printed.out.startswith("2 events ")
    assert "Interrupted. What" in printed.err
    assert "again for the rest." in printed.err
    assert count_changed(several) == 2
    assert {each.number for each in AuditRecord.objects.all()} <= {2}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("name", "args"), [(name, args) for name, *args in GOING_THROUGH])
def test_a_second_signal_does_not_wait_and_undoes_the_event_that_is_under_way(
    name, args, several, monkeypatch, capsys
):
    stop_at_the_second(monkeypatch, signal.SIGINT, times=2)
    with pytest.raises(SystemExit):
        load_command_class("django_payment_webhooks", name).run_from_argv(
            ["manage.py", name, *args]
        )
    assert capsys.readouterr().out.startswith("1 event ")
    assert count_changed(several) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("name", "args"), [(name, args) for name, *args in GOING_THROUGH])
def test_a_database_that_fails_in_between_ends_it_with_what_was_done(
    name, args, several, monkeypatch
):
    change, changed = Event.change, []

    def fail_at_the_second(self, *args, **values):
        changed.append(self.pk)
        if len(changed) == 2:
            raise OperationalError("The server has gone away.")
        change(self, *args, **values)

    monkeypatch.setattr(Event, "change", fail_at_the_second)
    printed = io.StringIO()
    with pytest.raises(CommandError, match="again for the rest. .*gone away"):
        call_command(name, *args, stdout=printed)
    assert printed.getvalue().startswith("1 event ")
    assert count_changed(several) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("name", "args"), [(name, args) for name, *args in GOING_THROUGH])
def test_an_event_that_stays_locked_is_a_problem_and_the_others_are_done(
    name, args, several, quick_lock_wait
):
    stuck = 4 if connection.vendor == "sqlite" else 1
    printed = io.StringIO()
    with another_connection("holder") as holder, transaction.atomic(using="holder"):
        with holder.cursor() as cursor:
            statement = "UPDATE payment_webhooks_event SET error = 'held' WHERE id = %s"
            cursor.execute(statement, [several[1]["id"]])
        with pytest.raises(CommandError, match=f"^{stuck} events?: Another process has"):
            call_command(name, *args, stdout=printed)
        transaction.set_rollback(True, using="holder")
    assert printed.getvalue().startswith("0" if stuck == 4 else "3")
    assert count_changed(several) == 4 - stuck
