"""What is broken: failed and retried events by their causes, bounded, and quick by the index."""

from __future__ import annotations

import datetime
import re
import time
from decimal import Decimal
from unittest import mock

import pytest
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from django_payment_webhooks.history.models import Cause
from django_payment_webhooks.models import Event
from django_payment_webhooks.monitoring import causes
from django_payment_webhooks.monitoring.causes import acknowledge, read_cause, read_causes
from django_payment_webhooks.monitoring.newest import list_newest, match

from ..factories import EventFactory

pytestmark = pytest.mark.django_db

FINAL = {"due_at": None, "enqueue_at": None}
BUG, REFUSED = "b" * 32, "c" * 32


def ago(seconds):
    """Return the moment a number of seconds ago."""
    return timezone.now() - datetime.timedelta(seconds=seconds)


def fail(number=1, key=REFUSED, **fields):
    """Store events that have failed for a cause."""
    values = dict(FINAL, status=Event.FAILED, error="PermanentFailure('no')", cause_key=key)
    return EventFactory.create_batch(number, **dict(values, **fields))


def retry(number=1, key=BUG, **fields):
    """Store events that are to be tried again after an attempt that failed for a cause."""
    values = {"error": "KeyError('warehouse_id')", "attempts": 1, "due_at": time.time() + 180}
    return EventFactory.create_batch(number, cause_key=key, **dict(values, **fields))


def known(key=BUG, **fields):
    """Store what the history knows of a cause."""
    values = {"exception": "KeyError", "place": "shop.handlers.apply", "text": "warehouse_id"}
    return Cause.objects.create(key=key, first_seen=ago(9000), **dict(values, **fields))


def read_shares():
    """Return the events of both causes as they are read."""
    return causes.read_shares([BUG, REFUSED])


def test_where_nothing_has_failed_there_is_no_cause():
    EventFactory(status=Event.PROCESSED, **FINAL)
    assert read_causes() == []


def test_a_cause_says_what_is_broken_since_when_and_for_how_much_money():
    known()
    oldest, *_ = retry(2, received_at=ago(7200), type="refund.created", provider="timed")
    (newest,) = fail(1, key=BUG, data={"amount": "3.50", "currency": "USD"})
    (found,) = read_causes()
    assert found.title == "KeyError: warehouse_id in shop.handlers.apply"
    assert (found.failed, found.retrying) == ((1, False), (2, False))
    assert 170 < found.next_seconds <= 180
    assert (found.first, found.last) == (oldest.received_at, newest.received_at)
    assert found.retrying_since == oldest.received_at
    assert found.types == ["charge.succeeded", "refund.created"]
    assert found.providers == ["default", "timed"]
    assert found.money == {"EUR": Decimal("20.00"), "USD": Decimal("3.50")}
    assert (found.is_partial, found.is_bug, found.newest) == (False, False, newest.pk)


def test_without_a_history_a_cause_is_called_by_the_error_of_its_newest_event(settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "history" not in app]
    retry(error="KeyError('old')")
    retry()
    (found,) = read_causes()
    assert (found.title, found.is_bug, found.record) == ("KeyError: warehouse_id", True, None)
    assert acknowledge(BUG, "ada", "Known.") is False


def test_without_a_history_no_cause_is_called_by_what_its_newest_event_says_of_people(
    settings, monkeypatch
):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "history" not in app]
    retry(error="ShopError('no customer ann smith in ulm')", data={"holder": "Ann Smith"})
    (found,) = read_causes()
    assert found.title == "ShopError: no customer … in ulm"
    monkeypatch.setattr("django_payment_webhooks.providers.personal.MAX_VALUES", 0)
    (found,) = read_causes()
    assert found.title == "ShopError: [redacted]"


def test_the_cause_of_the_most_events_comes_first():
    for number in range(4):
        fail(number + 1, key=f"{number}" * 32)
    assert [found.key[0] for found in read_causes()] == ["3", "2", "1", "0"]


def test_of_many_causes_those_that_are_retried_are_read_and_then_the_newest():
    for number in range(4):
        fail(1, key=f"{number}" * 32)
    retry(2)
    assert {found.key for found in read_causes(limit=3)} == {BUG, "3" * 32, "2" * 32}


def test_an_old_cause_is_found_behind_many_events_of_another_one(monkeypatch):
    monkeypatch.setattr(causes, "MAX_NEWEST", 2)
    fail(1, key=BUG)
    fail(3)
    assert [found.key for found in read_causes()] == [REFUSED, BUG]


def test_a_cause_is_counted_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(causes, "MAX_COUNTED", 2)
    fail(3)
    assert read_causes()[0].failed == (2, True)
    monkeypatch.setattr(causes, "MAX_COUNTED", 3)
    assert read_causes()[0].failed == (3, False)


def test_of_many_causes_fewer_events_are_read_each(monkeypatch):
    monkeypatch.setattr(causes, "MAX_ROWS", 4)
    fail(5)
    assert len(read_shares()[REFUSED][0].rows) == 4
    retry(5)
    shares = read_shares()
    assert [len(shares[key][0].rows) for key in (REFUSED, BUG)] == [2, 2]
    assert [cause.failed.number + cause.retrying.number for cause in read_causes()] == [5, 5]


def test_money_that_was_not_or_can_not_be_read_is_reported():
    fail(3)
    (found,) = read_causes(parsed=2)
    assert (found.money, found.is_partial) == ({"EUR": Decimal("20.00")}, True)
    fail(1, key=BUG, data={"amount": "a lot"})
    assert (read_cause(BUG).money, read_cause(BUG).is_partial) == ({}, True)
    assert read_cause("d" * 32) is None


def test_a_cause_is_acknowledged_until_as_many_events_again_have_it():
    known()
    retry(2)
    assert acknowledge(BUG, "ada", "The warehouse is told.") is True
    retry(2)
    found = read_cause(BUG)
    assert found.is_acknowledged is True
    assert (found.to_dict()["acknowledged_by"], found.to_dict()["note"]) == (
        "ada",
        "The warehouse is told.",
    )
    fail(1, key=BUG)
    assert read_cause(BUG).is_acknowledged is False


def test_a_cause_that_was_gone_and_is_back_is_not_acknowledged_any_more():
    known()
    (event,) = retry()
    assert acknowledge(BUG, "ada", "The warehouse is told.")
    retry()
    assert read_cause(BUG).is_acknowledged is True
    Event.objects.filter(pk=event.pk).update(cause_key=None)
    assert read_cause(BUG).is_acknowledged is False


def test_an_acknowledgement_says_why():
    with pytest.raises(ValueError, match="the note is blank"):
        acknowledge(BUG, "ada", " ")


# ---- the index


def explain(sql, values):
    """Return how the database would answer a question, as one text."""
    prefix = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        cursor.execute(prefix + sql, values)
        return "\n".join(str(row) for row in cursor.fetchall())


def analyze():
    """Have the database learn what its table has."""
    table = "TABLE " if connection.vendor == "mysql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table}{Event._meta.db_table}")
        if table:
            cursor.fetchall()


def record_questions():
    """Ask all that is asked about causes, and return each question with its values."""
    questions, execute = [], CursorWrapper.execute

    def record(self, sql, params=None):
        questions.append((sql, params))
        return execute(self, sql, params)

    with mock.patch.object(CursorWrapper, "execute", record):
        assert list(causes.leap(Event.FAILED, 10)) == [BUG, REFUSED]
        assert len(list(causes.count_all([BUG]))) == 4
        of_cause = Event.objects.filter(**match("cause_key", BUG))
        assert list_newest(of_cause, [Event.FAILED], 100, by_cause=True)
        assert causes.count_newer(Cause(key=BUG, acknowledged_id=0, acknowledged_count=9999)) == 400
    return questions


# MariaDB has read the smallest, or seen that there is none, before it says how it would.
ONE_STEP = {
    "sqlite": "payment_webhooks_cause",
    "postgresql": "payment_webhooks_cause",
    "mysql": "payment_webhooks_cause|tables optimized away|No matching min/max row",
}
WHOLE_TABLE = {
    "sqlite": "SCAN (TABLE )?payment_webhooks_event(?! USING)",
    "postgresql": "Seq Scan on payment_webhooks_event",
    "mysql": "'payment_webhooks_event', 'ALL'",
}


# MariaDB commits before it analyzes.
@pytest.mark.django_db(transaction=True)
def test_every_question_is_answered_by_the_index_of_causes():
    Event.objects.bulk_create(
        EventFactory.build_batch(2000, status=Event.PROCESSED, **FINAL)
        + EventFactory.build_batch(400, status=Event.FAILED, cause_key=BUG, **FINAL)
        + EventFactory.build_batch(400, status=Event.FAILED, cause_key=REFUSED, **FINAL)
    )
    analyze()
    questions = record_questions()
    assert len(questions) == 3 + 1 + 1 + 4
    for sql, values in questions:
        plan = explain(sql, values)
        assert re.search(ONE_STEP[connection.vendor], plan), plan
        assert not re.search(WHOLE_TABLE[connection.vendor], plan), plan
