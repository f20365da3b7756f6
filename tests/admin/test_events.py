"""The list of events, the page of each, and who may see and do what."""

import json
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils.html import escape

from django_payment_webhooks.admin import EventAdmin
from django_payment_webhooks.models import Event

from ..doubles import recorded_statements
from ..factories import EventFactory
from .browsing import (
    HAS_VIEW_PERMISSION,
    LIST,
    log_in,
    messages_of,
    page_of,
    read,
    read_payload,
    replay,
    row_of,
)


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


def test_a_page_is_called_what_it_is_although_django_says_that_something_is_changed(operator):
    event = EventFactory(provider_event_id="evt_1")
    assert operator.get(LIST).context["title"] == "Events"
    shown = operator.get(page_of(event)).context
    assert (shown["title"], shown.get("subtitle")) == ("charge.succeeded evt_1", None)
    audit = "/admin/payment_webhooks_history/auditrecord/"
    assert operator.get(audit).context["title"] == "Audit records"


def test_the_list_shows_the_newest_event_first_and_a_bounded_number(operator):
    EventFactory.create_batch(51)
    shown = [event.pk for event in operator.get(LIST).context["cl"].result_list]
    assert shown == list(Event.objects.order_by("-pk").values_list("pk", flat=True)[:50])


def test_the_list_reads_no_bodies(operator):
    EventFactory.create_batch(3)
    with recorded_statements() as statements:
        operator.get(LIST)
    assert not [sql for sql in statements if re.search(r"\bbody\b", sql)]


def test_a_long_error_is_shortened_in_the_list_and_whole_on_the_page(operator):
    event = EventFactory(status=Event.FAILED, error="It was too late. " * 20 + "The end.")
    assert "The end." not in read(operator, LIST)
    assert "The end." in read(operator, page_of(event))


def test_the_page_shows_the_payload_for_reading(operator):
    event = EventFactory(
        provider_event_id="evt_1",
        verified_by="fingerprint1",
        data={"amount": "10.00", "note": "für"},
    )
    html = read_payload(operator, event)
    assert escape(json.dumps(event.payload, indent=2, ensure_ascii=False)) in html
    for text in ["evt_1", "charge.succeeded", "A1", "fingerprint1", event.dedup_key, "für"]:
        assert text in html


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"amount": 10, "currency": "eur"}, "10.00 EUR"),
        ({"amount": "ten"}, "It can&#39;t be read: the amount &#39;ten&#39; is not a number"),
    ],
)
def test_the_page_shows_the_money_and_the_payment(operator, data, shown):
    event = EventFactory(payment_id="pay_1", data=data)
    html = read(operator, page_of(event)).replace("&#x27;", "&#39;")
    assert shown in html
    assert "pay_1" in html


def test_the_page_shows_what_was_sent_and_what_was_confirmed_without_what_is_personal(operator):
    event = EventFactory(
        payload={"event_id": "evt_1", "sent": "by somebody", "email": "sent@example.com"},
        confirmation=b'{"event_id": "evt_1", "said": "by the provider", "email": "x@example.com"}',
    )
    html = read_payload(operator, event)
    assert "by somebody" in html
    assert "by the provider" in html
    assert html.count("[redacted]") == 2
    assert "example.com" not in html


def test_the_page_says_that_a_provider_is_still_to_be_asked(operator):
    text = "The provider has not been asked yet."
    assert text in read_payload(operator, EventFactory(confirmation=b""))
    assert text not in read_payload(operator, EventFactory())


def test_the_search_finds_an_event_by_its_payment(operator):
    EventFactory(provider_event_id="evt_found", payment_id="pay_1")
    EventFactory(provider_event_id="evt_other", payment_id="pay_2")
    html = read(operator, LIST, q="pay_1")
    assert "evt_found" in html
    assert "evt_other" not in html


def test_numbers_are_shown_as_they_were_sent(operator):
    event = EventFactory(payload={})
    Event.objects.filter(pk=event.pk).update(body=b'{"amount": 10.10, "big": 12345678901234567890}')
    html = read_payload(operator, event)
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
    html = read_payload(operator, unparsed)
    assert "\\xff" in html
    assert r"\x00&lt;b&gt;{not JSON" in html
    assert "be read" in html  # the reason
    for page in (html, read(operator, LIST)):
        assert "unparsed event, received 20" in page
        assert unparsed.provider_event_id not in page


@pytest.mark.parametrize("half", [r"\ud800", r"\udfff\ud800"])
def test_an_unpaired_surrogate_in_a_payload_is_shown_as_it_was_sent(operator, half):
    event = EventFactory(payload={})
    Event.objects.filter(pk=event.pk).update(body=b'{"note": "<%s>"}' % half.encode())
    assert "&lt;%s&gt;" % half in read_payload(operator, event)


def test_a_body_of_the_size_limit_can_be_read(operator):
    event = EventFactory(data={"note": "<" + "x" * (1024 * 1024 - 1000) + ">"})
    assert "x&gt;" in read_payload(operator, event)


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
    assert "a note of the past" in read_payload(operator, event)
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
def test_staff_that_may_replay_events_may_do_no_more(published):
    browser, event = log_in("support", is_staff=True), EventFactory(status=Event.FAILED)
    names = ["change_event", "replay_event"]
    User.objects.get().user_permissions.set(Permission.objects.filter(codename__in=names))
    assert "replay_events" in read(browser, LIST)
    assert messages_of(replay(browser, event)) == [("success", "1 event is due again.")]
    assert published() == [event.pk]
    assert browser.get("%s%d/delete/" % (LIST, event.pk)).status_code == 403
    assert browser.get(LIST + "add/").status_code == 403


def test_an_action_without_a_token_of_the_page_is_refused(db):
    browser = log_in("root", Client(enforce_csrf_checks=True), is_staff=True, is_superuser=True)
    event = EventFactory(status=Event.FAILED)
    assert replay_without_following(browser, event).status_code == 403
    assert row_of(event)["status"] == Event.FAILED
