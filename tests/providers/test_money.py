"""Sums of money as providers write them: minor and major units, numbers and texts, currencies."""

from __future__ import annotations

from decimal import Decimal

import pytest

from django_payment_webhooks.providers.money import Money, read_money

from ..factories import EventFactory


def read(value, currency="EUR", unit="minor", **exponents):
    """Return a sum as text: equal Decimals can be written differently."""
    return str(read_money(value, currency, unit, exponents))


@pytest.mark.parametrize("value", [1000, "1000", Decimal(1000), Decimal("1000.00"), 1000.0])
def test_minor_units_are_read_however_they_are_written(value):
    assert read(value) == "10.00 EUR"


@pytest.mark.parametrize("value", ["10.00", "10", 10, Decimal("10.0"), "10.000000", 10.0])
def test_major_units_are_read_however_they_are_written(value):
    assert read(value, unit="major") == "10.00 EUR"


@pytest.mark.parametrize(
    ("currency", "money"),
    [
        ("JPY", "12345 JPY"),
        ("KRW", "12345 KRW"),
        ("EUR", "123.45 EUR"),
        ("eur", "123.45 EUR"),
        ("KWD", "12.345 KWD"),
        ("TND", "12.345 TND"),
        ("CLF", "1.2345 CLF"),
    ],
)
def test_a_currency_has_the_decimals_of_iso_4217(currency, money):
    assert read(12345, currency) == money


def test_a_provider_can_deviate_from_iso_4217():
    assert read(12345, "ISK") == "12345 ISK"
    assert read(12345, "ISK", ISK=2) == "123.45 ISK"
    assert read("123.00", "JPY", unit="major", JPY=2) == "123.00 JPY"


def test_equal_sums_are_equal_whatever_their_unit():
    assert read_money(1000, "eur") == read_money("10", "EUR", "major") == (Decimal(10), "EUR")
    assert read_money(1000, "EUR") == Money(Decimal("10.0"), "EUR")
    assert read_money(1000, "EUR") != read_money(1000, "USD")
    assert read_money(0, "EUR").amount == 0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is missing"),
        ("", "is missing"),
        (True, "is not a number"),
        (False, "is not a number"),
        ([1000], "is not a number"),
        ({}, "is not a number"),
        (b"1000", "is not a number"),
        (-1, "is negative"),
        ("-0", "is negative"),
        (Decimal("-10.00"), "is negative"),
        ("NaN", "is not a number that is written out"),
        (float("inf"), "is not a number that is written out"),
        (Decimal("NaN"), "is not a number that is written out"),
        (Decimal("1E+3"), "is not a number that is written out"),
        (1e22, "is not a number that is written out"),
        ("1e3", "is not a number that is written out"),
        ("+10", "is not a number that is written out"),
        ("1,000", "is not a number that is written out"),
        ("1 000", "is not a number that is written out"),
        ("1_000", "is not a number that is written out"),
        (" 10", "is not a number that is written out"),
        ("10\n", "is not a number that is written out"),
        ("10.", "is not a number that is written out"),
        (".5", "is not a number that is written out"),
        ("١٠", "is not a number that is written out"),
        ("10 EUR", "is not a number that is written out"),
        ("9" * 21, "more than 20 digits"),
        (10.1, "is a float, which is not exact"),
        ("10.5", "has more decimals than EUR"),
    ],
    ids=repr,
)
def test_what_is_no_sum_of_minor_units_is_an_error_that_says_why(value, reason):
    with pytest.raises(ValueError, match=f"the amount .*{reason}"):
        read_money(value, "EUR")


@pytest.mark.parametrize(("value", "currency"), [("10.005", "EUR"), ("10.5", "JPY")])
def test_a_fraction_that_the_currency_does_not_have_is_an_error(value, currency):
    with pytest.raises(ValueError, match=f"has more decimals than {currency}"):
        read_money(value, currency, "major")


@pytest.mark.parametrize(
    "currency", [None, "", "EU", "EURO", "E1R", "EUR ", 978, ["EUR"], "ﬀr", "€"], ids=ascii
)
def test_what_is_no_currency_is_an_error(currency):
    with pytest.raises(ValueError, match="the currency "):
        read_money(1000, currency)


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ValueError) as caught:
        read_money("x" * 10000, "EUR")
    assert len(str(caught.value)) < 100


# ---- the event's


def test_an_event_has_its_money():
    assert EventFactory.build(data={"amount": "25.00", "currency": "eur"}).money == (25, "EUR")


def test_an_event_without_an_amount_has_no_money():
    assert EventFactory.build(data={"amount": None, "currency": None}).money is None


def test_an_amount_that_can_not_be_read_is_an_error_of_the_money_and_not_of_the_event():
    event = EventFactory.build(data={"amount": "ten"})
    assert event.data["amount"] == "ten"
    with pytest.raises(ValueError, match="'ten' is not a number"):
        str(event.money)
