"""What is true of every command that an operator runs."""

import io

import pytest
from django.core.management import (
    CommandError,
    ManagementUtility,
    call_command,
    load_command_class,
)
from django.db import OperationalError
from django.utils import timezone

from django_payment_webhooks.models import Event, EventManager

from ..factories import EventFactory
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
        "--since TIME",
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
        "sweep again and again, at this interval",
        "--process",
        "without broker and worker",
    ],
}
# Each with arguments that have it go through events.
GOING_THROUGH = [
    ("prune_payment_webhooks", "--days", "30", "--include-failed", "--no-input"),
    ("replay_payment_webhooks", "--status", "failed"),
    ("resolve_payment_webhooks", "--status", "failed", "--reason", "by hand", "--no-input"),
]
OTHERS = [("show_payment_webhook", "--order", "A1")]
ERRORS = {
    "list_payment_webhooks": "The database failed. Check that it can be reached.*gone away",
    "resolve_payment_webhooks": "run it again for the rest. .*gone away",
    "show_payment_webhook": "The database failed. Check that it can be reached.*gone away",
    "prune_payment_webhooks": "run it again for the rest. .*gone away",
    "replay_payment_webhooks": "run it again for the rest. .*gone away",
    "sweep_payment_webhooks": "what is due stays due: .*gone away",
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


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_a_database_that_fails_ends_it_with_an_error(name, monkeypatch):
    def fail(self):
        raise OperationalError("The server has gone away.")

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
