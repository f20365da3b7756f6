"""What a webhook says of a person or a card is not shown: in payloads, and in any text."""

import json
from decimal import Decimal

import pytest

from django_payment_webhooks.providers.redaction import REDACTED, redact, redact_text

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
        *("Bearer abc.def-123456", "sk_live_abcdefghijklmnop", "whsec_abcdefghijklmnop"),
    ],
)
def test_a_value_is_found_whatever_it_is_called(value):
    for text in (value, f"It is {value} 123, or so", f"x={value}&y=1", f'{{"note": "({value})"}}'):
        secret = value.replace("Bearer ", "")
        assert secret not in redact_text(text), text
        assert secret not in redact({"note": [text]})["note"][0]


def test_a_card_that_is_written_as_a_number_is_hidden():
    assert redact({"a": int(CARD), "b": Decimal(CARD), "c": int(CARD) + 1, "d": True}) == {
        **{"a": REDACTED, "b": REDACTED, "c": int(CARD) + 1, "d": True}
    }


def test_what_only_looks_like_a_card_is_shown():
    times = ["1700000000000", "20261128163000", "1700000000000000"]
    digest = "4" * 32
    text = f"{times} {digest} 550e8400-e29b-41d4-a716-446655440000 10.00 2026-11-28 16:30"
    assert redact_text(text) == text
    # By chance an order has such a number.
    assert redact({"order": CARD, "n": int(CARD)}, keep=[CARD]) == {"order": CARD, "n": int(CARD)}
    assert redact_text(f"Order {CARD} is unknown.", keep=[CARD]) == f"Order {CARD} is unknown."


def test_an_error_that_quotes_a_document_is_redacted_within_its_quotes():
    error = ValueError(json.dumps({"email": "ada", "status": "paid"}))
    shown = redact_text(repr(error))
    assert "ada" not in shown
    assert "paid" in shown
    assert redact_text("KeyError('warehouse_id')") == "KeyError('warehouse_id')"
    text = "It can't be read: Expecting ',' delimiter: line 1 column 5 (char 4)"
    assert redact_text(text) == text


def test_an_url_keeps_its_host_and_loses_its_password_and_token():
    shown = redact_text("postgres://ada:pw@db.example/x failed, https://x.example/?token=abc&a=b")
    assert shown == (
        "postgres://[redacted]@db.example/x failed, https://x.example/?token=[redacted]&a=b"
    )


@pytest.mark.parametrize("text", ["1 " * 20_000, "a=[" * 20_000, '"' + "\\" * 20_001, "<a " * 9999])
def test_a_text_that_is_made_to_take_long_does_not(text):
    assert redact_text(text) == text


def test_the_setting_has_the_names(settings):
    settings.PAYMENT_WEBHOOKS_REDACTED_FIELDS = ["colour"]
    assert redact({"Colour": "red", "phone": "1"}) == {"Colour": REDACTED, "phone": "1"}
