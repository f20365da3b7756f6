"""What a webhook says of a person or a card is not shown: in payloads, and in any text."""

import base64
import json
from decimal import Decimal

import pytest

from django_payment_webhooks.providers import redaction
from django_payment_webhooks.providers.redaction import REDACTED, redact, redact_text

from .redaction_names import HIDDEN, SHOWN

CARD = "4111111111111111"
IBAN = "DE89370400440532013000"


@pytest.mark.parametrize(
    "name",
    [
        *("cardNumber", "card-number", "CARD_NUMBER", "cardnumber", "shopperIP", "client.ip"),
        *("customer_email", "e-mail", "eMail", "emails", "email_1", "receiptEmail", "cardHolder"),
        *("billing_address", "homeAddresses", "dateOfBirth", "birthdate", "access_token", "CVC2"),
        *(
            "client_secret",
            "deviceFingerprint",
            "passportNumber",
            "zipCode",
            "postal_code",
            "ExpDate",
        ),
    ],
)
def test_a_name_is_found_however_it_is_written(name):
    assert redact({"data": {name: "Ada"}}) == {"data": {name: REDACTED}}
    for text in (
        json.dumps({name: "Ada Lovelace", "order": "A1"}),
        repr({name: "Ada Lovelace", "order": "A1"}),
        f"<shop><{name}>Ada Lovelace</{name}><order>A1</order></shop>",
        f"{name}=Ada&order=A1",
        f"ValueError({{'{name}': {{'x': 'Ada'}}, 'order': 'A1'}})",
        f"UPDATE shop SET \"{name}\" = 'Ada, the '' \"countess', \"order\" = 'A1' WHERE id = 3",
        f"INSERT INTO \"shop\" (\"order\", \"{name}\") VALUES ('A1', 'Ada, (1)'), ('A1', 'Ada')",
    ):
        shown = redact_text(text)
        assert "Ada" not in shown, shown
        assert "A1" in shown


@pytest.mark.parametrize(
    "name",
    [
        *("order_id", "amount", "currency", "status", "type", "event_id", "payment_id", "created"),
        *("name", "description", "company", "recipient", "shipping", "last4", "country", "state"),
    ],
)
def test_what_an_operator_needs_is_shown(name):
    assert redact({name: "x"}) == {name: "x"}
    assert redact_text(f'{{"{name}": "x"}}') == f'{{"{name}": "x"}}'


def nest(path, value):
    """Return a document that has a value at a path."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


@pytest.mark.parametrize("show", [redact, lambda payload: redact_text(json.dumps(payload))])
def test_every_name_that_providers_have_for_what_is_personal_is_known(show):
    names = HIDDEN.split()
    assert len(names) > 400
    assert [name for name in names if "Ada" in str(show(nest(name, "Ada")))] == []


@pytest.mark.parametrize("show", [redact, lambda payload: redact_text(json.dumps(payload))])
def test_no_name_of_what_an_operator_needs_is_taken_for_one_of_these(show):
    names = SHOWN.split()
    assert len(names) > 200
    assert [name for name in names if "Ada" not in str(show(nest(name, "Ada")))] == []


def test_that_there_is_no_value_is_shown():
    payload = {"address": None, "email_ok": True, "cvc": "", "phone": 0, "card": {"holder": []}}
    assert redact(payload) == {
        **{"address": None, "email_ok": True, "cvc": REDACTED, "phone": REDACTED},
        "card": {"holder": REDACTED},
    }


def test_a_name_can_be_divided_among_levels_and_named_beside_its_value():
    payload = {
        "card": {"number": "x", "last4": "4242"},
        "customer": {"name": "Ada", "id": "cus_1"},
        "fields": [{"name": "e-mail", "value": "ada"}, {"name": "colour", "value": "red"}],
    }
    assert redact(payload) == {
        "card": {"number": REDACTED, "last4": "4242"},
        "customer": {"name": REDACTED, "id": "cus_1"},
        "fields": [{"name": "e-mail", "value": REDACTED}, {"name": "colour", "value": "red"}],
    }
    custom = {"key": "tax_id", "label": {"custom": "No."}, "text": {"value": "x"}}
    assert redact({"custom_fields": [custom]}) == {"custom_fields": [dict(custom, text=REDACTED)]}
    shown = redact_text('<p name="email">ada</p><p name="colour">red</p>')
    assert shown == '<p name="email">[redacted]</p><p name="colour">red</p>'
    for text in (repr(payload), "card[number]=x&customer%5Bname%5D=Ada&last4=4242&id=cus_1"):
        shown = redact_text(text)
        assert "Ada" not in shown
        assert "4242" in shown
        assert "cus_1" in shown


@pytest.mark.parametrize(
    "value",
    [
        *(CARD, "4111 1111 1111 1111", "4111-1111-1111-1111", "4111%201111%201111%201111"),
        *("378282246310005", "6304000000000000", "6011 0009 9013 9424"),
        *(IBAN, "de89 3704 0044 0532 0130 00", "GB82WEST12345698765432"),
        *("ada@example.com", "ada.b+c@mail.example.co.uk", "ada%40example.com"),
        *("4111.1111.1111.1111", "4111/1111/1111/1111", "3782 822463 10005", "４１１１" + CARD[4:]),
        *("NO93 8601 1117 947", "GB82-WEST-1234-5698-7654-32", "mt84malt011000012345mtlcast001s"),
        *("ada+shop@müller.de", "ada%2Bshop%40example.com", "ада@пример.рф"),
        *("+4915112345678", "+49 151 1234 5678", "+1 (415) 555-0100", "%2B4915112345678"),
        *("Bearer abc.def-123456", "sk_live_abcdefghijklmnop", "whsec_abcdefghijklmnop"),
        *("pi_1a_secret_abcdefghijk", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"),
        base64.b64encode(b'{"name": "Ada Lovelace"}').decode(),
        base64.b64encode(b'[{"name": "Ada Lovelace"}]').decode(),
        base64.b64encode(b'{\n  "name": "Ada Lovelace"}').decode(),
    ],
)
def test_a_value_is_found_whatever_it_is_called(value):
    for text in (value, f"It is {value} 123, or so", f"x={value}&y=1", f'{{"note": "({value})"}}'):
        secret = value.replace("Bearer ", "")
        assert secret not in redact_text(text), text
        assert secret not in redact({"note": [text]})["note"][0]
    assert redact({value: 1, "order": "A1"})["order"] == "A1"
    assert value not in redact({value: 1})


def test_an_iban_is_found_behind_what_begins_like_one():
    for before in ("EU12", "NL12", "de00"):
        assert redact_text(f"{before} {IBAN}") == f"{before} [redacted]"


def test_a_card_that_is_written_as_a_number_is_hidden():
    assert redact({"a": int(CARD), "b": Decimal(CARD), "c": int(CARD) + 1, "d": True}) == {
        **{"a": REDACTED, "b": REDACTED, "c": int(CARD) + 1, "d": True}
    }
    amounts = [Decimal("1E+1000000"), 1e300, float("inf"), [1000, 2000], [4111, 1111]]
    assert redact(amounts) == amounts
    split = [
        float(CARD),
        Decimal("4.111111111111111E+15"),
        [4111, 1111, 1111, 1111],
        ["41111111"] * 2,
    ]
    assert redact(split)[:3] == [REDACTED] * 3


def test_what_only_looks_like_a_card_is_shown():
    times = ["1700000000000", "20261128163000", "1700000000000000"]
    digest = "4" * 32
    text = f"{times} {digest} 550e8400-e29b-41d4-a716-446655440000 10.00 2026-11-28 16:30"
    assert redact_text(text) == text
    for text in (
        *("2026-11-28T16:30:00+00:00", "1764345678.123456", "+0200", "5 + 5", "MT103", "DE12345"),
        *(
            "evt_1NG8Du2eZvKYlo2CUI79vXWy",
            "pi_3MtwBwLkdIwHu7ix28a3tqPa",
            "PAY-1AB23456CD789012EF34",
        ),
        *("INV-2026-0001", "No. 1234567890123", "ch_secret", "eyJ", "sha256=" + "ab" * 32),
    ):
        assert redact_text(text) == text
    # By chance an order has such a number.
    assert redact({"order": CARD, "n": int(CARD)}, keep=[CARD]) == {"order": CARD, "n": int(CARD)}
    for order in (CARD, f"A-{CARD}/2", "4111-1111-1111-1111", "+4915112345678", "ada@example.com"):
        text = f"Order {order} is unknown."
        assert redact_text(text, keep=[order]) == text
    assert redact({"n": int(CARD)}, keep=[f"A-{CARD}"]) == {"n": int(CARD)}


def test_an_error_that_quotes_a_document_is_redacted_within_its_quotes():
    error = ValueError(json.dumps({"email": "ada", "status": "paid"}))
    shown = redact_text(repr(error))
    assert "ada" not in shown
    assert "paid" in shown
    assert redact_text("KeyError('warehouse_id')") == "KeyError('warehouse_id')"
    text = {"email": "ada", "order": "A1"}
    for _ in range(3):
        text = {"inner": json.dumps(text)}
        for shown in (redact_text(json.dumps(text)), str(redact(text))):
            assert "ada" not in shown
            assert "A1" in shown
    text = "It can't be read: Expecting ',' delimiter: line 1 column 5 (char 4)"
    assert redact_text(text) == text


def test_an_url_keeps_its_host_and_loses_its_password_and_token():
    shown = redact_text("postgres://ada:pw@db.example/x failed, https://x.example/?token=abc&a=b")
    assert shown == (
        "postgres://[redacted]@db.example/x failed, https://x.example/?token=[redacted]&a=b"
    )


@pytest.mark.parametrize(
    "text",
    [
        *("1 " * 20_000, "a=[" * 20_000, '"' + "\\" * 20_001, "<a " * 9999, "AB12 " * 20_000),
        *("DE12 " * 20_000, "a@" * 20_000, "+1 " * 20_000, "+1" + "---1" * 20_000),
        *("_" * 50_000, "'a': " * 20_000, "://a:" * 10_000, "1111.1111." * 10_000, "+" * 50_000),
    ],
)
def test_a_text_that_is_made_to_take_long_does_not(text):
    assert redact_text(text) == text


def test_a_body_of_many_names_costs_little_for_each(monkeypatch):
    # It was a hundred times as much, half a minute, when each name was prepared for each field.
    read = []
    monkeypatch.setattr(redaction, "join_letters", lambda name: read.append(name) or name)
    redact({f"name{number}": number for number in range(1000)})
    assert len(read) <= 1000


def test_the_settings_add_names_and_take_some_out(settings):
    settings.PAYMENT_WEBHOOKS_REDACTED_FIELDS = ["colour", "risk_result"]
    shown = redact({"Colour": "red", "riskResult": "x", "phone": "1", "cvc_result": "y"})
    assert shown == {
        "Colour": REDACTED,
        "riskResult": REDACTED,
        "phone": REDACTED,
        "cvc_result": "y",
    }
    settings.PAYMENT_WEBHOOKS_SHOWN_FIELDS = ["address", "colour", "ip", "city"]
    address = {"line1": "x", "city": "Ulm", "mail": "ada@example.com"}
    assert redact({"billing_address": address, "customerIp": "1", "colour": "red"}) == {
        "billing_address": {"line1": REDACTED, "city": "Ulm", "mail": REDACTED},
        **{"customerIp": "1", "colour": REDACTED},
    }
