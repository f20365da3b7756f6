"""The newest and the oldest events of a status or a cause, and by which index they are found."""

from __future__ import annotations

import pytest
from django.db import connection

from django_payment_webhooks.models import Event
from django_payment_webhooks.monitoring.newest import list_newest, match, sort_newest

from .factories import EventFactory

pytestmark = pytest.mark.django_db

CAUSE, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def keys():
    """Store events of two statuses and two causes in turn, and return their primary keys."""
    kinds = [("failed", CAUSE), ("processed", None), ("received", CAUSE), ("failed", OTHER)]
    return [EventFactory(status=s, cause_key=cause).pk for s, cause in kinds * 3]


def test_the_newest_and_the_oldest_of_a_status_are_found(keys):
    events = Event.objects.all()
    failed = [key for index, key in enumerate(keys) if index % 4 in (0, 3)]
    assert list_newest(events, ["failed"], 100) == failed[::-1]
    assert list_newest(events, ["failed"], 3) == failed[:2:-1]
    assert list_newest(events, ["failed"], 3, oldest=True) == failed[:3]


def test_those_of_several_statuses_are_in_one_order(keys):
    events = Event.objects.filter(**match("cause_key", CAUSE))
    of_cause = [key for index, key in enumerate(keys) if index % 4 in (0, 2)]
    statuses = ["failed", "received"]
    assert list_newest(events, statuses, 4, by_cause=True) == of_cause[:1:-1]
    assert list_newest(events, statuses, 4, by_cause=True, oldest=True) == of_cause[:4]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="others choose by what is in the table")
@pytest.mark.parametrize("cause", ["", CAUSE])
def test_the_index_has_their_order(cause):
    events = Event.objects.filter(**match("cause_key", cause)) if cause else Event.objects.all()
    found = sort_newest(events, "failed", bool(cause)).values_list("pk", flat=True)
    sql, values = found.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)
        plan = " ".join(row[3] for row in cursor.fetchall())
    assert f"COVERING INDEX payment_webhooks_{'cause' if cause else 'status'}" in plan
    assert "TEMP B-TREE" not in plan
    # Nor are all events of the status read for those of a cause.
    assert not cause or "status=? AND cause_key>?" in plan
