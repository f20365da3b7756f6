"""The hours that are over: counted once, and whatever happens then, they show what is true."""

import datetime

import pytest
from django.utils import timezone

from django_payment_webhooks import history
from django_payment_webhooks.history import hours
from django_payment_webhooks.history.hours import count_next_hour
from django_payment_webhooks.history.models import CountedHour
from django_payment_webhooks.models import Event
from django_payment_webhooks.monitoring.hours import count_hour, read_hour, recount
from django_payment_webhooks.monitoring.overview import read_overview
from django_payment_webhooks.operations.pruning import delete, erase_order, prune
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.operations.resolve import resolve
from django_payment_webhooks.sweeper import sweep

from ..doubles import recorded_statements
from ..factories import EventFactory
from ..rows import read

pytestmark = pytest.mark.django_db

FINAL = {"due_at": None, "enqueue_at": None}
HOUR = datetime.timedelta(hours=1)
MINUTE = datetime.timedelta(minutes=1)
SHOWN = 6


def start(ago):
    """Return the start of the hour that began a number of hours before the present one."""
    return timezone.now().replace(minute=0, second=0, microsecond=0) - ago * HOUR


def add(ago, status=Event.PROCESSED, minute=30, **fields):
    """Store an event that was received within an hour."""
    final = {} if status == Event.RECEIVED else FINAL
    finished_at = timezone.now() if final else None
    received_at = start(ago) + minute * MINUTE
    values = {"received_at": received_at, "finished_at": finished_at, **final, **fields}
    return EventFactory(status=status, **values)


def count_all():
    """Count every hour that is over."""
    while count_next_hour():
        pass


def read_shown():
    """Return the hours as the overview shows them."""
    return read_overview(SHOWN).hours


def read_true():
    """Return the same hours, each read from its events."""
    starts = [start(ago) for ago in reversed(range(SHOWN))]
    return [count_hour(each, read_hour(each)) for each in starts]


def list_used():
    """Return how many hours ago the hours began whose events the overview reads only in part."""
    found = recount(history.read_counted_hours(start(SHOWN - 1)))
    return [ago for ago in range(SHOWN) if start(ago) in found]


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """Keep few hours, as each takes a test its time."""
    monkeypatch.setattr(hours, "KEPT", SHOWN * HOUR)


@pytest.fixture
def counted(transactional_db):
    """Three hours that are over, and counted."""
    for ago in (2, 3, 4):
        for _ in range(4):
            add(ago)
        add(ago, provider="timed")
        add(ago, status=Event.DUPLICATE)
        add(ago, status=Event.FAILED, cause_key="a" * 32)
        add(ago, status=Event.IGNORED)
        add(ago, status=Event.RECEIVED)
    count_all()
    return {event.status: event for event in Event.objects.filter(received_at__gte=start(3))}


def test_a_counted_hour_shows_what_its_events_would(counted):
    assert set(list_used()) >= {2, 3, 4}
    assert read_shown() == read_true()
    assert read_shown()[-3].statuses == {
        "processed": 5,
        "duplicate": 1,
        "failed": 1,
        "ignored": 1,
        "received": 1,
    }


def test_the_events_of_a_counted_hour_are_not_read_again(counted):
    with recorded_statements() as statements:
        read_overview(SHOWN)
    table = Event._meta.db_table
    grouped = [sql for sql in statements if table in sql and "GROUP BY" in sql and "MAX(" in sql]
    assert len(grouped) == SHOWN - len(list_used())
    assert len(grouped) <= 2


@pytest.mark.usefixtures("history")
def test_a_sweep_counts_the_newest_hour_that_is_not_counted_yet(counted):
    CountedHour.objects.filter(start__in=[start(3), start(4)]).delete()
    sweep(lambda keys: None)
    assert CountedHour.objects.filter(start=start(3)).exists()
    assert not CountedHour.objects.filter(start=start(4)).exists()


def test_no_more_hours_are_kept_than_the_overview_shows(counted):
    assert CountedHour.objects.count() == SHOWN
    CountedHour.objects.filter(start=start(3)).update(start=start(SHOWN + 5))
    assert count_next_hour() is True
    assert CountedHour.objects.count() == SHOWN
    assert count_next_hour() is False


# ---- what happens afterwards


def test_a_replayed_event_is_shown_at_once(counted):
    assert replay(counted[Event.FAILED]) is True
    assert read_shown() == read_true()
    assert {2, 3} <= set(list_used())
    assert sum(hour.statuses.get("received", 0) for hour in read_shown()) == 4


def test_an_event_that_is_processed_later_is_shown_at_once(counted, settings, run_due):
    Event.objects.filter(status=Event.RECEIVED).update(type="nobody")
    run_due()
    assert read_shown() == read_true()
    assert [hour.statuses.get("ignored") for hour in read_shown()[-5:-2]] == [2, 2, 2]


def test_a_resolved_event_is_shown_at_once(counted):
    assert resolve(counted[Event.FAILED], "alice", "paid in cash")
    assert read_shown() == read_true()
    assert sum(hour.statuses.get("failed", 0) for hour in read_shown()) == 2


def test_pruning_and_erasing_change_no_number(counted):
    before = read_shown()
    assert prune(counted[Event.PROCESSED])
    others = Event.objects.filter(status__in=[Event.RECEIVED, Event.FAILED])
    others.update(order_id="A2", order_key="other", payment_key="")
    assert erase_order(read(counted[Event.PROCESSED]), "alice")
    assert read_shown() == before == read_true()


@pytest.mark.parametrize("status", [Event.PROCESSED, Event.DUPLICATE, Event.FAILED])
def test_a_deleted_event_is_gone_at_once(counted, status):
    Event.objects.exclude(status=status).update(order_key="other", payment_key="")
    assert delete(read(counted[status]))
    assert read_shown() == read_true()
    count_all()
    assert read_shown() == read_true()
    assert {2, 3, 4} <= set(list_used())


def test_an_event_that_is_stored_long_after_its_receipt_is_there_at_once(counted):
    add(3, provider="timed", minute=59)
    assert read_shown() == read_true()
    count_all()
    assert read_shown() == read_true()
    assert {2, 3, 4} <= set(list_used())


def test_rows_that_are_deleted_in_sql_are_noticed_by_the_ends_of_an_hour(counted):
    found = Event.objects.filter(received_at__gte=start(3), received_at__lt=start(2))
    found._raw_delete(found.db)
    assert read_shown() == read_true()
    assert 3 not in list_used()


def test_an_hour_of_which_most_have_failed_is_counted_by_the_others(transactional_db):
    for _ in range(5):
        add(3, status=Event.FAILED)
    event = add(3, status=Event.PROCESSED)
    count_all()
    assert CountedHour.objects.get(start=start(3)).usual == Event.FAILED
    assert resolve(Event.objects.exclude(pk=event.pk)[0], "alice", "paid in cash")
    assert read_shown() == read_true()
    assert read_shown()[-4].statuses == {"failed": 4, "processed": 2}


# ---- when an hour is over


@pytest.fixture
def at(monkeypatch):
    """Let the hours be counted at another time."""

    class Clock:
        now = timezone.now()

    monkeypatch.setattr(hours, "timezone", Clock)

    def at(moment):
        Clock.now = staticmethod(lambda: moment)

    return at


def test_an_hour_that_has_just_ended_is_not_counted_yet(transactional_db, at):
    at(start(0) + datetime.timedelta(seconds=1))
    count_all()
    assert CountedHour.objects.latest("start").start == start(2)
    add(1, minute=59)
    assert read_shown() == read_true()
    assert read_shown()[-2].statuses == {"processed": 1}
    at(start(0) + hours.SETTLING)
    count_all()
    assert CountedHour.objects.latest("start").start == start(1)
    assert read_shown() == read_true()


# ---- keys and times in different orders


def test_events_whose_keys_are_not_in_the_order_of_their_times_are_counted_once(transactional_db):
    add(3, minute=59)
    add(2, minute=0)
    add(3, minute=59)
    add(2, minute=0, status=Event.FAILED, cause_key="a" * 32)
    stray = add(3, minute=59, status=Event.FAILED, cause_key="a" * 32)
    add(2, minute=1)
    count_all()
    assert {2, 3} <= set(list_used())
    assert CountedHour.objects.get(start=start(2)).strays != "[]"
    assert read_shown() == read_true()
    assert [hour.received for hour in read_shown()[-4:-2]] == [3, 3]
    assert replay(stray) is True
    assert read_shown() == read_true()


def test_an_hour_full_of_other_events_is_read_each_time(transactional_db, monkeypatch):
    monkeypatch.setattr(hours, "MAX_STRAYS", 1)
    for _ in range(3):
        add(3)
        add(2)
    count_all()
    assert CountedHour.objects.get(start=start(3)).is_exact is False
    assert not {2, 3} & set(list_used())
    assert read_shown() == read_true()


# ---- the door


def test_without_a_history_every_hour_is_read(counted, settings):
    expected = read_true()
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "history" not in app]
    assert history.read_counted_hours(start(SHOWN)) == []
    assert read_shown() == expected


def test_a_provider_has_the_time_since_its_last_event_of_a_counted_hour(counted):
    ages = read_overview(SHOWN).providers
    for provider in ("default", "timed"):
        assert ages[provider] == pytest.approx(
            (timezone.now() - start(2) - 30 * MINUTE).total_seconds(), abs=30
        )


@pytest.mark.parametrize("use_tz", [True, False])
def test_hours_are_counted_with_and_without_time_zones(transactional_db, settings, use_tz):
    settings.USE_TZ = use_tz
    add(2)
    count_all()
    assert 2 in list_used()
    assert read_shown()[-3].statuses == {"processed": 1}
