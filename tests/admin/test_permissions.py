"""Who may see and do what, and what an address can find out."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_payment_webhooks import history as door
from django_payment_webhooks.admin.actions import show_statement
from django_payment_webhooks.history.receivers import write_cause
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.permissions import PERMISSIONS

from ..factories import EventFactory
from .browsing import LIST, log_in, messages_of, operate, page_of, read, read_payload, row_of


@pytest.fixture
def clerk(db):
    """Return a function that makes the browser of a user with some permissions."""

    def log_in_with(*names):
        browser = log_in("clerk", is_staff=True)
        # Django 1.11 shows a list to those who may change what is in it.
        held = Permission.objects.filter(codename__in=["view_event", "change_event", *names])
        User.objects.get(username="clerk").user_permissions.set(held)
        return browser

    return log_in_with


def test_migrating_makes_each_permission_once(db):
    Permission.objects.filter(codename__in=PERMISSIONS).delete()
    for _ in range(2):
        call_command("migrate", verbosity=0)
    held = Permission.objects.filter(content_type=ContentType.objects.get_for_model(Event))
    found = dict(held.filter(codename__in=PERMISSIONS).values_list("codename", "name"))
    assert found == PERMISSIONS


@pytest.mark.parametrize("names", [(), ("replay_event",), ("resolve_event", "erase_event")])
def test_without_the_permission_no_payload_is_shown(clerk, names):
    event = EventFactory(data={"note": "in the payload"}, confirmation=b'{"note": "confirmed"}')
    browser = clerk(*names)
    for html in (read(browser, page_of(event)), read_payload(browser, event)):
        assert event.provider_event_id in html
        for text in ("in the payload", "confirmed&", "payload=1"):
            assert text not in html
    assert not LogEntry.objects.exists()


def test_who_looks_at_a_payload_is_written_down(clerk, history):
    event = EventFactory(data={"note": "in the payload"})
    browser = clerk("view_payload")
    html = read(browser, page_of(event))
    assert 'href="?payload=1"' in html
    assert "in the payload" not in html
    assert not LogEntry.objects.exists()
    assert "in the payload" in read_payload(browser, event)
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("clerk", str(event.pk))
    assert entry.get_change_message() == "Looked at the payload."
    (record,) = door.read_audit(10)
    looked = (record.by, record.verb, record.subject)
    assert looked == ("clerk", "looked at", "the payload of %s" % event)


@pytest.mark.parametrize("spelling", ["_0A%s", "_2B%s", "_20%s", "_%02X"])
def test_no_spelling_of_an_address_shows_a_payload_without_that(clerk, history, spelling):
    event = EventFactory(pk=7, data={"note": "in the payload"})
    browser = clerk("view_payload")
    # Older Djangos read any letter from its code, newer ones only some.
    key = spelling % (ord("7") if "X" in spelling else 7)
    for parameters in ({"payload": ""}, {"json": "whole"}):
        before = LogEntry.objects.count()
        answer = browser.get(page_of(event).replace("/7/", f"/{key}/"), parameters)
        is_shown = b"in the payload" in answer.content
        assert LogEntry.objects.count() - before == is_shown
        assert len(door.read_audit(9)) == LogEntry.objects.count()


AUDIT = "/admin/payment_webhooks_history/auditrecord/"


@pytest.mark.django_db(transaction=True)
def test_an_order_is_erased_with_a_reason_by_who_may(clerk, history):
    final = {"status": Event.PROCESSED, "due_at": None}
    mine = [EventFactory(order_id="S-9", data={"holder": "Anna"}, **final) for _ in range(2)]
    other = EventFactory(order_id="S-10", **final)
    before = row_of(other)
    browser = clerk("replay_event", "view_payload", "view_auditrecord", "change_auditrecord")
    browser.post(LIST, {"action": "erase_orders", "_selected_action": [mine[0].pk]})
    assert row_of(mine[0])["order_id"] == "S-9"
    User.objects.get().user_permissions.add(Permission.objects.get(codename="erase_event"))
    operate(browser, "erase_orders", mine[0])
    assert row_of(mine[0])["order_id"] == "S-9"
    answer = operate(browser, "erase_orders", *mine, reason="Asked to.")
    assert messages_of(answer) == [
        ("success", "The order of 1 event is erased."),
        ("warning", "1 event had already been erased."),
    ]
    for event in mine:
        row = row_of(event)
        assert (row["order_id"], row["provider_event_id"]) == ("", "erased")
        assert b"Anna" not in row["body"]
    assert row_of(other) == before
    entry = LogEntry.objects.get()
    assert entry.get_change_message() == "Erased with its order: Asked to."
    assert mine[0].provider_event_id not in entry.object_repr
    html = read(browser, AUDIT).replace("&#39;", "'").replace("&#x27;", "'")
    for text in ("clerk", "erased", "of the order 'S-9'", "Asked to.", ">2<"):
        assert text in html
    assert "Payment_Webhooks_History" not in html


@pytest.mark.django_db(transaction=True)
def test_an_order_with_something_still_to_be_done_is_not_erased(operator, history):
    done = EventFactory(order_id="S-9", status=Event.PROCESSED, due_at=None)
    failed = EventFactory(order_id="S-9", status=Event.FAILED, due_at=None)
    ((level, text),) = messages_of(operate(operator, "erase_orders", done, reason="Asked to."))
    assert level == "error"
    assert "%d is failed" % failed.pk in text
    assert row_of(done)["order_id"] == "S-9"
    assert not LogEntry.objects.exists()
    assert door.read_audit(9) == []


def test_nobody_changes_what_was_written_down(reader, operator, history):
    door.write_audit("erased", "order A1\u202e", "alice")
    html = read(operator, AUDIT)
    assert "order A1\\u202e" in html
    (record,) = door.read_audit(9)
    for page in ("add/", "%d/change/" % record.pk, "%d/delete/" % record.pk):
        data = {"by": "eve", "verb": "erased", "subject": "x", "post": "yes"}
        operator.post(AUDIT + page, data)
    operator.post(AUDIT, {"action": "delete_selected", "_selected_action": [record.pk], "post": 1})
    assert [each.by for each in door.read_audit(9)] == ["alice"]
    assert reader.get(AUDIT).status_code == 403


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("replay_events", "replay_event"),
        ("resolve_events", "resolve_event"),
        ("dry_run_events", "replay_event"),
    ],
)
def test_each_operation_needs_its_own_permission(clerk, action, permission):
    event = EventFactory(status=Event.FAILED, due_at=None)
    before = row_of(event)
    browser = clerk(*set(PERMISSIONS) - {permission})
    assert action not in read(browser, LIST)
    assert 'value="%s"' % action not in read(browser, page_of(event))
    browser.post(LIST, {"action": action, "_selected_action": [event.pk], "confirmed": 1})
    assert row_of(event) == before
    User.objects.get(username="clerk").user_permissions.add(
        Permission.objects.get(codename=permission)
    )
    assert action in read(browser, LIST)
    assert 'value="%s"' % action in read(browser, page_of(event))
    if action != "dry_run_events":
        operate(browser, action, event, reason="Fixed.")
        assert row_of(event)["status"] != Event.FAILED


def test_a_dry_run_shows_values_only_to_those_who_may_see_payloads(clerk, order):
    event = EventFactory(data={"charge_id": "ch_secret"})
    data = {"action": "dry_run_events", "_selected_action": [event.pk]}
    browser = clerk("replay_event")
    html = browser.post(LIST, data).content.decode()
    assert "shop_ledgerentry" in html
    assert "ch_secret" not in html
    User.objects.get(username="clerk").user_permissions.add(
        Permission.objects.get(codename="view_payload")
    )
    assert "ch_secret" in browser.post(LIST, data).content.decode()


def test_without_that_permission_no_value_escapes_by_a_backslash(clerk):
    clerk("replay_event")
    named = {"codename": "four\\", "name": "five'\\"}
    with CaptureQueriesContext(connection) as captured:
        User.objects.update(first_name="one\\", last_name="two'\\", email="three\\\\")
        Permission.objects.filter(**named).update(name="six\\\\")
    users, permissions = [query["sql"] for query in captured.captured_queries]
    event = EventFactory()
    for statement in (users, permissions):
        shown = show_statement(event, statement, shows_values=False)
        assert "UPDATE" in shown
        for value in ("one", "two", "three", "four", "five", "six"):
            assert value not in shown
    whole = show_statement(event, users, shows_values=True)
    for value in ("one", "two", "three"):
        assert value not in whole
    assert show_statement(event, permissions, shows_values=True) == permissions


def test_an_error_is_shown_without_what_is_personal(operator, history):
    error = "ValueError(\"{'email': 'ada', 'card': '4111 1111 1111 1111', 'order': 'A1'}\")"
    event = EventFactory(status=Event.FAILED, due_at=None, error=error)
    data = {"action": "replay_events", "_selected_action": [event.pk], "index": 0}
    for html in (
        read(operator, LIST),
        read(operator, page_of(event)),
        operator.post(LIST, data).content.decode(),
    ):
        assert "ValueError" in html
        assert "ada&" not in html
        assert "1111" not in html


@pytest.mark.parametrize(
    "lookup",
    [
        *("body__contains", "body__startswith", "confirmation__regex", "error__regex"),
        *("error__contains", "order_id__startswith", "payment_id__gt", "provider_event_id__lt"),
        *("history__text__contains", "idempotency_key__startswith", "verified_by__startswith"),
    ],
)
def test_no_address_finds_out_a_value_letter_by_letter(operator, lookup):
    EventFactory(error="ada@example.com")
    for value in ("a", "x"):
        assert operator.get(LIST, {lookup: value}).status_code == 400


def test_neither_the_order_nor_the_search_finds_out_a_value(operator):
    for number, error in enumerate("ba"):
        EventFactory(error=error, data={"email": "%s@example.com" % error}, order_id=str(number))
    lists = [operator.get(LIST, {"o": str(column)}).context["cl"] for column in (1, 2, 3, 5, 6)]
    orders = {tuple(event.pk for event in each.result_list) for each in lists}
    assert orders == {tuple(Event.objects.order_by("-pk").values_list("pk", flat=True))}
    for term in ("a@example.com", "a", "example"):
        assert not operator.get(LIST, {"q": term}).context["cl"].result_list


def test_an_amount_and_another_id_that_are_none_show_nothing_of_a_person(reader):
    data = {"amount": "Anna ada@example.com", "refund_id": "ada@example.com", "dispute_id": "dp_1"}
    html = read(reader, page_of(EventFactory(data={**data, "currency": "EUR", "holder": "Anna"})))
    assert "It can&#" in html
    assert "dispute_id: dp_1" in html
    for value in ("ada@", "Anna"):
        assert value not in html


def test_a_cause_is_called_nothing_personal_and_turns_no_text(reader, history):
    event = EventFactory(type="a\u202eb", data={"holder": "Anna Schmidt"})
    reason = "no customer Anna Schmidt with the iban: DE0 or the card of Eve\u202e"
    facts = {"status": Event.FAILED, "due_at": None, "error": reason, "cause_key": "k" * 32}
    Event.objects.filter(pk=event.pk).update(**facts)
    write_cause(Event.objects.get(), ValueError(reason))
    pages = [{"causes": 1}, {"overview": 24}, {"cause": "k" * 32}]
    for html in (*(read(reader, LIST, **each) for each in pages), read(reader, page_of(event))):
        assert "no customer … with the iban:[redacted]" in html
        for value in ("Anna", "Schmidt", "DE0", "\u202e"):
            assert value not in html
    assert reader.post(LIST + "?causes=1", {"key": "k" * 32}).status_code == 403


def test_a_form_without_its_fields_is_no_crash(operator, history):
    for data in ({}, {"key": "\0"}, {"key": "x", "note": "\0"}):
        assert operator.post(LIST + "?causes=1", data).status_code == 302
    for lookup in ("cause", "provider", "type", "status__exact"):
        assert operator.get(LIST, {lookup: "\0"}).status_code == 400


def test_an_id_that_turns_the_text_is_shown_as_it_is_written(operator, history):
    turned = "evt\u202etxt"
    event = EventFactory(
        **dict.fromkeys(("provider_event_id", "type", "order_id", "payment_id"), turned),
        status=Event.FAILED,
        due_at=None,
        error=turned,
    )
    data = {"action": "replay_events", "_selected_action": [event.pk], "index": 0}
    pages = [
        read(operator, LIST),
        read(operator, page_of(event)),
        read_payload(operator, event),
        operator.post(LIST, data).content.decode(),
    ]
    for html in pages:
        assert "\u202e" not in html
        assert r"evt\u202etxt" in html


def test_an_event_is_downloaded_for_a_ticket_without_what_is_personal(clerk, history):
    event = EventFactory(data={"email": "ada@example.com", "note": "in the payload"})
    browser = clerk()
    found = browser.get(page_of(event), {"json": 1}).json()
    assert (found["order_id"], found["type"]) == ("A1", "charge.succeeded")
    assert "payload" not in found
    assert not LogEntry.objects.exists()
    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_payload"))
    data = browser.get(page_of(event), {"json": 1}).json()["payload"]["data"]
    assert (data["note"], data["email"]) == ("in the payload", "[redacted]")
    assert LogEntry.objects.get().get_change_message() == "Downloaded the redacted payload."
    assert log_in("stranger", is_staff=True).get(page_of(event), {"json": 1}).status_code == 403
