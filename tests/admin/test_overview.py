"""The overview in the admin."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from django_payment_webhooks.history.models import Entry, Rejection
from django_payment_webhooks.models import Event

from ..factories import EventFactory
from .browsing import HAS_VIEW_PERMISSION, LIST, log_in, page_of, read, row_of


def test_the_overview_shows_how_all_is_and_what_is_wrong(operator, monkeypatch):
    monkeypatch.setattr(
        "django_payment_webhooks.monitoring.overview.is_broker_reachable", lambda: False
    )
    EventFactory.create_batch(3, status=Event.FAILED, due_at=None)
    EventFactory(
        received_at=timezone.now() - timedelta(hours=3), status=Event.PROCESSED, due_at=None
    )
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    Rejection.objects.create(hour=hour, provider="default", status=401, reason="mismatch", count=17)
    html = read(operator, LIST, overview="6")
    for text in [
        "3 events have failed",
        "can&#39;t be reached",
        "mismatch",
        ">17<",
        "Last sweep",
        "timed",
    ]:
        assert text in html.replace("&#x27;", "&#39;")
    assert len(re.findall(r"<rect [^>]*class=\"pw-(\w+)\"", html)) == 2
    assert html.count("<g><title>") == 6
    assert "?overview=24" in read(operator, LIST)


@pytest.mark.parametrize("hours", ["", "x", "0", "-1", "99999", "٣", "1e3"])
def test_the_overview_takes_any_number_of_hours_and_shows_a_bounded_one(operator, hours):
    assert 1 <= read(operator, LIST, overview=hours).count("<g><title>") <= 168


def test_the_overview_is_not_for_everybody(client, db):
    assert client.get(LIST, {"overview": 24}).status_code == 302
    assert log_in("clerk", is_staff=True).get(LIST, {"overview": 24}).status_code == 403


@pytest.mark.skipif(not HAS_VIEW_PERMISSION, reason="Django 2.1 brought the permission to view.")
def test_a_reader_sees_the_overview_and_the_timelines_and_no_operation(reader):
    event = EventFactory(status=Event.FAILED)
    assert "All events" in read(reader, LIST, overview=24)
    html = read(reader, page_of(event))
    assert "pw-lane" in html
    assert "formaction" not in html
    for action in ("replay_events", "resolve_events", "dry_run_events"):
        before = row_of(event)
        answer = reader.post(
            LIST, {"action": action, "_selected_action": [event.pk], "confirmed": 1, "after": 0}
        )
        assert "pw-page" not in answer.content.decode()
        assert row_of(event) == before
    assert not Entry.objects.exists()
