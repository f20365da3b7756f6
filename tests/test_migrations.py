"""The migrations make just the tables that the models describe, on every database."""

from collections import Counter

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection

from django_payment_webhooks.models import Event

from .factories import EventFactory


@pytest.mark.parametrize("app", ["payment_webhooks", "payment_webhooks_history", "shop"])
def test_no_migration_is_missing(transactional_db, app):
    # It exits with an error if one is.
    call_command("makemigrations", app, check_changes=True, dry_run=True, verbosity=0)


def test_the_table_can_be_dropped_and_made_again(transactional_db):
    call_command("migrate", "payment_webhooks", "zero", verbosity=0)
    with connection.cursor() as cursor:
        assert Event._meta.db_table not in connection.introspection.table_names(cursor)
    call_command("migrate", verbosity=0)  # the history, which depends on it, too
    assert EventFactory().pk


def test_each_indexed_column_has_one_index(db):
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(
            cursor, Event._meta.db_table
        ).values()
    indexes = Counter(
        tuple(found["columns"]) for found in constraints if found["index"] or found["unique"]
    )
    indexes.pop(("id",), None)
    columns = ["dedup_key", "idempotency_key", "enqueue_at", "order_key", "payment_key"]
    columns += ["received_at"]
    together = [("status", "id"), ("status", "cause_key", "id")]
    assert indexes == dict.fromkeys([*together, *[(column,) for column in columns]], 1)
    unique = {
        tuple(found["columns"])
        for found in constraints
        if found["unique"] and not found["primary_key"]
    }
    assert unique - {("id",)} == {("dedup_key",), ("idempotency_key",)}


@pytest.mark.parametrize("column", ["dedup_key", "idempotency_key"])
def test_the_database_itself_refuses_the_second_event(db, column):
    EventFactory(**{column: "the same"})
    with pytest.raises(IntegrityError):
        EventFactory(**{column: "the same"})


def test_events_without_an_effect_do_not_collide(db):
    assert EventFactory(idempotency_key=None).pk != EventFactory(idempotency_key=None).pk
