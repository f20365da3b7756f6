"""Each number on a page leads to just as many events, which the list and the database confirm."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from html import unescape
from io import StringIO
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.core.management import call_command
from django.utils import timezone

from django_payment_webhooks.history.models import Cause, Conflict
from django_payment_webhooks.models import Event

from ..factories import EventFactory
from .browsing import LIST, read

FINAL = {"due_at": None, "enqueue_at": None}
BUG, REFUSED = "b" * 32, "c" * 32
# What a page shows as a number in a link: a cell of a table, or the beginning of a sentence.
LINK = re.compile(
    r'<a href="(\?[^"]*)"[^>]*>(?:<span[^>]*>)?(?:and )?(\d+\+?)\b(?! (?:hours?|more)\b)'
)
MANY = 203
# How many a list counts here: the real bound takes a thousand events.
BOUND = 100


def store(number, **fields):
    """Store events of one kind."""
    return Event.objects.bulk_create(EventFactory.build_batch(number, **fields))


@pytest.fixture
def mixed(db, monkeypatch):
    """Events of each status: more than a list counts of some, few of others."""
    monkeypatch.setattr("django_payment_webhooks.admin.filters.MAX_COUNT", BOUND)
    monkeypatch.setattr("django_payment_webhooks.admin.filters.PAGES_AHEAD", 0)
    now = timezone.now()
    Cause.objects.create(key=BUG, exception="KeyError", text="warehouse_id", first_seen=now)
    next_at = time.time() + 900
    later = {"due_at": next_at, "enqueue_at": next_at, "attempts": 3}
    bug = {"cause_key": BUG, "error": "KeyError('warehouse_id')"}
    store(MANY, status=Event.PROCESSED, **FINAL)
    store(MANY, status=Event.FAILED, **bug, **FINAL)
    store(52, **bug, **later)
    for key in ("1", "2", "3"):
        store(1, status=Event.APPLIED, idempotency_key=key * 32, **bug, **later)
    refused = {"cause_key": REFUSED, "error": "TimeoutError()"}
    store(3, status=Event.FAILED, **refused, **FINAL)
    old = now - timedelta(hours=2)
    store(7, received_at=old, **refused, **later)
    store(4, status=Event.FAILED, **FINAL)  # of no known cause
    store(5)  # due
    store(2, due_at=time.time() - 900, enqueue_at=time.time() - 840, received_at=old)
    waits = {"status": Event.WAITING, **later}
    store(6, waiting_since=time.time() - 60, **waits)
    store(3, waiting_since=time.time() - 2 * 86400, received_at=old, **waits)
    store(3, status=Event.IGNORED, **FINAL)
    Event.objects.filter(due_at__gt=time.time()).update(attempts=3)
    for event in Event.objects.filter(status=Event.PROCESSED)[:3]:
        Conflict.objects.create(event=event, at=now)
        Conflict.objects.create(event=event, at=now)


def follow(browser, address):
    """Return how many events a list says that there are, and how many there are."""
    answer = browser.get(LIST, dict(parse_qsl(urlsplit(address).query)))
    assert answer.status_code == 200, address
    shown = answer.context["cl"]
    return str(shown.result_count), shown.queryset.count()


def list_numbers(html):
    """Return the numbers that a page links: their addresses, and what is written."""
    return [(unescape(address), shown) for address, shown in LINK.findall(html)]


def test_each_number_on_a_page_leads_to_a_list_with_just_as_many(operator, mixed):
    overview = read(operator, LIST, overview=6)
    causes = read(operator, LIST, causes=1)
    linked = [*list_numbers(overview), *list_numbers(causes)]
    anchors = [address for address, _ in linked if "#" in address]
    assert anchors == [f"?causes=1#cause-{BUG}", f"?causes=1#cause-{REFUSED}"]
    assert all(f'id="{address.partition("#")[2]}"' in causes for address in anchors)
    numbers = {address: shown for address, shown in linked if "#" not in address}
    for address, shown in numbers.items():
        counted, there = follow(operator, address)
        assert shown == str(there), address
        assert counted == (str(there) if there <= BOUND else f"{BOUND}+"), address
    assert numbers["?status__exact=failed"] == str(MANY + 3 + 4)
    assert numbers["?status__exact=retrying"] == "62"
    assert numbers["?status__exact=due"] == "7"
    assert numbers["?status__exact=late"] == "3"
    assert numbers["?conflict=open"] == "3"
    assert numbers[f"?cause={BUG}&status__exact=failed"] == str(MANY)
    assert numbers[f"?cause={BUG}&status__exact=retrying"] == "55"
    assert numbers[f"?cause={REFUSED}&status__exact=failed"] == "3"
    assert numbers[f"?cause={REFUSED}&status__exact=retrying"] == "7"
    for problem in re.findall(r'<p class="pw-problem.*?</p>', overview):
        assert re.search(r"<a |An event that|No sweeper|broker|recent events", problem), problem


def test_the_confirmation_and_the_result_have_the_number_of_the_cause(operator, mixed):
    key = Event.objects.filter(cause_key=BUG).last().pk
    chosen = {"action": "replay_events", "select_across": "1", "index": "0"}
    address = f"{LIST}?cause={BUG}&status__exact=retrying"
    asked = operator.post(address, dict(chosen, _selected_action=key))
    assert "<strong>55 events</strong>" in asked.content.decode()
    fields = asked.context["form"].initial
    answer = operator.post(
        address, dict(chosen, _selected_action=key, confirmed=1, **fields), follow=True
    )
    assert "55 events are due again." in [str(text) for text in answer.context["messages"]]
    assert Event.objects.filter(cause_key=BUG).count() == MANY


def test_the_commands_that_the_status_names_list_as_many_as_it_says(mixed):
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("payment_webhooks_status", "-v0", stdout=out)
    named = re.findall(r": (\d+) events? [^\n]*\n  manage.py (\w+) (--c[^\n]+)", out.getvalue())
    assert len(named) == 3
    for number, command, options in named:
        listed = StringIO()
        call_command(command, *options.split(), "--limit", "5000", "--csv", stdout=listed)
        assert len(listed.getvalue().splitlines()) - 1 == int(number)


# ---- many causes


def fail_for(number):
    """Store an event for each of some causes, which no history knows."""
    store_each = [
        EventFactory.build(
            status=Event.FAILED,
            cause_key=f"{index:032x}",
            error=f"ShopError('reason {chr(97 + index % 26)}{chr(97 + index // 26)}x')",
            type="refund.created" if index == 7 else "charge.succeeded",
            **FINAL,
        )
        for index in range(1, number + 1)
    ]
    Event.objects.bulk_create(store_each)


def test_of_many_causes_the_rest_is_counted_and_leads_to_their_pages(operator, db):
    fail_for(45)
    html = read(operator, LIST, overview=6)
    assert '<a href="?causes=1">All causes</a>: 45<' in html
    seen = set()
    for page, shown in ((0, 20), (1, 20), (2, 5)):
        html = read(operator, LIST, causes=1, p=page)
        keys = set(re.findall(r'id="cause-(\w+)"', html))
        assert len(keys) == shown
        assert "45 causes." in html
        seen |= keys
    assert len(seen) == 45
    assert "Next page" not in html and "p=1" in html
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("payment_webhooks_status", stdout=out)
    assert "… and 25 more causes: --causes 45 shows them." in out.getvalue()


def test_more_causes_than_are_listed_are_said_to_be_more(operator, db, monkeypatch):
    monkeypatch.setattr("django_payment_webhooks.monitoring.causes.MAX_LISTED", 30)
    fail_for(31)
    assert ">All causes</a>: 30+<" in read(operator, LIST, overview=6)
    assert "30+ causes." in read(operator, LIST, causes=1)


@pytest.mark.parametrize(
    ("text", "number"),
    [("reason hax", 1), ("refund.created", 1), ("timed", 0), ("SHOP\0ERROR", 45)],
)
def test_a_cause_is_found_by_its_text_its_type_and_its_provider(operator, db, text, number):
    fail_for(45)
    html = read(operator, LIST, causes=1, text=text)
    assert f"{number} cause{'s' if number != 1 else ''}." in html
    assert len(re.findall(r'id="cause-(\w+)"', html)) == min(number, 20)


def test_a_cause_behind_those_that_are_listed_is_found_by_its_text(operator, db, monkeypatch):
    monkeypatch.setattr("django_payment_webhooks.monitoring.causes.MAX_LISTED", 2)
    fields = {"exception": "ShopError", "text": "the needle", "first_seen": timezone.now()}
    Cause.objects.create(key="f" * 32, **fields)
    store(1, status=Event.FAILED, cause_key="f" * 32, **FINAL)
    fail_for(5)
    assert "needle" not in read(operator, LIST, causes=1)
    assert "ShopError: the needle" in read(operator, LIST, causes=1, text="Needle")


# ---- as of


def test_each_page_that_lives_says_as_of_when_it_is_with_the_zone(operator, mixed):
    for page in ({"overview": 6}, {"causes": 1}, {"conflict": "open"}, {"cause": BUG}, {}):
        html = read(operator, LIST, **page)
        assert re.search(r"As of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+\.", html), page
        assert ">Refresh</a>" in html
    chosen = {"action": "replay_events", "select_across": "1", "index": "0", "confirmed": 1}
    chosen["_selected_action"] = Event.objects.filter(cause_key=BUG).last().pk
    fields = {"after": 0, "until": 10**9, "total": 1258, "done": 0, "left": 0, "refused": 0}
    html = operator.post(f"{LIST}?cause={BUG}", dict(chosen, **fields)).content.decode()
    assert "<progress" in html and "As of 20" in html
