"""What operators see of events, and what they can do with them."""

import json
import re
from datetime import timedelta
from unittest import mock

import django
import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from django_payment_webhooks.admin import EventAdmin
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.history.models import Entry, Rejection
from django_payment_webhooks.models import Event
from django_payment_webhooks.receiving import receive_events

from ..doubles import WorkerKilled, recorded_statements
from ..factories import EventFactory

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
    return dict(
        Event.objects.filter(pk=event.pk).values().get(),
        body=bytes(Event.objects.get(pk=event.pk).body),
    )


def operate(browser, action, *events, **answers):
    """Select events, choose an action, and confirm it. Returns the page that follows the
    confirmation.
    """
    selected = {"action": action, "_selected_action": [event.pk for event in events], "index": 0}
    asked = browser.post(LIST, selected)
    assert asked.status_code == 200
    fields = asked.context["form"].initial
    return browser.post(LIST, dict(selected, confirmed=1, **dict(fields, **answers)), follow=True)


def replay(browser, *events, **answers):
    """Replay events. Returns the page that follows."""
    return operate(browser, "replay_events", *events, **answers)


def told(answer):
    """Return what a page tells: pairs of a level and a sentence."""
    return [(message.level_tag, str(message)) for message in answer.context["messages"]]


@pytest.fixture
def unparsed(db):
    """An event whose body can't be parsed, and not even decoded."""
    receive_events(get_provider("default"), {}, b"\xff\x00<b>{not JSON", "by-test")
    return Event.objects.get(type="")


# ---- the list


def test_the_list_shows_what_became_of_each_event(operator):
    EventFactory(
        provider_event_id="evt_1", status=Event.FAILED, error="It was too late.", attempts=7
    )
    EventFactory(
        provider_event_id="evt_2", status=Event.PROCESSED, type="refund.created", order_id="A2"
    )
    html = read(operator, LIST)
    for text in [
        "evt_1",
        "failed",
        "It was too late.",
        "evt_2",
        "processed",
        "refund.created",
        "A2",
        ">7<",
    ]:
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
    assert found(
        operator.get(LIST, {"type": "charge.succeeded", "status__exact": "processed"})
    ) == {"evt_2"}


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
    for key in ("dedup_key", "order_key"):
        assert any(key in condition for condition in conditions)
    assert not any(
        "dedup_key" in condition and "order_key" in condition for condition in conditions
    )
    assert not any(
        "provider_event_id" in condition or "order_id" in condition for condition in conditions
    )


def test_the_search_can_be_combined_with_a_filter(operator):
    EventFactory(provider_event_id="evt_1", status=Event.FAILED)
    EventFactory(provider_event_id="evt_2", status=Event.PROCESSED)
    assert found(operator.get(LIST, {"q": "A1", "status__exact": "failed"})) == {"evt_1"}


def test_the_search_finds_an_unparsed_event_by_the_id_that_it_was_given(operator, unparsed):
    EventFactory()
    assert found(operator.get(LIST, {"q": unparsed.provider_event_id})) == {
        unparsed.provider_event_id
    }


@pytest.mark.parametrize(
    "query",
    [{}, {"status__exact": "failed"}, {"q": "A1"}, {"provider": "timed"}, {"_facets": "True"}],
)
def test_the_list_counts_no_further_than_it_shows(operator, monkeypatch, query):
    monkeypatch.setattr("django_payment_webhooks.admin.MAX_COUNT", 60)
    EventFactory.create_batch(70, status=Event.FAILED, provider="timed")
    with recorded_statements() as statements:
        answer = operator.get(LIST, query, follow=True)
    assert answer.context["cl"].result_count == 60
    assert answer.context["cl"].full_result_count is None
    counts = [sql for sql in statements if "COUNT(" in sql and Event._meta.db_table in sql]
    assert counts
    assert all("LIMIT 60" in sql for sql in counts)
    assert not [sql for sql in statements if "DISTINCT" in sql]


def test_the_list_reads_no_bodies(operator):
    EventFactory.create_batch(3)
    with recorded_statements() as statements:
        operator.get(LIST)
    assert not [sql for sql in statements if re.search(r"\bbody\b", sql)]


def test_the_filters_offer_what_the_settings_name_and_what_could_not_be_parsed(operator, unparsed):
    EventFactory(type="a.type.without.handler")
    html = read(operator, LIST)
    for text in ["provider=timed", "type=charge.succeeded", "type=dispute.opened", "unparsed"]:
        assert text in html
    assert "type=a.type.without.handler" not in html
    assert found(operator.get(LIST, {"type": ""})) == {unparsed.provider_event_id}
    assert found(operator.get(LIST, {"type": "a.type.without.handler"})) != set()


def test_a_long_error_is_shortened_in_the_list_and_whole_on_the_page(operator):
    event = EventFactory(status=Event.FAILED, error="It was too late. " * 20 + "The end.")
    assert "The end." not in read(operator, LIST)
    assert "The end." in read(operator, page_of(event))


# ---- one event


def test_the_page_shows_the_payload_for_reading(operator):
    event = EventFactory(
        provider_event_id="evt_1",
        verified_by="fingerprint1",
        data={"amount": "10.00", "note": "für"},
    )
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
    event = EventFactory(
        provider_event_id=script, type=script, order_id=script, data={"note": script}, error=script
    )
    for html in (
        read(operator, page_of(event)),
        read(operator, LIST),
        read(operator, LIST, q=script),
    ):
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
def test_an_event_whose_handler_is_gone_can_be_read_and_replayed(
    operator, settings, published, run_due
):
    event = EventFactory(status=Event.FAILED, due_at=None)
    settings.PAYMENT_WEBHOOKS_HANDLERS = {}
    assert event.provider_event_id in read(operator, page_of(event))
    replay(operator, event)
    assert published() == [event.pk]
    run_due()
    assert row_of(event)["status"] == Event.IGNORED


def test_an_event_of_a_provider_that_the_settings_no_longer_name_can_still_be_read(
    operator, settings
):
    event = EventFactory(provider="timed", data={"note": "a note of the past"})
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "default": settings.PAYMENT_WEBHOOKS_PROVIDERS["default"]
    }
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
    assert (
        operator.post(LIST + "add/", {"provider_event_id": "evt_1", "_save": "Save"}).status_code
        == 403
    )
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
    for answer in (
        client.get(LIST),
        client.get(page_of(event)),
        replay_without_following(client, event),
    ):
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
    for answer in (
        clerk.get(LIST),
        clerk.get(page_of(event)),
        replay_without_following(clerk, event),
    ):
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
def test_replayed_events_are_due_again_and_published(
    operator, order, published, run_due, received_signals, status
):
    events = EventFactory.create_batch(
        2, status=status, due_at=None, attempts=25, error="It was too late."
    )
    published()
    answer = replay(operator, *events)
    assert told(answer) == [("success", "2 events are due again.")]
    assert sorted(published()) == [event.pk for event in events]
    for event in events:
        row = row_of(event)
        assert (row["status"], row["attempts"], row["error"]) == (Event.RECEIVED, 0, "")
        assert row["due_at"] < row["enqueue_at"]
    assert sorted(facts["event"].pk for facts in received_signals.of("event_replayed")) == [
        row.pk for row in events
    ]

    run_due()
    assert sorted(row_of(event)["status"] for event in events) == [Event.DUPLICATE, Event.PROCESSED]


@pytest.mark.django_db(transaction=True)
def test_a_replay_is_recorded_with_the_name_of_who_did_it(operator):
    event, other = EventFactory(status=Event.FAILED), EventFactory(status=Event.PROCESSED)
    replay(operator, event, other)
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.action_flag, entry.object_id) == (
        "root",
        CHANGE,
        str(event.pk),
    )
    assert entry.get_change_message() == "Replayed."
    assert entry.content_type.model_class() is Event


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "status", [Event.RECEIVED, Event.APPLIED, Event.PROCESSED, Event.DUPLICATE]
)
def test_what_is_on_its_way_or_done_is_left_as_it_is_and_that_is_told(
    operator, published, received_signals, status
):
    event = EventFactory(status=status)
    before = row_of(event)
    answer = replay(operator, event)
    text = (
        "1 events were left as they are: only failed, ignored and waiting events can be replayed."
    )
    assert told(answer) == [("warning", text)]
    assert row_of(event) == before
    assert published() == []
    assert received_signals == []
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_event_that_somebody_else_replays_at_this_moment_is_left_to_them(
    operator, published, received_signals, monkeypatch
):
    event, operate_on = EventFactory(status=Event.FAILED), EventAdmin.operate_on

    def be_overtaken(self, request, event, *args):
        Event.objects.filter(pk=event.pk).update(status=Event.RECEIVED, version=event.version + 1)
        return operate_on(self, request, event, *args)

    monkeypatch.setattr(EventAdmin, "operate_on", be_overtaken)
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
def test_an_event_whose_effect_is_committed_is_only_delivered_again(
    operator, order, run_due, shop_state, published
):
    event = EventFactory()
    run_due()
    Event.objects.filter(pk=event.pk).update(
        status=Event.FAILED, due_at=None, error="The warehouse said no."
    )
    replay(operator, event)
    assert row_of(event)["status"] == Event.APPLIED
    run_due()
    assert row_of(event)["status"] == Event.PROCESSED
    assert shop_state()["ledger"] == [("payment", "A1")]


@pytest.mark.django_db(transaction=True)
def test_what_still_can_not_be_parsed_is_told_with_the_reason(
    operator, unparsed, published, received_signals
):
    before = row_of(unparsed)
    ((level, text),) = told(replay(operator, unparsed))
    assert level == "error"
    assert text.startswith(
        "unparsed %s still can't be parsed. The body can't be read: " % unparsed.provider_event_id
    )
    assert row_of(unparsed) == before
    assert published() == []
    assert not received_signals.of("event_replayed")
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_can_be_parsed_now_is_received_again(operator, settings, published, received_signals):
    body = json.dumps(
        {"id": "evt_1", "type": "charge.succeeded", "data": {"order_id": "A1"}}
    ).encode()
    receive_events(get_provider("default"), {}, body, "by-test")
    unparsed = Event.objects.get()
    default = dict(
        settings.PAYMENT_WEBHOOKS_PROVIDERS["default"], FIELDS={"provider_event_id": "id"}
    )
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": default}

    assert told(replay(operator, unparsed)) == [("success", "1 events are due again.")]
    assert row_of(unparsed)["status"] == Event.PROCESSED
    received = Event.objects.get(provider_event_id="evt_1")
    assert (received.status, received.order_id, received.verified_by) == (
        Event.RECEIVED,
        "A1",
        "by-test",
    )
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


# ---- confirmation


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", ["replay_events", "resolve_events"])
def test_nothing_is_done_before_it_is_confirmed(operator, published, received_signals, action):
    event = EventFactory(status=Event.FAILED, error="It was too late.")
    done, before = EventFactory(status=Event.PROCESSED), row_of(event)
    data = {"action": action, "_selected_action": [event.pk, done.pk], "index": 0}
    html = operator.post(LIST, data).content.decode()
    assert "<strong>1 event</strong>" in html
    assert "1 of the selected events will be left as they are" in html
    assert "It was too late." in html
    assert row_of(event) == before
    assert (published(), received_signals, LogEntry.objects.count()) == ([], [], 0)


def test_a_choice_of_which_nothing_can_be_done_offers_no_button(operator):
    event = EventFactory(status=Event.PROCESSED)
    html = operator.post(
        LIST, {"action": "replay_events", "_selected_action": [event.pk]}
    ).content.decode()
    assert "None of the selected events" in html
    assert 'name="confirmed"' not in html


@pytest.mark.django_db(transaction=True)
def test_a_replay_is_told_with_its_reason_to_the_log_and_to_the_signal(operator, received_signals):
    event = EventFactory(status=Event.FAILED)
    replay(operator, event, reason="The price was fixed.")
    assert LogEntry.objects.get().get_change_message() == "Replayed: The price was fixed."
    (facts,) = received_signals.of("event_replayed")
    assert (facts["by"], facts["reason"]) == ("root", "The price was fixed.")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "forged", [{"after": "x"}, {"until": ""}, {"total": "1e9"}, {"reason": "r" * 201}]
)
def test_a_form_that_is_not_ours_does_nothing(operator, published, forged):
    event = EventFactory(status=Event.FAILED)
    before = row_of(event)
    answer = replay(operator, event, **forged)
    assert answer.status_code == 200
    assert row_of(event) == before
    assert published() == []


@pytest.mark.django_db(transaction=True)
def test_many_events_are_replayed_batch_by_batch(operator, published, monkeypatch):
    monkeypatch.setattr("django_payment_webhooks.admin.BATCH", 10)
    events = EventFactory.create_batch(25, status=Event.FAILED)
    EventFactory.create_batch(2, status=Event.PROCESSED)
    address = LIST + "?status__exact=failed"
    selected = {
        "action": "replay_events",
        "_selected_action": [events[0].pk],
        "select_across": 1,
        "index": 0,
    }
    fields = operator.post(address, selected).context["form"].initial
    assert (fields["total"], fields["left"]) == (25, 0)
    late = EventFactory(status=Event.FAILED)  # it failed after the operator had confirmed
    seen = []
    for _ in range(10):
        answer = operator.post(address, dict(selected, confirmed=1, **fields))
        if answer.status_code == 302:
            break
        fields = answer.context["form"].data
        seen.append((fields["done"], Event.objects.filter(status=Event.FAILED).count()))
        assert '<progress max="25" value="%d">' % fields["done"] in answer.content.decode()
    assert seen == [(10, 16), (20, 6)]
    assert told(operator.get(address)) == [("success", "25 events are due again.")]
    assert sorted(published()) == [event.pk for event in events]
    assert row_of(late)["status"] == Event.FAILED
    assert LogEntry.objects.count() == 25


@pytest.mark.django_db(transaction=True)
def test_of_many_that_still_can_not_be_parsed_the_first_are_told_and_all_are_counted(
    operator, monkeypatch
):
    monkeypatch.setattr("django_payment_webhooks.admin.BATCH", 5)
    for number in range(12):
        receive_events(get_provider("default"), {}, b"{%d" % number, "by-test")
    address = LIST + "?type="
    fields = {
        "action": "replay_events",
        "_selected_action": list(Event.objects.values_list("pk", flat=True)),
    }
    fields.update(
        operator.post(address, dict(fields, index=0)).context["form"].initial, confirmed=1
    )
    texts = []
    while True:
        answer = operator.post(address, fields)
        if answer.status_code == 302:
            break
        texts += [text for _, text in told(answer)]
        fields.update(answer.context["form"].data)
        assert '<progress max="12" value="%d">' % fields["unparsed"] in answer.content.decode()
        assert "%d can't be parsed." % fields["unparsed"] in answer.content.decode()
    texts += [text for _, text in told(operator.get(address))]
    assert ["still can't be parsed. The body can't be read" in text for text in texts] == [
        True
    ] * 5 + [False]
    assert texts[5:] == ["12 events in all still can't be parsed."]
    assert Event.objects.filter(status=Event.FAILED).count() == 12


# ---- handled by hand


@pytest.mark.django_db(transaction=True)
def test_an_event_that_was_handled_by_hand_is_processed_and_its_refund_goes_on(
    operator, order, webhook, run_due
):
    webhook(event_id="evt_ch", amount="7.00")
    webhook(event_id="evt_re", type="refund.created", refund_id="re_1", amount="1.00")
    run_due()
    charge, refund = Event.objects.order_by("pk")
    assert (charge.status, refund.status) == (Event.FAILED, Event.WAITING)
    answer = operate(operator, "resolve_events", charge, reason="7.00 were agreed on.")
    assert told(answer) == [("success", "1 events are marked as handled by hand.")]
    assert row_of(charge)["status"] == Event.PROCESSED
    assert row_of(charge)["error"] == "Handled by hand by root: 7.00 were agreed on."
    assert LogEntry.objects.get().get_change_message() == "Handled by hand: 7.00 were agreed on."
    run_due()
    assert row_of(refund)["status"] == Event.PROCESSED


@pytest.mark.parametrize("reason", ["", "   "])
def test_without_a_reason_nothing_is_marked_as_handled_by_hand(operator, reason):
    event = EventFactory(status=Event.FAILED)
    before = row_of(event)
    html = operate(operator, "resolve_events", event, reason=reason).content.decode()
    assert "This field is required." in html
    assert row_of(event) == before
    assert not LogEntry.objects.exists()


# ---- the dry run


@pytest.mark.django_db(transaction=True)
def test_a_dry_run_shows_what_would_be_done_and_does_nothing(
    operator, order, shop_state, published, received_signals
):
    events = [EventFactory(), EventFactory(type="refund.created"), EventFactory(type="unknown")]
    before = [row_of(event) for event in events], shop_state()
    data = {"action": "dry_run_events", "_selected_action": [event.pk for event in events]}
    html = operator.post(LIST, data).content.decode()
    outcomes = re.findall(r"→ <span class=\"pw-status pw-(\w+)\"", html)
    assert outcomes == ["applied", "failed", "ignored"]
    assert "shop_ledgerentry" in html
    assert "The event has no refund_id." in html
    assert ([row_of(event) for event in events], shop_state()) == before
    assert (published(), received_signals, LogEntry.objects.count()) == ([], [], 0)


def test_a_dry_run_tries_a_bounded_number_of_events(operator, monkeypatch):
    monkeypatch.setattr("django_payment_webhooks.admin.MAX_REHEARSED", 2)
    events = EventFactory.create_batch(3, type="unknown")
    data = {"action": "dry_run_events", "_selected_action": [event.pk for event in events]}
    html = operator.post(LIST, data).content.decode()
    assert "Only the first 2 of the selected events were tried." in html
    assert len(re.findall("→", html)) == 2


# ---- what happened


def test_the_page_tells_what_happened_to_an_event_from_its_row_alone(operator):
    event = EventFactory(
        status=Event.FAILED, error="It was too late.", verified_by="fingerprint1", due_at=None
    )
    Event.objects.filter(pk=event.pk).update(
        waiting_since=event.received_at, finished_at=event.received_at
    )
    html = read(operator, page_of(event))
    verbs = re.findall(r"<td><span class=\"pw-status pw-(\w+)\"", html)
    assert verbs == ["received", "waiting", "failed"]
    assert "by the key fingerprint1" in html


@pytest.mark.django_db(transaction=True)
def test_the_page_tells_each_step_with_its_reason_and_who_it_was(
    operator, history, order, webhook, run_due
):
    webhook(event_id="evt_re", type="refund.created", refund_id="re_1", amount="50.00")
    run_due()
    webhook(event_id="evt_ch")
    run_due()
    refund, charge = Event.objects.order_by("pk")
    replay(operator, refund, reason="Let us see.")
    html = read(operator, page_of(refund))
    verbs = re.findall(r"<td><span class=\"pw-status pw-(\w+)\"", html)
    assert verbs == ["received", "waiting", "released", "failed", "replayed", "due"]
    for text in [
        "It waits for charge.succeeded.",
        "Let us see.",
        "<td>root</td>",
        "More would be refunded",
    ]:
        assert text in html
    assert 'by <a href="%s">charge.succeeded evt_ch</a>' % page_of(charge) in html


@pytest.mark.django_db(transaction=True)
def test_the_page_tells_which_attempts_were_lost_with_their_worker(
    operator, history, order, webhook, run_due, pass_time, monkeypatch
):
    def read_steps():
        step = r"<td><span class=\"pw-status pw-(\w+)\".*?</td><td>(.*?)</td>"
        return re.findall(step, read(operator, page_of(event)))

    webhook(event_id="evt_ch")
    event = Event.objects.get()
    with monkeypatch.context() as patch:
        patch.setattr("shop.handlers.MarkOrderPaid.apply", mock.Mock(side_effect=WorkerKilled))
        for verbs in (["received", "taken", "due"], ["received", "lost", "taken", "due"]):
            with pytest.raises(WorkerKilled):
                run_due()
            assert [verb for verb, _ in read_steps()] == verbs
            pass_time(3600)
    assert read_steps()[1:3] == [
        ("lost", "Attempt 1: no end was written. The worker was killed, or too slow."),
        ("taken", "Attempt 2: a worker has it, or was killed."),
    ]
    run_due()
    assert [verb for verb, _ in read_steps()] == ["received", "lost", "applied", "processed"]
    assert read_steps()[1][1].startswith("Attempts 1 to 2: ")


@pytest.mark.django_db(transaction=True)
def test_no_attempt_is_called_lost_that_has_an_end_or_is_not_known(
    operator, history, order, webhook, run_due, pass_time, monkeypatch, settings
):
    monkeypatch.setattr("shop.handlers.MarkOrderPaid.deliver", lambda *_: 1 / 0)
    webhook(event_id="evt_re", type="refund.created", refund_id="re_1", amount="1.00")
    for _ in range(2):
        run_due()
        pass_time(3600)
    webhook(event_id="evt_ch")
    for _ in range(2):
        run_due()
        pass_time(3600)
    for event in Event.objects.all():
        html = read(operator, page_of(event))
        assert "pw-lost" not in html
        assert "pw-taken" not in html
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "history" not in app]
    assert "pw-taken" not in read(operator, page_of(Event.objects.get(provider_event_id="evt_ch")))


@pytest.mark.django_db(transaction=True)
def test_the_order_is_drawn_with_all_its_events_and_no_other(
    operator, history, order, webhook, run_due
):
    webhook(event_id="evt_re", type="refund.created", refund_id="re_1", amount="1.00")
    run_due()
    webhook(event_id="evt_ch")
    webhook(event_id="evt_other", order_id="A2")
    run_due()
    drawing = re.search(
        "<svg.*</svg>", read(operator, page_of(Event.objects.get(provider_event_id="evt_ch"))), re.S
    )
    assert re.findall(r'<text [^>]*class="pw-small">(evt_\w+)<', drawing.group()) == [
        "evt_re",
        "evt_ch",
    ]
    assert re.findall(r"<g class=\"pw-(\w+)\"", drawing.group()) == [
        *(
            "received",
            "waiting",
            "received",
            "applied",
            "released",
            "processed",
            "applied",
            "processed",
        ),
    ]
    assert drawing.group().count('class="pw-link"') == 1


def test_a_row_with_a_hundred_events_of_one_order_is_drawn_with_the_newest(operator):
    events = EventFactory.create_batch(60)
    with recorded_statements() as statements:
        html = read(operator, page_of(events[-1]))
    assert html.count('class="pw-lane"') == 50
    assert len([sql for sql in statements if Event._meta.db_table in sql]) < 12


def test_what_an_event_without_an_order_shares_with_others_is_not_drawn(operator):
    events = EventFactory.create_batch(2, order_id="")
    assert read(operator, page_of(events[0])).count('class="pw-lane"') == 1


def test_fields_that_are_to_be_redacted_are_not_shown(operator, settings):
    data = {
        "Email": "ada@example.com",
        "card": {"cvc": 123, "last4": "4242"},
        "list": [{"IBAN": "DE00"}],
        "id": "x",
    }
    event = EventFactory(data=data)
    html = read(operator, page_of(event))
    for text in ("ada@example.com", "DE00", ": 123"):
        assert text not in html
    assert "4242" in html
    assert html.count("[redacted]") == 3
    settings.PAYMENT_WEBHOOKS_REDACTED_FIELDS = ["last4"]
    html = read(operator, page_of(event))
    assert "4242" not in html
    assert "ada@example.com" in html


def test_the_operations_are_offered_where_they_are_possible(operator):
    for status, offered in [
        (Event.PROCESSED, ["dry_run_events"]),
        (Event.RECEIVED, ["resolve_events", "dry_run_events"]),
        (Event.FAILED, ["replay_events", "resolve_events", "dry_run_events"]),
    ]:
        html = read(operator, page_of(EventFactory(status=status)))
        assert re.findall(r'name="action" value="(\w+)" formaction="%s"' % LIST, html) == offered


@pytest.mark.django_db(transaction=True)
def test_an_operation_that_began_on_an_events_page_ends_there(operator):
    event = EventFactory(status=Event.FAILED)
    answer = operate(operator, "resolve_events", event, reason="Paid in cash.", from_event=event.pk)
    assert answer.redirect_chain == [(page_of(event), 302)]
    answer = operate(
        operator,
        "resolve_events",
        EventFactory(),
        reason="Paid in cash.",
        from_event="//evil.example",
    )
    assert answer.redirect_chain == [(LIST, 302)]


# ---- the overview


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
