"""The history's door: what it says, and that it says "nothing" where no history is kept."""

import pytest
from django.utils import timezone

from django_payment_webhooks import history
from django_payment_webhooks.history.models import Entry, Rejection, Sweep
from django_payment_webhooks.history.receivers import rejections

from ..factories import EventFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def event():
    """Return an event with a history: it failed, and was contradicted."""
    event = EventFactory()
    for verb in ("failed", "conflicted", "replayed"):
        Entry.objects.create(event=event, at=timezone.now(), verb=verb, attempts=1, text="why")
    return event


def texts():
    """Return what the entries say, by their verbs."""
    return dict(Entry.objects.values_list("verb", "text"))


def test_the_newest_entries_are_read_the_oldest_of_them_first(event):
    Entry.objects.create(event=EventFactory(), at=timezone.now(), verb="waiting", attempts=0)
    entries = history.read_entries([event], limit=2)
    assert [entry.verb for entry in entries] == ["conflicted", "replayed"]


def test_the_history_of_an_event_can_be_forgotten(event):
    history.forget(event)
    assert texts() == {"failed": "", "conflicted": "", "replayed": ""}


def test_what_a_body_differed_in_can_be_forgotten_alone(event):
    history.forget_differences(event)
    assert texts() == {"failed": "why", "conflicted": "", "replayed": "why"}


def test_no_rejection_is_counted_if_a_test_wants_none():
    before = rejections.counts.copy()
    with history.without_rejections():
        rejections.count(timezone.now(), "default", 401, "mismatch")
    assert rejections.counts == before


def test_where_no_history_is_kept_the_answer_is_that_there_is_nothing(event, settings):
    now = timezone.now()
    Rejection.objects.create(hour=now, status=401, reason="mismatch", count=1)
    Sweep.objects.create(pk=1, finished_at=now, enqueued=0)
    assert history.is_installed()
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "history" not in app]
    assert not history.is_installed()
    assert history.read_entries([event], limit=10) == []
    assert history.read_rejections(now) == []
    assert history.read_last_sweep() is None
    history.forget(event)
    history.forget_differences(event)
    with history.without_rejections():
        assert rejections.is_paused is False
    assert set(texts().values()) == {"why"}
