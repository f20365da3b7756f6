"""The causes in the admin: from what is broken to its events, a dry run, a replay of just those."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from django_payment_webhooks.history.models import AuditRecord, Cause, Entry
from django_payment_webhooks.models import Event

from ..factories import EventFactory
from .browsing import HAS_VIEW_PERMISSION, LIST, found, messages_of, page_of, read

BUG, REFUSED = "b" * 32, "c" * 32
FINAL = {"status": Event.FAILED, "due_at": None, "enqueue_at": None}


@pytest.fixture
def broken(db):
    """Two causes: three events failed and one is retried for a bug, and one event was refused."""
    fields = {"exception": "KeyError", "text": "warehouse_id", "place": "shop.handlers.apply"}
    Cause.objects.create(key=BUG, first_seen=timezone.now(), **fields)
    bug = {"cause_key": BUG, "error": "KeyError('warehouse_id')"}
    EventFactory.create_batch(3, **FINAL, **bug)
    next_at = time.time() + 200
    retried = {"provider_event_id": "evt_retried", "attempts": 4}
    EventFactory(due_at=next_at, enqueue_at=next_at, **retried, **bug)
    return EventFactory(
        provider_event_id="evt_refused", cause_key=REFUSED, error="no of a@example.org", **FINAL
    )


def test_the_page_of_the_causes_says_what_is_broken(operator, broken):
    html = read(operator, LIST, causes="1")
    row = html.partition("KeyError: warehouse_id in shop.handlers.apply</a>")[2]
    assert row.startswith(" (a bug)</h2>")
    assert 'failed">3</a></dd>' in row and 'retrying">1</a>. Next attempt' in row
    assert "<dd>charge.succeeded</dd>" in row and "<dd>40.00 EUR</dd>" in row
    assert "a@example.org" not in html
    assert "?causes=1" in read(operator, LIST)


def test_the_overview_names_the_causes_and_what_is_retried(operator, broken):
    html = read(operator, LIST, overview="6")
    assert "3 events have failed (KeyError: warehouse_id in shop.handlers.apply), " in html
    assert "1 more event is being retried. Next attempt in 3 minutes. Money: 40.00 EUR.</a>" in html
    assert html.count("KeyError: warehouse_id") == 1
    critical = html.index('<p class="pw-problem pw-critical"><strong>Critical:</strong> ')
    places = [html.index(f"?causes=1#cause-{key}") for key in (BUG, REFUSED)]
    assert critical < places[0] < places[1]
    assert f'id="cause-{BUG}"' in read(operator, LIST, causes="1")
    assert '<a href="?status__exact=retrying">1</a></td>' in html


def test_a_cause_leads_to_its_events_and_an_event_to_its_cause(operator, broken):
    events = found(operator.get(LIST, {"cause": BUG}))
    assert len(events) == 4 and "evt_refused" not in events
    html = read(operator, page_of(Event.objects.filter(cause_key=BUG).first()))
    assert f"?cause={BUG}" in html


def test_what_is_retried_can_be_listed_beside_the_statuses(operator, broken):
    assert found(operator.get(LIST, {"status__exact": "retrying"})) == {"evt_retried"}
    assert read(operator, LIST).count('pw-retried">retrying</span>') == 1
    assert len(found(operator.get(LIST, {"status__exact": "failed"}))) == 4
    assert len(found(operator.get(LIST))) == 5


def test_the_traceback_is_shown_without_what_is_personal(operator, broken):
    text = 'File "shop.py"\nKeyError: <b>b@example.org</b>'
    entry = {"verb": "failed", "attempts": 1, "at": timezone.now()}
    Entry.objects.create(event=broken, traceback=text, **entry)
    html = read(operator, page_of(broken))
    assert "KeyError: &lt;b&gt;" in html
    assert "b@example.org" not in html


def test_just_the_events_of_a_cause_are_replayed_once_that_is_confirmed(operator, broken):
    chosen = {"action": "replay_events", "select_across": "1", "index": "0"}
    chosen["_selected_action"] = Event.objects.filter(cause_key=BUG).last().pk
    address = f"{LIST}?cause={BUG}"
    asked = operator.post(address, chosen)
    html = asked.content.decode()
    assert "<strong>4 events</strong>" in html
    assert 'failed</span> 3, <span class="pw-status pw-retrying">retrying</span> 1</dd>' in html
    assert "<dd>charge.succeeded 4</dd>" in html and "<dd>40.00 EUR</dd>" in html
    assert Event.objects.filter(status=Event.FAILED).count() == 4
    fields = asked.context["form"].initial
    answer = operator.post(address, dict(chosen, confirmed=1, **fields), follow=True)
    assert messages_of(answer) == [("success", "4 events are due again.")]
    assert Event.objects.filter(status=Event.RECEIVED, cause_key=None, attempts=0).count() == 4
    assert Event.objects.get(status=Event.FAILED) == broken


def test_a_cause_is_acknowledged_with_a_note(operator, broken):
    answer = operator.post(f"{LIST}?causes=1", {"key": BUG, "note": "The shop is told."})
    assert answer.status_code == 302
    html = read(operator, LIST, causes="1")
    assert "Acknowledged by root at" in html and "The shop is told." in html
    record = AuditRecord.objects.get()
    assert (record.verb, record.by, record.reason) == ("acknowledged", "root", "The shop is told.")
    answer = operator.post(f"{LIST}?causes=1", {"key": BUG, "note": " "}, follow=True)
    assert [level for level, _ in messages_of(answer)] == ["error"]


def test_a_cause_that_has_grown_since_it_was_looked_at_is_not_acknowledged(operator, broken):
    assert '<input type="hidden" name="seen" value="4">' in read(operator, LIST, causes="1")
    form = {"key": BUG, "note": "Four orders.", "seen": 4}
    EventFactory.create_batch(5, cause_key=BUG, **FINAL)
    answer = operator.post(f"{LIST}?causes=1", form, follow=True)
    text = "The cause has changed: far more events have it by now. Look again."
    assert messages_of(answer) == [("error", text)]
    assert (Cause.objects.get(key=BUG).note, AuditRecord.objects.count()) == ("", 0)
    operator.post(f"{LIST}?causes=1", dict(form, seen=9))
    assert Cause.objects.get(key=BUG).note == "Four orders."


@pytest.mark.skipif(not HAS_VIEW_PERMISSION, reason="Django 2.1 brought the permission to view.")
def test_a_reader_sees_the_causes_and_acknowledges_none(reader, broken):
    html = read(reader, LIST, causes="1")
    assert "KeyError: warehouse_id" in html
    assert 'method="post"' not in html.partition('class="pw-page"')[2]
    assert reader.post(f"{LIST}?causes=1", {"key": BUG, "note": "no"}).status_code == 403
    assert not Cause.objects.exclude(note="").exists()


def test_many_events_are_replayed_no_quicker_than_asked_for(operator, broken):
    EventFactory.create_batch(8, cause_key=BUG, **FINAL)
    chosen = {"action": "replay_events", "select_across": "1", "index": "0"}
    chosen["_selected_action"] = broken.pk
    address = f"{LIST}?cause={BUG}"
    fields = operator.post(address, chosen).context["form"].initial
    answer = operator.post(address, dict(chosen, confirmed=1, rate=1, **fields))
    assert Event.objects.filter(cause_key=BUG).count() == 12 - 5
    html = answer.content.decode()
    assert 'data-pause="5"' in html and '<progress max="12" value="5">' in html
    assert '<input type="hidden" name="rate" value="1"' in html


def test_each_cause_has_its_own_buttons_beside_it(operator, broken):
    html = read(operator, LIST, causes="1")
    parts = html.split('<div class="pw-cause" id="cause-')[1:]
    assert [part[:32] for part in parts] == [BUG, REFUSED]
    for part in parts:
        assert part.count(f'action="?cause={part[:32]}"') == 2
        assert part.count(f'name="key" value="{part[:32]}"') == 1


def test_a_dry_run_leads_to_the_replay_of_the_same_events(operator, broken):
    chosen = {"action": "dry_run_events", "select_across": "1", "index": "0"}
    chosen["_selected_action"] = broken.pk
    html = operator.post(f"{LIST}?cause={BUG}", chosen).content.decode()
    form = html.partition('<form method="post"')[2].partition("</form>")[0]
    assert "Replay these 4 events …" in form
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form))
    assert fields["action"] == "replay_events"
    asked = operator.post(f"{LIST}?cause={BUG}", fields)
    assert "<strong>4 events</strong>" in asked.content.decode()
    assert Event.objects.filter(status=Event.RECEIVED, cause_key=BUG).count() == 1
    final = EventFactory(status=Event.PROCESSED, due_at=None, enqueue_at=None)
    chosen = {"action": "dry_run_events", "_selected_action": final.pk, "index": "0"}
    assert "Replay this event" not in operator.post(LIST, chosen).content.decode()


def test_a_confirmation_says_when_the_last_attempt_failed(operator, broken):
    ended = timezone.now() - timedelta(minutes=7)
    Event.objects.filter(cause_key=BUG, status=Event.FAILED).update(finished_at=ended)
    chosen = {"action": "replay_events", "select_across": "1", "index": "0"}
    chosen["_selected_action"] = broken.pk
    address = f"{LIST}?cause={BUG}"
    assert "<dd>7 minutes ago (" in operator.post(address, chosen).content.decode()
    retried = Event.objects.get(provider_event_id="evt_retried")
    at = timezone.now() - timedelta(minutes=3)
    Entry.objects.create(event=retried, verb="retried", attempts=4, at=at)
    assert "<dd>3 minutes ago (" in operator.post(address, chosen).content.decode()
