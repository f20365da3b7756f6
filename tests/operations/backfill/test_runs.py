"""Backfills: what webhooks have missed is received once, wherever a run was stopped."""

import datetime
import json
import logging
import time

import pytest
import requests
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError
from django.utils import timezone
from shop.models import LedgerEntry

from django_payment_webhooks import testing
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations import backfill as door
from django_payment_webhooks.operations.backfill import paging, runs
from django_payment_webhooks.operations.backfill.models import Run
from django_payment_webhooks.operations.backfill.paging import Pace, Recent
from django_payment_webhooks.operations.backfill.periods import Period
from django_payment_webhooks.operations.backfill.reconciliation import Reconciliation
from django_payment_webhooks.operations.backfill.runs import backfill, rehearse
from django_payment_webhooks.operations.backfill.signals import webhooks_missed
from django_payment_webhooks.operations.backfill.sources import Page, RawEvent, Source, SourceError
from django_payment_webhooks.operations.pruning import prune
from django_payment_webhooks.providers.payloads import dump_json

from ...factories import OrderFactory
from .stripe_server import be_slow, break_off, limit, make_event, refuse

pytestmark = pytest.mark.django_db(transaction=True)
QUICK = 1000


@pytest.fixture
def five(stripe):
    """Five paid orders, only two of which the provider has sent, and its list of events."""
    now = time.time()
    for number in range(5):
        OrderFactory(id=f"A{number}")
    stripe.events = [make_event(number, now - 3600 - number) for number in range(5)]
    for number in (1, 3):
        send(make_event(number, now - 3600 - number, pending_webhooks=1))
    testing.run_due()
    return stripe


@pytest.fixture
def missed():
    """Return what the signal reported."""
    reports = []

    def receive(report, **facts):
        reports.append(report)

    webhooks_missed.connect(receive)
    yield reports
    webhooks_missed.disconnect(receive)


def send(event, **changed):
    """Have an event come as a webhook."""
    body = json.dumps({**event, **changed}, indent=2, sort_keys=True).encode()
    return testing.post_body(body, "stripe")


def get_missed_ids():
    """Return the ids of the events that came by a backfill."""
    found = Event.objects.filter(verified_by__startswith="backfill:")
    return sorted(found.values_list("provider_event_id", flat=True))


def start(**options):
    """Return a pace that is as quick as the machine."""
    return Pace(QUICK, **options)


def test_what_was_missed_is_stored_and_processed_and_reported(
    five, period, missed, published, shop_state, received_signals, caplog
):
    caplog.set_level(logging.INFO, "django_payment_webhooks")
    published()
    del received_signals[:]
    report = backfill("stripe", period, start())
    assert (report.missed, report.checked) == (3, 5)
    assert report.types == {"charge.succeeded": 3}
    assert sorted(report.orders) == ["A0", "A2", "A4"]
    assert missed == [report]
    assert get_missed_ids() == ["evt_0", "evt_2", "evt_4"]
    assert len(published()) == 3
    assert set(received_signals.names()) == {"event_received"}
    assert "The webhook address missed 3 of 5 events of stripe" in caplog.text
    testing.run_due()
    assert set(Event.objects.values_list("status", flat=True)) == {"processed"}
    assert set(shop_state()["orders"].values()) == {"paid"}
    assert LedgerEntry.objects.filter(kind="payment").count() == 5


def test_a_second_backfill_finds_nothing_and_raises_no_alarm(five, period, missed, caplog):
    backfill("stripe", period, start())
    del missed[:]
    caplog.set_level(logging.INFO, "django_payment_webhooks")
    caplog.clear()
    report = backfill("stripe", period, start())
    assert (report.missed, report.checked, report.orders) == (0, 5, [])
    assert missed == []
    (record,) = caplog.records
    assert record.getMessage() == "backfill finished stripe: 0 of 5 missed"
    assert Event.objects.count() == 5


def test_a_rehearsal_finds_the_same_and_stores_nothing(five, period, missed, published):
    published()
    rehearsed = rehearse("stripe", period, start())
    assert get_missed_ids() == []
    assert Run.objects.count() == 0
    assert (missed, published()) == ([], [])
    report = backfill("stripe", period, start())
    assert report.missed == 3
    assert rehearsed._replace(orders=sorted(rehearsed.orders)) == report._replace(
        orders=sorted(report.orders)
    )


@pytest.mark.parametrize("repeats", [1, 2])
def test_items_that_come_on_two_pages_count_once(five, period, repeats):
    five.repeats = repeats
    assert rehearse("stripe", period, start()).checked == 5
    report = backfill("stripe", period, start())
    assert (report.missed, report.checked) == (3, 5)
    assert Event.objects.count() == 5


def test_a_bad_connection_costs_nothing_but_time(five, period, pauses):
    notes = []
    five.faults = [limit(7), be_slow, break_off, refuse(503), None, break_off]
    report = backfill("stripe", period, start(watch=lambda step: notes.append(step.note)))
    assert (report.missed, report.checked) == (3, 5)
    assert len(five.asked) == 3 + 4
    assert 7 in pauses
    assert len([note for note in notes if "Trying again" in note]) == 4
    assert Event.objects.count() == 5


def test_a_provider_that_stays_away_ends_it_and_the_next_goes_on_there(five, period, pauses):
    five.faults = [None, *[refuse(502)] * paging.MAX_TRIES]
    with pytest.raises(SourceError, match="8 tries failed, the last with .*502"):
        backfill("stripe", period, start())
    assert get_missed_ids() == ["evt_0"]
    del five.asked[:]
    report = backfill("stripe", period, start())
    assert [asked.get("starting_after") for asked in five.asked] == ["evt_1", "evt_3"]
    assert (report.missed, report.checked) == (3, 5)


def test_it_gives_up_at_once_where_patience_is_no_help(five, period, pauses):
    five.faults = [refuse(401)]
    with pytest.raises(SourceError, match="refuses .*401.*Check the source's credentials"):
        backfill("stripe", period, start())
    five.faults = [limit(paging.LONGEST_PAUSE + 1)]
    with pytest.raises(SourceError, match="asks to wait for 601 seconds"):
        backfill("stripe", period, start())
    assert len(five.asked) == 2


def test_pages_are_fetched_no_faster_than_the_rate(five, period, pauses):
    backfill("stripe", period, Pace(0.1))
    waited = [pause for pause in pauses if pause > 0]
    assert len(waited) == 2
    assert all(8 < pause <= 10 for pause in waited)


def test_a_crash_between_an_event_and_its_page_loses_and_doubles_nothing(
    five, period, monkeypatch, missed
):
    receive = runs.receive_events

    def crash(provider, meta, body, verified_by):
        receive(provider, meta, body, verified_by)
        raise OperationalError("The server has gone away.")

    with monkeypatch.context() as broken:
        broken.setattr(runs, "receive_events", crash)
        with pytest.raises(OperationalError):
            backfill("stripe", period, start())
    assert get_missed_ids() == ["evt_0"]
    assert missed == []
    report = backfill("stripe", period, start())
    assert (report.missed, report.checked) == (3, 5)
    assert [each.missed for each in missed] == [3]
    assert Run.objects.get().missed == 3


def stop_after_first_page(stripe, period):
    """Leave an unfinished run behind."""
    stripe.faults = [None, refuse(403)]
    with pytest.raises(SourceError):
        backfill("stripe", period, start())
    del stripe.asked[:]


def test_a_restart_begins_again_and_counts_what_is_missed_then(five, period):
    stop_after_first_page(five, period)
    report = backfill("stripe", period, start(), restart=True)
    assert "starting_after" not in five.asked[0]
    assert (report.missed, report.checked) == (2, 5)
    assert Run.objects.count() == 1


def test_what_has_passed_since_a_stopped_run_began_follows_it(five, period):
    stop_after_first_page(five, period)
    five.events.append(make_event(5, period.until + 30))
    report = backfill("stripe", Period(period.since + 60, period.until + 60), start())
    assert [asked.get("starting_after") for asked in five.asked] == ["evt_1", "evt_3", None]
    assert (report.missed, report.checked) == (4, 6)
    assert report.until.timestamp() == pytest.approx(period.until + 60)
    assert list(Run.objects.values_list("missed", flat=True).order_by("pk")) == [3, 1]


def test_a_stopped_run_that_does_not_cover_the_period_is_given_up(five, period):
    stop_after_first_page(five, period)
    report = backfill("stripe", period._replace(since=period.since - 60 * 60), start())
    assert "starting_after" not in five.asked[0]
    assert (report.missed, report.checked) == (2, 5)
    assert Run.objects.count() == 1


def test_of_two_processes_at_one_run_the_later_leaves_it_to_the_other(five, period, missed):
    def overtake(step):
        Run.objects.update(pages=7)

    with pytest.raises(SourceError, match="Another process continues this backfill of stripe"):
        backfill("stripe", period, start(watch=overtake))
    assert missed == []
    assert Event.objects.count() == 4


def test_a_time_limit_of_celery_ends_it_at_once(settings, period):
    class Slow(Source):
        def fetch_events(self, since, until, cursor):
            raise SoftTimeLimitExceeded

    name_source(settings, Slow)
    with pytest.raises(SoftTimeLimitExceeded):
        backfill("default", period, start())


def test_it_works_without_time_zones(five, period, settings):
    settings.USE_TZ = False
    assert backfill("stripe", period, start()).missed == 3
    assert door.read_findings(timezone.now() - datetime.timedelta(hours=1))[0].missed == 3
    testing.run_due()
    later = period._replace(until=period.until + 60)
    found = list(Reconciliation("stripe", later, pace=start()))
    assert sorted(each.payment_id for each in found) == [f"pi_{number}" for number in range(5)]


# ---- sameness


def list_conflicts(received_signals):
    """Return the ids of the events that were contradicted."""
    return [each["event"].provider_event_id for each in received_signals.of("event_conflicted")]


REWORDED = {
    "pending_webhooks": 3,
    "request": {"id": "req_1", "idempotency_key": "key"},
    "api_version": "2025-05-28",
}


def test_an_event_that_the_api_words_otherwise_is_no_conflict(stripe, period, received_signals):
    event = make_event(1, time.time() - 60)
    send(event, **REWORDED)
    # In the form of another version of the API.
    event["data"]["object"]["new_detail"] = {"of": "the object"}
    stripe.events = [event]
    assert backfill("stripe", period, start()).missed == 0
    assert list_conflicts(received_signals) == []


def test_a_webhook_that_comes_after_its_backfill_is_no_conflict(stripe, period, received_signals):
    event = make_event(1, time.time() - 60)
    stripe.events = [event]
    assert backfill("stripe", period, start()).missed == 1
    assert send(event, **REWORDED).json()["status"] == "duplicate"
    assert list_conflicts(received_signals) == []
    assert Event.objects.get().verified_by.startswith("backfill:")


@pytest.mark.parametrize(
    "changed", [{"amount": 999}, {"number": 2}, {"type": "payment_intent.payment_failed"}]
)
def test_an_event_that_says_something_else_is_a_conflict(stripe, period, received_signals, changed):
    now = time.time() - 60
    send(make_event(1, now))
    stripe.events = [dict(make_event(**{"number": 1, "created": now, **changed}), id="evt_1")]
    assert backfill("stripe", period, start()).missed == 0
    assert list_conflicts(received_signals) == ["evt_1"]


def test_an_event_whose_body_was_pruned_is_compared_all_the_same(stripe, period, received_signals):
    OrderFactory(id="A1")
    event = make_event(1, time.time() - 60)
    send(event)
    testing.run_due()
    assert prune(Event.objects.get())
    stripe.events = [dict(event, data={"object": {**event["data"]["object"], "new": 1}})]
    backfill("stripe", period, start())
    assert list_conflicts(received_signals) == []
    stripe.events = [make_event(1, time.time() - 60, amount=1)]
    backfill("stripe", period, start())
    assert list_conflicts(received_signals) == ["evt_1"]


# ---- sources


def name_source(settings, source):
    """Have the default partner's lists read by a class."""
    globals()["Named"] = source
    settings.PAYMENT_WEBHOOKS_SOURCES = {"default": f"{__name__}.Named"}


def test_what_makes_no_sense_is_reported_and_not_stored(settings, period, body):
    class Odd(Source):
        def fetch_events(self, since, until, cursor):
            return Page([b"{}", body(event_id="evt_1"), "no JSON"])

    name_source(settings, Odd)
    report = backfill("default", period, start())
    assert (report.missed, report.checked, report.unreadable) == (1, 1, 2)
    assert sorted(report.problems.values()) == [1, 1]
    assert any("type is missing" in reason for reason in report.problems)
    assert Event.objects.get().provider_event_id == "evt_1"


def test_a_field_can_come_in_a_header(settings, period):
    class WithHeaders(Source):
        def fetch_events(self, since, until, cursor):
            body = dump_json({"type": "charge.succeeded", "timestamp": "2026-11-23T10:00:00Z"})
            return Page([RawEvent(body, {"webhook-id": "msg_1"})])

    name_source(settings, WithHeaders)
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "default": {"PRESET": "standard_webhooks", "SECRETS": ["whsec_" + "MfKQ9r8G" * 4]}
    }
    assert backfill("default", period, start()).missed == 1
    assert Event.objects.get().provider_event_id == "msg_1"


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        (None, "returned NoneType in place of a Page"),
        (Page([7]), "gives int as an event"),
        (Page([], 7), "next_cursor is no text"),
        (Page([], "again"), "the same page for ever"),
    ],
)
def test_a_wrong_source_is_an_error_that_says_why(settings, period, page, problem):
    class Wrong(Source):
        def fetch_events(self, since, until, cursor):
            return page

    name_source(settings, Wrong)
    with pytest.raises(SourceError, match=problem):
        backfill("default", period, start())


@pytest.mark.parametrize(
    ("provider", "path", "problem"),
    [
        ("defualt", "", "no provider 'defualt' .* Did you mean default?"),
        ("default", "", "no source for default: name a class in PAYMENT_WEBHOOKS_SOURCES"),
        ("default", "nowhere.Source", "nowhere.Source, can't be made: ModuleNotFoundError"),
        ("default", f"{Source.__module__}.Source", "has no fetch_events"),
    ],
)
def test_a_source_that_is_not_there_is_an_error_that_says_why(
    settings, period, provider, path, problem
):
    settings.PAYMENT_WEBHOOKS_SOURCES = {"default": path}
    with pytest.raises(SourceError, match=problem):
        backfill(provider, period, start())


def test_a_source_is_given_the_period_as_moments_of_utc(settings, period):
    given = []

    class Curious(Source):
        def fetch_events(self, since, until, cursor):
            given.append((self.provider, since, until, cursor))
            return Page([])

    name_source(settings, Curious)
    backfill("default", period, start())
    ((provider, since, until, cursor),) = given
    assert (provider, cursor) == ("default", "")
    assert since.tzinfo is until.tzinfo is datetime.timezone.utc
    assert [since.timestamp(), until.timestamp()] == [pytest.approx(each) for each in period]


def test_only_what_came_last_is_remembered(monkeypatch):
    monkeypatch.setattr(paging, "MAX_RECENT", 2)
    recent = Recent()
    assert [recent.add(key) for key in "abab"] == [True, True, False, False]
    assert recent.add("c")
    assert len(recent.keys) == 2
    assert recent.add("a")


@pytest.mark.parametrize(
    "error",
    [
        requests.HTTPError("401 for url: https://api/x?key=sk_1", response=requests.Response()),
        requests.ConnectionError("Max retries exceeded with url: /x?key=sk_1 (refused)"),
    ],
)
def test_no_key_in_an_address_is_shown(settings, period, pauses, error):
    class Keyed(Source):
        def fetch_events(self, since, until, cursor):
            raise error

    name_source(settings, Keyed)
    if error.response is not None:
        error.response.status_code = 401
    notes = []
    with pytest.raises(SourceError) as failure:
        backfill("default", period, start(watch=lambda step: notes.append(step.note)))
    assert type(error).__name__ in str(failure.value)
    assert "sk_1" not in str(failure.value) + "".join(notes)


# ---- the door


def test_findings_are_those_of_some_time_and_of_runs_that_found_something():
    now = timezone.now()
    for provider, missed, hours in [("a", 3, 1), ("a", 0, 1), ("a", 4, 30), ("b", 5, 2)]:
        ended = now - datetime.timedelta(hours=hours)
        facts = {"provider": provider, "since": 0, "until": 1, "checked": 10, "missed": missed}
        Run.objects.create(finished_at=ended, **facts)
    Run.objects.create(provider="c", since=0, until=1, missed=9)
    found = door.read_findings(now - datetime.timedelta(hours=24))
    assert [tuple(finding) for finding in found] == [("b", 5, 10), ("a", 3, 10)]
    assert set(door.read_last_ends()) == {"a", "b"}
    assert door.read_last_ends()["a"] == now - datetime.timedelta(hours=1)


def test_without_the_app_nothing_was_missed(settings):
    facts = {"provider": "a", "since": 0, "until": 1, "missed": 1}
    Run.objects.create(finished_at=timezone.now(), **facts)
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "backfill" not in app]
    assert not door.is_installed()
    assert door.read_findings(timezone.now() - datetime.timedelta(1)) == []
    assert door.read_last_ends() == {}


def test_runs_are_forgotten_after_a_while(stripe, period):
    old = timezone.now() - runs.KEPT - datetime.timedelta(1)
    Run.objects.create(provider="a", since=0, until=1, finished_at=old)
    backfill("stripe", period, start())
    assert [run.provider for run in Run.objects.all()] == ["stripe"]
