"""What operators see of events, and what they can do with them."""

import json

import django
import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils.html import escape

from django_payment_webhooks.admin import EventAdmin
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import ParseError
from django_payment_webhooks.models import Event
from django_payment_webhooks.processing import receive_events

from .doubles import recorded_statements
from .factories import EventFactory

LIST = "/admin/payment_webhooks/event/"
HAS_VIEW_PERMISSION = django.VERSION >= (2, 1)


def log_in(name, browser=None, **rights):
    """Return the browser of a new user. Nobody has a password: to make one takes a second."""
    browser = browser or Client()
    browser.force_login(User.objects.create(username=name, **rights))
    return browser


@pytest.fixture
def operator(db):
    """Return the browser of a superuser."""
    return log_in("root", is_staff=True, is_superuser=True)


@pytest.fixture
def reader(db):
    """Return the browser of somebody who may only look at events."""
    browser = log_in("reader", is_staff=True)
    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_event"))
    return browser


def page_of(event):
    """Return the address of an event's page."""
    return "%s%d/change/" % (LIST, event.pk)


def found(answer):
    """Return which events a list shows."""
    assert answer.status_code == 200
    return {event.provider_event_id for event in answer.context["cl"].result_list}


def read(browser, url, **parameters):
    """Open a page, and return its HTML."""
    answer = browser.get(url, parameters)
    assert answer.status_code == 200
    return answer.content.decode()


def row_of(event):
    """Return an event's row as plain values."""
    return dict(Event.objects.filter(pk=event.pk).values().get(), body=bytes(Event.objects.get(pk=event.pk).body))


def replay(browser, *events):
    """Select events, and replay them. Returns the answer of the page that follows."""
    data = {"action": "replay_events", "_selected_action": [event.pk for event in events]}
    return browser.post(LIST, data, follow=True)


def told(answer):
    """Return what a page tells: pairs of a level and a sentence."""
    return [(message.level_tag, str(message)) for message in answer.context["messages"]]


@pytest.fixture
def unparsed(db):
    """An event whose body can't be parsed, and not even decoded."""
    with pytest.raises(ParseError):
        receive_events(get_provider("default"), {}, b"\xff\x00<b>{not JSON", "by-test")
    return Event.objects.get(type="")


# ---- the list


def test_the_list_shows_what_became_of_each_event(operator):
    EventFactory(provider_event_id="evt_1", status=Event.FAILED, error="It was too late.", attempts=7)
    EventFactory(provider_event_id="evt_2", status=Event.PROCESSED, type="refund.created", order_id="A2")
    html = read(operator, LIST)
    for text in ["evt_1", "failed", "It was too late.", "evt_2", "processed", "refund.created", "A2", ">7<"]:
        assert text in html


def test_the_list_shows_the_newest_event_first_and_a_bounded_number(operator):
    EventFactory.create_batch(51)
    shown = [event.pk for event in operator.get(LIST).context["cl"].result_list]
    assert shown == list(Event.objects.order_by("-pk").values_list("pk", flat=True)[:50])


def test_the_list_is_filtered_by_status_provider_and_type(operator):
    EventFactory(provider_event_id="evt_1", status=Event.FAILED)
    EventFactory(provider_event_id="evt_2", status=Event.PROCESSED, provider="timed")
    EventFactory(provider_event_id="evt_3", status=Event.PROCESSED, type="refund.created")
    assert found(operator.get(LIST)) == {"evt_1", "evt_2", "evt_3"}
    assert found(operator.get(LIST, {"status__exact": "failed"})) == {"evt_1"}
    assert found(operator.get(LIST, {"status__exact": "processed"})) == {"evt_2", "evt_3"}
    assert found(operator.get(LIST, {"provider": "timed"})) == {"evt_2"}
    assert found(operator.get(LIST, {"type": "refund.created"})) == {"evt_3"}
    assert found(operator.get(LIST, {"type": "charge.succeeded", "status__exact": "processed"})) == {"evt_2"}


@pytest.mark.parametrize(
    ("term", "ids"),
    [
        ("evt_1", {"evt_1"}),
        ("  evt_1 ", {"evt_1"}),
        ("evt_2", {"evt_2"}),
        ("A1", {"evt_1", "evt_10"}),
        ("A2", {"evt_2"}),
        # Neither a part of it, nor what only looks like it to a database.
        ("evt", set()),
        ("EVT_1", set()),
        ("evt_1%", set()),
        ("a1", set()),
        ("A", set()),
        ("nothing", set()),
        ("Übung \U0001f4b6 '\"", set()),
        ("", {"evt_1", "evt_10", "evt_2"}),
        ("   ", {"evt_1", "evt_10", "evt_2"}),
    ],
)
def test_the_search_finds_an_event_by_its_exact_id_or_its_orders_and_no_other(operator, term, ids):
    EventFactory(provider_event_id="evt_1", order_id="A1")
    EventFactory(provider_event_id="evt_10", order_id="A1")
    EventFactory(provider_event_id="evt_2", order_id="A2", provider="timed")
    assert found(operator.get(LIST, {"q": term})) == ids


def test_the_search_asks_for_the_keys_which_have_indexes(operator):
    with recorded_statements() as statements:
        operator.get(LIST, {"q": "evt_1"})
    conditions = [sql.partition(" WHERE ")[2] for sql in statements if Event._meta.db_table in sql]
    assert any("dedup_key" in condition and "order_key" in condition for condition in conditions)
    assert not any("provider_event_id" in condition or "order_id" in condition for condition in conditions)


def test_the_search_can_be_combined_with_a_filter(operator):
    EventFactory(provider_event_id="evt_1", status=Event.FAILED)
    EventFactory(provider_event_id="evt_2", status=Event.PROCESSED)
    assert found(operator.get(LIST, {"q": "A1", "status__exact": "failed"})) == {"evt_1"}


def test_the_search_finds_an_unparsed_event_by_the_id_that_it_was_given(operator, unparsed):
    EventFactory()
    assert found(operator.get(LIST, {"q": unparsed.provider_event_id})) == {unparsed.provider_event_id}


# ---- one event


def test_the_page_shows_the_payload_for_reading(operator):
    event = EventFactory(provider_event_id="evt_1", verified_by="fingerprint1", data={"amount": "10.00", "note": "für"})
    html = read(operator, page_of(event))
    assert escape(json.dumps(event.payload, indent=2, ensure_ascii=False)) in html
    for text in ["evt_1", "charge.succeeded", "A1", "fingerprint1", event.dedup_key, "für"]:
        assert text in html


def test_numbers_are_shown_as_they_were_sent(operator):
    event = EventFactory(payload={})
    Event.objects.filter(pk=event.pk).update(body=b'{"amount": 10.10, "big": 12345678901234567890}')
    html = read(operator, page_of(event))
    assert "10.10" in html
    assert "12345678901234567890" in html


def test_what_a_payload_contains_is_shown_and_never_run(operator):
    script = "</pre><script>alert('A1')</script>"
    event = EventFactory(provider_event_id=script, type=script, order_id=script, data={"note": script}, error=script)
    for html in (read(operator, page_of(event)), read(operator, LIST), read(operator, LIST, q=script)):
        assert script not in html
        assert "&lt;script&gt;alert(" in html


def test_an_event_that_was_not_parsed_is_shown_as_it_came(operator, unparsed):
    html = read(operator, page_of(unparsed))
    assert "\\xff" in html
    assert "\x00&lt;b&gt;{not JSON" in html
    assert "be read" in html  # the reason
    assert unparsed.provider_event_id in html
    assert unparsed.provider_event_id in read(operator, LIST)


@pytest.mark.parametrize("half", [r"\ud800", r"\udfff\ud800"])
def test_half_a_character_in_a_payload_is_shown_as_it_was_sent(operator, half):
    event = EventFactory(payload={})
    Event.objects.filter(pk=event.pk).update(body=b'{"note": "<%s>"}' % half.encode())
    assert "&lt;%s&gt;" % half in read(operator, page_of(event))


def test_a_body_of_the_size_limit_can_be_read(operator):
    event = EventFactory(data={"note": "<" + "x" * (1024 * 1024 - 1000) + ">"})
    assert "x&gt;" in read(operator, page_of(event))


@pytest.mark.django_db(transaction=True)
def test_an_event_whose_handler_is_gone_can_be_read_and_replayed(operator, settings, published, run_due):
    event = EventFactory(status=Event.FAILED, due_at=None)
    settings.PAYMENT_WEBHOOKS_HANDLERS = {}
    assert event.provider_event_id in read(operator, page_of(event))
    replay(operator, event)
    assert published() == [event.pk]
    run_due()
    assert row_of(event)["status"] == Event.IGNORED


def test_an_event_of_a_provider_that_the_settings_no_longer_name_can_still_be_read(operator, settings):
    event = EventFactory(provider="timed", data={"note": "a note of the past"})
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": settings.PAYMENT_WEBHOOKS_PROVIDERS["default"]}
    assert "a note of the past" in read(operator, page_of(event))
    assert "timed" in read(operator, LIST)


def test_every_field_is_read_only(operator):
    html = read(operator, page_of(EventFactory()))
    for field in Event._meta.fields:
        assert 'name="%s"' % field.name not in html


def test_saving_the_page_changes_nothing(operator):
    event = EventFactory(version=3)
    before = row_of(event)
    data = {field.name: "changed" for field in Event._meta.fields}
    answer = operator.post(page_of(event), dict(data, _save="Save"))
    assert answer.status_code == 302
    assert row_of(event) == before


def test_saving_a_page_does_not_undo_what_a_worker_did_since_it_was_opened(operator, monkeypatch):
    event, get_object = EventFactory(), EventAdmin.get_object

    def get_object_and_be_overtaken(*args, **kwargs):
        found = get_object(*args, **kwargs)
        Event.objects.filter(pk=event.pk).update(status=Event.PROCESSED, version=9)
        return found

    monkeypatch.setattr(EventAdmin, "get_object", get_object_and_be_overtaken)
    assert operator.post(page_of(event), {"_save": "Save"}).status_code == 302
    assert (row_of(event)["status"], row_of(event)["version"]) == (Event.PROCESSED, 9)


# ---- who may do what


def test_nobody_can_add_an_event(operator):
    assert operator.get(LIST + "add/").status_code == 403
    assert operator.post(LIST + "add/", {"provider_event_id": "evt_1", "_save": "Save"}).status_code == 403
    assert not Event.objects.exists()
    assert LIST + "add/" not in read(operator, LIST)


def test_nobody_can_delete_an_event(operator):
    event = EventFactory(status=Event.PROCESSED)
    assert operator.get("%s%d/delete/" % (LIST, event.pk)).status_code == 403
    assert operator.post("%s%d/delete/" % (LIST, event.pk), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [event.pk], "post": "yes"}
    operator.post(LIST, data, follow=True)
    assert Event.objects.filter(pk=event.pk).exists()
    html = read(operator, page_of(event))
    assert "deletelink" not in html


def test_a_stranger_sees_nothing_and_does_nothing(client, db, published):
    event = EventFactory(status=Event.FAILED, due_at=None)
    before = row_of(event)
    for answer in (client.get(LIST), client.get(page_of(event)), replay_without_following(client, event)):
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/?next=")
        assert event.provider_event_id not in answer.content.decode()
    assert row_of(event) == before
    assert published() == []


def replay_without_following(browser, event):
    """Try to replay an event, and return the first answer."""
    return browser.post(LIST, {"action": "replay_events", "_selected_action": [event.pk]})


def test_a_user_of_the_shop_who_is_no_staff_sees_nothing(db):
    buyer = log_in("buyer")
    assert buyer.get(LIST).status_code == 302
    assert buyer.get(page_of(EventFactory())).status_code == 302


def test_staff_without_permission_for_events_sees_nothing(db):
    clerk, event = log_in("clerk", is_staff=True), EventFactory(status=Event.FAILED)
    for answer in (clerk.get(LIST), clerk.get(page_of(event)), replay_without_following(clerk, event)):
        assert answer.status_code == 403
    assert row_of(event)["status"] == Event.FAILED


@pytest.mark.skipif(not HAS_VIEW_PERMISSION, reason="Django 2.1 brought the permission to view.")
def test_a_reader_sees_everything_and_is_not_offered_the_replay(reader, published):
    event = EventFactory(status=Event.FAILED, due_at=None, error="It was too late.")
    before = row_of(event)
    html = read(reader, LIST)
    assert "It was too late." in html
    assert "replay_events" not in html
    assert "evt_" in read(reader, page_of(event))
    assert reader.post(page_of(event), {"_save": "Save"}).status_code == 403
    replay_without_following(reader, event)
    assert row_of(event) == before
    assert published() == []
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_staff_that_may_change_events_may_replay_them_and_no_more(published):
    browser, event = log_in("support", is_staff=True), EventFactory(status=Event.FAILED)
    User.objects.get().user_permissions.add(Permission.objects.get(codename="change_event"))
    assert "replay_events" in read(browser, LIST)
    assert told(replay(browser, event)) == [("success", "1 events are due again.")]
    assert published() == [event.pk]
    assert browser.get("%s%d/delete/" % (LIST, event.pk)).status_code == 403
    assert browser.get(LIST + "add/").status_code == 403


def test_an_action_without_a_token_of_the_page_is_refused(db):
    browser = log_in("root", Client(enforce_csrf_checks=True), is_staff=True, is_superuser=True)
    event = EventFactory(status=Event.FAILED)
    assert replay_without_following(browser, event).status_code == 403
    assert row_of(event)["status"] == Event.FAILED


# ---- replay


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", [Event.FAILED, Event.IGNORED, Event.WAITING])
def test_replayed_events_are_due_again_and_published(operator, order, published, run_due, received_signals, status):
    events = EventFactory.create_batch(2, status=status, due_at=None, attempts=25, error="It was too late.")
    published()
    answer = replay(operator, *events)
    assert told(answer) == [("success", "2 events are due again.")]
    assert sorted(published()) == [event.pk for event in events]
    for event in events:
        row = row_of(event)
        assert (row["status"], row["attempts"], row["error"]) == (Event.RECEIVED, 0, "")
        assert row["due_at"] < row["enqueue_at"]
    assert sorted(facts["event"].pk for facts in received_signals.of("event_replayed")) == [row.pk for row in events]

    run_due()
    assert sorted(row_of(event)["status"] for event in events) == [Event.DUPLICATE, Event.PROCESSED]


@pytest.mark.django_db(transaction=True)
def test_a_replay_is_recorded_with_the_name_of_who_did_it(operator):
    event, other = EventFactory(status=Event.FAILED), EventFactory(status=Event.PROCESSED)
    replay(operator, event, other)
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.action_flag, entry.object_id) == ("root", CHANGE, str(event.pk))
    assert entry.get_change_message() == "Replayed."
    assert entry.content_type.model_class() is Event


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", [Event.RECEIVED, Event.APPLIED, Event.PROCESSED, Event.DUPLICATE])
def test_what_is_on_its_way_or_done_is_left_as_it_is_and_that_is_told(operator, published, received_signals, status):
    event = EventFactory(status=status)
    before = row_of(event)
    answer = replay(operator, event)
    text = "1 events were left as they are: only failed, ignored and waiting events can be replayed."
    assert told(answer) == [("warning", text)]
    assert row_of(event) == before
    assert published() == []
    assert received_signals == []
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_event_that_somebody_else_replays_at_this_moment_is_left_to_them(
    operator, published, received_signals, monkeypatch
):
    event, schedule = EventFactory(status=Event.FAILED), Event.schedule

    def be_overtaken(self, *args, **values):
        Event.objects.filter(pk=self.pk).update(status=Event.RECEIVED, version=self.version + 1)
        schedule(self, *args, **values)

    monkeypatch.setattr(Event, "schedule", be_overtaken)
    ((level, _),) = told(replay(operator, event))
    assert level == "warning"
    assert (row_of(event)["status"], row_of(event)["version"]) == (Event.RECEIVED, 1)
    assert published() == []
    assert received_signals == []
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_a_mixed_choice_each_part_is_told(operator, unparsed, published):
    failed, processed = EventFactory(status=Event.FAILED), EventFactory(status=Event.PROCESSED)
    levels = [level for level, _ in told(replay(operator, failed, processed, unparsed))]
    assert sorted(levels) == ["error", "success", "warning"]
    assert published() == [failed.pk]


@pytest.mark.django_db(transaction=True)
def test_an_event_whose_effect_is_committed_is_only_delivered_again(operator, order, run_due, shop_state, published):
    event = EventFactory()
    run_due()
    Event.objects.filter(pk=event.pk).update(status=Event.FAILED, due_at=None, error="The warehouse said no.")
    replay(operator, event)
    assert row_of(event)["status"] == Event.APPLIED
    run_due()
    assert row_of(event)["status"] == Event.PROCESSED
    assert shop_state()["ledger"] == [("payment", "A1")]


@pytest.mark.django_db(transaction=True)
def test_what_still_can_not_be_parsed_is_told_with_the_reason(operator, unparsed, published, received_signals):
    before = row_of(unparsed)
    ((level, text),) = told(replay(operator, unparsed))
    assert level == "error"
    assert text.startswith("unparsed %s still can't be parsed. The body can't be read: " % unparsed.provider_event_id)
    assert row_of(unparsed) == before
    assert published() == []
    assert not received_signals.of("event_replayed")
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_can_be_parsed_now_is_received_again(operator, settings, published, received_signals):
    body = json.dumps({"id": "evt_1", "type": "charge.succeeded", "data": {"order_id": "A1"}}).encode()
    with pytest.raises(ParseError):
        receive_events(get_provider("default"), {}, body, "by-test")
    unparsed = Event.objects.get()
    default = dict(settings.PAYMENT_WEBHOOKS_PROVIDERS["default"], FIELDS={"provider_event_id": "id"})
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": default}

    assert told(replay(operator, unparsed)) == [("success", "1 events are due again.")]
    assert row_of(unparsed)["status"] == Event.PROCESSED
    received = Event.objects.get(provider_event_id="evt_1")
    assert (received.status, received.order_id, received.verified_by) == (Event.RECEIVED, "A1", "by-test")
    assert published() == [received.pk]
    assert LogEntry.objects.get().object_id == str(unparsed.pk)


@pytest.mark.django_db(transaction=True)
def test_opening_the_address_of_the_action_replays_nothing(operator, published):
    event = EventFactory(status=Event.FAILED)
    before = row_of(event)
    operator.get(LIST, {"action": "replay_events", "_selected_action": event.pk})
    assert row_of(event) == before
    assert published() == []


def test_more_events_than_a_form_may_have_are_refused_and_none_is_replayed(operator, published):
    event = EventFactory(status=Event.FAILED, due_at=None)
    before = row_of(event)
    data = {"action": "replay_events", "_selected_action": [event.pk] * 100000}
    assert operator.post(LIST, data).status_code == 400
    assert row_of(event) == before
    assert published() == []
