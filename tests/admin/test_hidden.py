"""What a payload says of a person is not shown."""

import json
import re

import pytest
from django.contrib.admin.models import LogEntry

from django_payment_webhooks import history as door
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers.personal import hide_personal
from django_payment_webhooks.providers.redaction import redact_difference

from ..doubles import recorded_statements
from ..factories import EventFactory
from .browsing import LIST, page_of, read, read_payload


def test_fields_that_are_to_be_redacted_are_not_shown(operator, settings):
    data = {
        "Email": "ada@example.com",
        "card": {"cvc": 123, "last4": "4242"},
        "list": [{"IBAN": "DE00"}],
        "id": "x",
    }
    event = EventFactory(data=data)
    html = read_payload(operator, event)
    for text in ("ada@example.com", "DE00", ": 123"):
        assert text not in html
    assert "4242" in html
    assert html.count("[redacted]") == 3
    settings.PAYMENT_WEBHOOKS_REDACTED_FIELDS = ["last4"]
    settings.PAYMENT_WEBHOOKS_SHOWN_FIELDS = ["IBAN"]
    html = read_payload(operator, event)
    assert "4242" not in html
    assert "DE00" in html


DIFFERENCE = "; ".join(
    [
        'data.amount was "1.00", here it is "2.00"',
        'data.email was "ada@example.com", here it is "a; b was c"',
        'data.Address.street was "Acacia Avenue", here it is missing',
        'data.items.0.iban was "DE00; x was 1, here it is \\"2", here it is "DE01"',
        f'data.phone was "{"1" * 98}…, here it is "015…',
        'data.note was "a; b", here it is "c"',
        "and 3 more.",
    ]
)


def test_of_a_difference_the_same_fields_are_not_shown(settings):
    text = redact_difference(DIFFERENCE)
    for secret in ("ada@", "Acacia", "DE00", "DE01", "x was", "11", "015"):
        assert secret not in text
    for kept in ('data.amount was "1.00", here it is "2.00"', "data.email differs [redacted]"):
        assert kept in text
    settings.PAYMENT_WEBHOOKS_SHOWN_FIELDS = ["email", "street", "iban", "address.street", "phone"]
    assert redact_difference(DIFFERENCE) == DIFFERENCE
    assert redact_difference("It says something else; what it was is pruned.").endswith("pruned.")


@pytest.mark.django_db(transaction=True)
def test_a_conflict_on_an_events_page_shows_what_differs_and_nothing_of_a_person(
    operator, history, webhook
):
    webhook(event_id="evt_1", charge_id="ch_1", amount="1.00", email="ada@example.com")
    webhook(event_id="evt_1", charge_id="ch_1", amount="2.00", email="eve@example.com")
    html = read(operator, page_of(Event.objects.get())).replace("&quot;", '"')
    assert 'data.amount was "1.00", here it is "2.00"' in html
    assert "data.email differs [redacted]" in html
    assert "@example.com" not in html


PERSON = {"holder": "Anna Schmidt", "phone": 4915112345678, "city": ["Ulm"], "note": "plain"}
QUOTED = "PermanentFailure('no customer anna schmidt in Ulm, 4915112345678, but plain for A1')"


@pytest.fixture
def quoted(history, transactional_db):
    """Return an event whose error and history quote what its payload has to hide, without names."""
    event = EventFactory(status=Event.FAILED, due_at=None, error=QUOTED, data=PERSON, order_id="A1")
    facts = {"event_id": event.pk, "at": event.received_at, "attempts": 1, "text": QUOTED}
    door.find_rows("Entry").create(verb="failed", traceback=f"Line 1\nLine 2: {QUOTED}", **facts)
    return event


def test_a_value_that_an_error_quotes_without_its_name_is_hidden(reader, operator, quoted):
    selected = {"action": "replay_events", "_selected_action": [quoted.pk], "index": 0}
    csv = operator.post(LIST, {**selected, "action": "download_events"})
    for text in (
        read(reader, LIST),
        read(reader, page_of(quoted)),
        read(reader, page_of(quoted), json=1),
        operator.post(LIST, selected).content.decode(),
        b"".join(csv.streaming_content).decode(),
    ):
        assert "no customer [redacted] in [redacted], [redacted], but plain for A1" in text
        for value in ("anna", "schmidt", "Ulm", "49151"):
            assert value not in text
    assert "Line 1\nLine 2: " in read(reader, page_of(quoted))


def test_a_value_is_found_in_a_document_within_the_payload_and_beside_its_name():
    data = {
        "custom": '{"buyer": {"name": "Anna Schmidt"}}',
        "fields": [{"name": "e-mail", "value": "anna at home"}, {"name": "size", "value": "XXL"}],
    }
    event = EventFactory.build(data=data)
    text = "Anna Schmidt, anna at home, wants XXL"
    assert hide_personal(event, text) == "[redacted], [redacted], wants XXL"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (repr("To:\nAnna O'Neil\t"), r'"To:\n[redacted]\t"'),
        (repr('To "Anna O\'Neil"'), "'To \"[redacted]\"'"),
        ("no Hanna O'Neil", "no Hanna O'Neil"),
        (json.dumps({"to": "Max Müller"}), '{"to": "[redacted]"}'),
        (ascii("Max Müller"), "'[redacted]'"),
        (repr("Hauptstr. 5\nUlm"), "'[redacted]'"),
        ("no customer anna o'n…", "no customer [redacted]…"),
        ("no Max…\nNext: no Max…", "no [redacted]…\nNext: no [redacted]…"),
        ("a climax…", "a climax…"),
        ("no Ma…", "no Ma…"),
        ("no Max… and", "no Max… and"),
    ],
)
def test_a_value_is_found_as_python_and_json_write_it_and_cut_off(text, shown):
    data = {"holder": ["Anna O'Neil", "Max Müller"], "address": "Hauptstr. 5\nUlm"}
    assert hide_personal(EventFactory.build(data=data), text) == shown


def test_an_error_of_an_event_with_too_much_to_look_for_is_not_shown(monkeypatch):
    monkeypatch.setattr("django_payment_webhooks.providers.personal.MAX_VALUES", 3)
    for number, shown in ((3, "no [redacted]"), (4, "[redacted]")):
        data = {"holder": [f"Anna {each}" for each in range(number)]}
        assert hide_personal(EventFactory.build(data=data), "no Anna 0") == shown


def test_a_list_reads_the_bodies_of_its_errors_at_once_and_no_large_one(operator, monkeypatch):
    monkeypatch.setattr("django_payment_webhooks.providers.personal.MAX_BODY", 500)
    facts = {"status": Event.FAILED, "due_at": None, "error": "no customer Anna Schmidt"}
    for number in range(3):
        EventFactory(data={"holder": "Anna Schmidt", "number": number}, **facts)
    EventFactory(data={"holder": "Anna Schmidt", "note": "x" * 500}, **facts)
    with recorded_statements() as statements:
        html = read(operator, LIST)
    assert len([sql for sql in statements if re.search(r"\bbody\b", sql)]) == 1
    assert "Anna" not in html
    assert html.count("no customer [redacted]") == 3


def test_the_whole_payload_can_be_downloaded_by_those_who_may_see_it(reader, operator, quoted):
    assert read(operator, page_of(quoted), json=1).count("[redacted]") > 3
    whole = operator.get(page_of(quoted), {"json": "whole"})
    assert whole.json()["payload"]["data"]["holder"] == "Anna Schmidt"
    verbs = [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]
    assert verbs == ["Downloaded the redacted payload.", "Downloaded the whole payload."]
    assert [record.verb for record in door.read_audit(9)] == ["looked at"] * 2
    assert "payload" not in reader.get(page_of(quoted), {"json": "whole"}).json()
    assert LogEntry.objects.count() == 2
