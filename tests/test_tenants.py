"""Tenants: what is received for one is sent, processed and swept as that one's."""

from __future__ import annotations

import contextlib
import io
import logging
from contextvars import ContextVar

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError, transaction
from django.utils import timezone

from django_payment_webhooks import sweeper
from django_payment_webhooks.history import receivers
from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import (
    NoTenants,
    Tenants,
    enqueue,
    enter_tenant,
    process,
    send_message,
)
from django_payment_webhooks.sweeper import sweep

from .doubles import handle
from .factories import EventFactory
from .rows import read

pytestmark = pytest.mark.django_db(transaction=True)
entered = ContextVar("entered", default="")


class TwoTenants(Tenants):
    """Two tenants in one table: an event is the tenant's whose name its order begins with."""

    def current(self):
        return entered.get()

    @contextlib.contextmanager
    def enter(self, name):
        if name not in self.all():
            raise ValueError(name)
        token = entered.set(name)
        try:
            yield
        finally:
            entered.reset(token)

    def all(self):
        return ["red", "blue"]


@pytest.fixture(autouse=True)
def tenants(settings):
    settings.PAYMENT_WEBHOOKS_TENANTS = f"{__name__}.TwoTenants"


def test_messages_of_two_tenants_are_never_one(published):
    events = [EventFactory() for _ in range(6)]
    with transaction.atomic():
        for event, name in zip(events, ["red", "blue", "red", "blue", "red", "red"]):
            with enter_tenant(name):
                enqueue([event])
    messages = [arguments for _, arguments in published.messages()]
    found = {name: [] for name in ("red", "blue")}
    for keys, name in messages:
        found[name] += keys
    keys = [event.pk for event in events]
    assert found == {"red": [keys[0], keys[2], *keys[4:]], "blue": [keys[1], keys[3]]}


def test_a_message_outside_of_every_tenant_names_none(published):
    enqueue([EventFactory()])
    ((_, arguments),) = published.messages()
    assert len(arguments) == 1


def test_a_worker_does_all_its_work_within_the_tenant_of_the_message(settings, published):
    settings.PAYMENT_WEBHOOKS_TASK_TIME = 0
    seen = []
    handle(settings, apply=lambda self, event: seen.append(entered.get()))
    events = [EventFactory(), EventFactory()]
    process([event.pk for event in events], "red")
    assert (seen, entered.get()) == (["red"], "")
    # What is left is handed back as the same tenant's.
    assert published.messages() == [(process.name, [[events[1].pk], "red"])]


def test_an_eager_task_is_run_within_the_tenant_that_enqueued_it(settings):
    seen = []
    handle(settings, apply=lambda self, event: seen.append(entered.get()))
    process.app.conf.task_always_eager = True
    try:
        with transaction.atomic(), enter_tenant("blue"):
            enqueue([EventFactory()])
    finally:
        process.app.conf.task_always_eager = False
    assert seen == ["blue"]


def test_a_worker_without_tenants_refuses_a_message_for_one(settings):
    settings.PAYMENT_WEBHOOKS_TENANTS = "django_payment_webhooks.publisher.NoTenants"
    event = EventFactory()
    with pytest.raises(ImproperlyConfigured, match="'red', and PAYMENT_WEBHOOKS_TENANTS names"):
        process([event.pk], "red")
    assert read(event).attempts == 0
    assert (NoTenants().current(), list(NoTenants().all())) == ("", [""])


def test_a_sweep_goes_through_all_tenants(published, received_signals):
    EventFactory(enqueue_at=1, due_at=1)
    sweep(send_message)
    messages = published.messages()
    # The first marked it, so that there was nothing left for the second.
    assert [arguments[1] for _, arguments in messages] == ["red"]
    assert [facts["enqueued"] for facts in received_signals.of("sweep_finished")] == [1, 0]


def test_a_tenant_whose_database_fails_does_not_keep_the_others_waiting(monkeypatch, caplog):
    seen = []

    def sweep_here(send):
        seen.append(entered.get())
        if entered.get() == "red":
            raise OperationalError("no such table")
        return 1

    monkeypatch.setattr(sweeper, "sweep_here", sweep_here)
    with pytest.raises(OperationalError):
        sweep(lambda keys: None)
    assert seen == ["red", "blue"]
    assert "sweep failed tenant=red" in caplog.text


def test_rejected_webhooks_are_counted_within_their_tenant(monkeypatch):
    written, counted = [], receivers.Rejections()
    monkeypatch.setattr(receivers, "add", lambda model, key, *_: written.append(entered.get()))
    for name in ("red", "blue"):
        with enter_tenant(name):
            counted.count(timezone.now(), "default", 401, "mismatch")
    counted.timer.cancel()
    counted.write()
    assert written == ["red", "blue"]


def test_a_message_of_events_that_are_not_there_is_reported(caplog):
    event = EventFactory(due_at=None)
    caplog.set_level(logging.WARNING, "django_payment_webhooks")
    process([event.pk])
    assert caplog.text == ""
    process([event.pk + 1, event.pk + 2], "red")
    (record,) = caplog.records
    assert (record.levelname, record.events) == ("WARNING", 2)
    assert "PAYMENT_WEBHOOKS_TENANTS" in record.getMessage()
    assert str(event.pk + 2) in record.getMessage()


# ---- the command


def run(*words):
    """Run a command in a tenant, and return what it prints."""
    out = io.StringIO()
    call_command("payment_webhooks_in_tenant", *words, stdout=out)
    return out.getvalue()


@pytest.fixture
def shown(monkeypatch):
    """Return the tenants within which a sweep was run, instead of one."""
    shown = []

    def sweep_once(send):
        shown.append(entered.get())
        return len(shown)

    command = "django_payment_webhooks.management.commands.sweep_payment_webhooks"
    monkeypatch.setattr(f"{command}.sweep", sweep_once)
    return shown


def test_a_command_runs_within_one_tenant_or_within_each(shown):
    assert run("blue", "sweep_payment_webhooks") == "1 event enqueued\n"
    assert shown == ["blue"]
    printed = run("--every", "sweep_payment_webhooks")
    assert printed == "== red\n2 events enqueued\n== blue\n3 events enqueued\n"
    assert shown == ["blue", "red", "blue"]


def test_a_commands_options_are_its_own(shown):
    assert run("red", "sweep_payment_webhooks", "--verbosity", "0") == ""


def test_it_exits_with_the_highest_code_of_all_runs(monkeypatch):
    EventFactory(status=Event.FAILED, due_at=None, enqueue_at=None)
    with pytest.raises(SystemExit) as end:
        run("--every", "payment_webhooks_status")
    assert end.value.code in (1, 2)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "Say which tenant"),
        (["red"], "Say which command"),
        (["--every"], "Say which command"),
        (["rad", "sweep_payment_webhooks"], "There is no tenant 'rad'. Did you mean red?"),
        (["zz", "sweep_payment_webhooks"], "There is no tenant 'zz'."),
        (["red", "sweep_payment_webhook"], "There is no command 'sweep_.*mean sweep_payment_webho"),
        (["--every", "sweep"], "There is no command 'sweep'. There are: backfill_payment_webhooks"),
        (["red", "replay_payment_webhooks"], "Say which events"),
    ],
)
def test_what_makes_no_sense_is_said(words, text, shown):
    with pytest.raises(CommandError, match=text):
        run(*words)
    assert shown == []


def test_a_project_without_tenants_is_told_so_and_every_is_the_one_place_there_is(shown, settings):
    settings.PAYMENT_WEBHOOKS_TENANTS = "django_payment_webhooks.publisher.NoTenants"
    with pytest.raises(CommandError, match="PAYMENT_WEBHOOKS_TENANTS names none.$") as error:
        run("red", "sweep_payment_webhooks")
    assert (error.value.returncode, shown) == (2, [])
    assert run("--every", "sweep_payment_webhooks") == "1 event enqueued\n"
    assert shown == [""]


def test_an_error_in_one_tenant_does_not_keep_the_command_from_the_others(monkeypatch, capsys):
    seen = []

    def sweep_once(send):
        seen.append(entered.get())
        raise ConnectionError("no broker")

    command = "django_payment_webhooks.management.commands.sweep_payment_webhooks"
    monkeypatch.setattr(f"{command}.sweep", sweep_once)
    with pytest.raises(SystemExit) as end:
        run("--every", "sweep_payment_webhooks")
    assert (end.value.code, seen) == (2, ["red", "blue"])
    assert "red: The sweep was interrupted" in capsys.readouterr().err
