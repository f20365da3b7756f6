"""An operation on one event, while other processes hold what it needs."""

from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from django_payment_webhooks import history, retrying
from django_payment_webhooks.exceptions import Overtaken
from django_payment_webhooks.history.models import AuditRecord, Cause, Conflict
from django_payment_webhooks.models import Event
from django_payment_webhooks.monitoring.causes import acknowledge
from django_payment_webhooks.operations.pruning import delete, erase_order, prune
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.operations.resolve import resolve
from django_payment_webhooks.operations.transactions import LockedError, operation

from ..doubles import another_connection, recorded_statements
from .final_events import columns, old, read

pytestmark = pytest.mark.django_db(transaction=True)

OPERATIONS = {
    "replay": (Event.FAILED, replay),
    "resolve": (Event.FAILED, lambda event: resolve(event, "alice", "by hand")),
    "close": (
        Event.FAILED,
        lambda event: operation(history.close_conflicts)(event, "alice", "seen"),
    ),
    "prune": (Event.PROCESSED, prune),
    "delete": (Event.PROCESSED, delete),
    "erase": (Event.PROCESSED, lambda event: erase_order(event, "alice")),
}


@contextmanager
def held(table, column, key):
    """Have another connection hold a row, on SQLite the whole database."""
    column = connection.ops.quote_name(column)
    with another_connection("holder") as holder:
        holder.set_autocommit(False)
        with holder.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET {column} = {column} WHERE {column} = %s", [key])
        try:
            yield holder
        finally:
            holder.rollback()


def held_event(event):
    """Have another connection hold an event's row."""
    return held("payment_webhooks_event", "id", event.pk)


def release_at_the_first_pause(monkeypatch, holder):
    """Release a row as soon as another has met the lock. Returns the errors of those who did."""
    errors, genuine = [], retrying.pause

    def pause(error, *rest):
        errors.append(error)
        holder.rollback()
        return genuine(error, *rest)

    monkeypatch.setattr(retrying, "pause", pause)
    return errors


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_row_that_is_locked_for_a_moment_refuses_no_operation(name, quick_lock_wait, monkeypatch):
    status, run = OPERATIONS[name]
    event = old(status=status)
    Conflict.objects.create(event=event, at=timezone.now())
    before = columns(event)
    with held_event(event) as holder:
        errors = release_at_the_first_pause(monkeypatch, holder)
        assert run(event) is True
    assert len(errors) == 1
    assert Event.objects.filter(**before).exists() is (name == "close")
    assert Conflict.objects.filter(closed_by="alice").exists() is (name == "close")


@pytest.mark.parametrize("name", ["replay", "close"])
def test_a_row_that_stays_locked_is_an_error_in_words_and_nothing_is_changed(name, quick_lock_wait):
    status, run = OPERATIONS[name]
    event = old(status=status)
    Conflict.objects.create(event=event, at=timezone.now())
    before, fields = columns(event), dict(vars(event))
    with held_event(event), pytest.raises(LockedError, match="^Another process has it locked."):
        run(event)
    assert (columns(event), vars(event)) == (before, fields)
    assert run(event) is True


def test_a_locked_row_is_not_waited_for_where_the_database_can_say_so():
    event = old(status=Event.FAILED)
    with recorded_statements() as statements:
        assert replay(event)
    can = connection.features.has_select_for_update_nowait
    assert ["NOWAIT" in statement for statement in statements].count(True) == can


def test_a_cause_that_is_locked_for_a_moment_is_acknowledged(quick_lock_wait, monkeypatch):
    key = "c" * 32
    Cause.objects.create(key=key, first_seen=timezone.now())
    old(status=Event.FAILED, cause_key=key)
    with held(Cause._meta.db_table, "key", key) as holder:
        errors = release_at_the_first_pause(monkeypatch, holder)
        assert acknowledge(key, "ada", "Known.") is True
    assert errors
    assert Cause.objects.get().acknowledged_by == "ada"
    assert AuditRecord.objects.count() == 1


def test_an_event_whose_operation_fails_is_as_it_was_read_and_so_is_its_row():
    event = old(status=Event.FAILED)
    before, fields = columns(event), dict(vars(event))

    @operation
    def fail(event):
        event.change(error="half")
        assert event.payload
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(event)
    assert (columns(event), vars(event)) == (before, fields)


def test_an_error_that_does_not_pass_is_not_tried_again():
    calls = []

    @operation
    def fail(event):
        calls.append(event)
        raise OperationalError("The server has gone away.")

    with pytest.raises(OperationalError, match="gone away"):
        fail(old())
    assert len(calls) == 1


def test_within_a_transaction_only_whoever_began_it_tries_again():
    event, calls = old(status=Event.FAILED), []

    @operation
    def fail(event):
        calls.append(event)
        raise OperationalError("database is locked")

    @operation
    def fail_within(event):
        return fail(event)

    with pytest.raises(OperationalError), transaction.atomic():
        fail(event)
    assert len(calls) == 1
    with pytest.raises(LockedError):
        fail_within(event)
    assert len(calls) == 1 + 6


def test_an_event_that_another_process_changed_is_left_as_it_is():
    event = old(status=Event.FAILED)

    @operation
    def be_overtaken(event):
        event.change(error="half")
        raise Overtaken

    before = columns(event)
    assert be_overtaken(event) is False
    assert columns(event) == before


@pytest.mark.skipif(connection.vendor == "sqlite", reason="it locks all rows together")
def test_operations_on_other_events_do_not_wait(quick_lock_wait):
    held_one, free = old(status=Event.FAILED), old(status=Event.FAILED)
    with held_event(held_one):
        assert replay(free)
    assert read(free).status == Event.RECEIVED
