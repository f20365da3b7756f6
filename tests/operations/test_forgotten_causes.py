"""Causes that no event has any more, nor has had for long, are forgotten."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from django_payment_webhooks.history import forget_cause
from django_payment_webhooks.history.models import Cause
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.operations.pruning import list_forgotten_causes
from django_payment_webhooks.publisher import process

from ..doubles import handle
from ..factories import EventFactory

pytestmark = pytest.mark.django_db


def ago(days):
    """Return the moment a number of days ago."""
    return timezone.now() - timedelta(days=days)


def know(letter, days, **fields):
    """Store a cause that was last seen a number of days ago."""
    return Cause.objects.create(key=letter * 32, first_seen=ago(500), last_seen=ago(days), **fields)


def prune(*options):
    """Run the command, and return what it prints as JSON."""
    out = StringIO()
    call_command("prune_payment_webhooks", "--no-input", "--json", *options, stdout=out)
    return json.loads(out.getvalue())


@pytest.fixture
def causes(db):
    """Causes, two of which are no longer needed."""
    know("a", 101)
    know("b", 300, acknowledged_at=ago(101))
    know("c", 99)
    know("d", 300, acknowledged_at=ago(99))
    know("e", 300)
    know("f", 300)
    EventFactory(status=Event.FAILED, cause_key="e" * 32, due_at=None, enqueue_at=None)
    EventFactory(cause_key="f" * 32)


def test_only_a_cause_that_no_event_has_and_that_was_not_seen_for_long_is_forgotten(causes):
    assert prune("--days", "100", "--dry-run")["causes"] == 2
    assert Cause.objects.count() == 6
    assert prune("--days", "100")["causes"] == 2
    assert sorted(key[0] for key in Cause.objects.values_list("pk", flat=True)) == list("cdef")
    out = StringIO()
    call_command("prune_payment_webhooks", "--no-input", "--days", "98", stdout=out)
    text = "0 events pruned, 2 causes forgotten that no event has any more"
    assert out.getvalue().strip() == text


def test_who_erases_an_order_forgets_no_cause(causes):
    EventFactory(
        order_id="Z9", order_key=digest("Z9"), status=Event.PROCESSED, due_at=None, enqueue_at=None
    )
    assert prune("--erase-order", "Z9")["causes"] == 0
    assert Cause.objects.count() == 6


def test_a_cause_that_is_seen_again_meanwhile_stays(causes):
    (first, _) = list_forgotten_causes(ago(100))
    Cause.objects.filter(pk=first).update(last_seen=timezone.now())
    assert forget_cause(first, ago(100)) is False


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("days", "is_written"), [(0.9, False), (1.1, True)])
def test_that_a_cause_is_seen_again_is_written_once_a_day(days, is_written, history, settings):
    def work(self, event):
        raise ValueError("no")

    handle(settings, apply=work)
    seen = ago(days)
    for number in range(2):
        process_new()
        if number == 0:
            Cause.objects.update(last_seen=seen)
    assert (Cause.objects.get().last_seen != seen) is is_written
    assert Event.objects.exclude(cause_key=Cause.objects.get().pk).count() == 0


def process_new():
    """Make an attempt at a new event."""
    event = EventFactory(order_id="", order_key="")
    process([event.pk])
