"""Money: an amount in major units and its currency, however a provider writes them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Mapping, NamedTuple

# The currencies that do not have two decimals, by ISO 4217: list one of
# https://www.six-group.com/en/products-services/financial-information/data-standards.html
NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
FOUR_DECIMALS = "CLF UYW"
EXPONENTS = {
    **dict.fromkeys(NO_DECIMALS.split(), 0),
    **dict.fromkeys(THREE_DECIMALS.split(), 3),
    **dict.fromkeys(FOUR_DECIMALS.split(), 4),
}
DEFAULT_EXPONENT = 2
MINOR, MAJOR = "minor", "major"
# Written out: no sign, no exponent, no thousands separators, and only ASCII digits.
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?\Z")
CURRENCY = re.compile(r"[A-Z]{3}\Z")
# Decimals calculate with 28 digits. No payment is that large.
MAX_DIGITS = 20
MAX_SHOWN = 40


class Money(NamedTuple):
    """A sum: ``amount`` in major units, ``currency`` as an upper-case code of ISO 4217."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


def read_money(
    value: Any, currency: Any, unit: str = MINOR, exponents: Mapping[str, int] | None = None
) -> Money:
    """Return the money that a provider's values describe.

    ``value`` is an int, a Decimal, or the text of a number; ``unit`` is ``"minor"`` if it counts
    cents, ``"major"`` if it counts euros. ``exponents`` are the numbers of decimals by currency
    where the provider deviates from ISO 4217. The amount has as many decimals as its currency.

    Raises ``ValueError``, whose message says what is wrong: the number is not written out, not
    exact or negative, or has a fraction that the currency does not have.
    """
    code = read_currency(currency)
    exponent = {**EXPONENTS, **(exponents or {})}.get(code, DEFAULT_EXPONENT)
    number = read_number(value)
    amount = number.scaleb(-exponent) if unit == MINOR else number
    rounded = amount.quantize(Decimal(1).scaleb(-exponent))
    if rounded != amount:
        raise ValueError(f"the amount {show(value)} has more decimals than {code}")
    return Money(rounded, code)


def read_currency(value: Any) -> str:
    """Return a currency code in upper case. Raises ``ValueError``."""
    if value in (None, ""):
        raise ValueError("the currency is missing")
    # ASCII only: some other letters would become a code in upper case.
    code = value.upper() if isinstance(value, str) and value.isascii() else ""
    if not CURRENCY.match(code):
        raise ValueError(f"the currency {show(value)} is not an ISO 4217 code")
    return code


def read_number(value: Any) -> Decimal:
    """Return a non-negative number exactly as it is written. Raises ``ValueError``."""
    if value in (None, ""):
        raise ValueError("the amount is missing")
    # True is an int, too.
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        raise ValueError(f"the amount {show(value)} is not a number")
    text = str(value)
    if text.startswith("-"):
        raise ValueError(f"the amount {show(value)} is negative")
    if not NUMBER.match(text):
        raise ValueError(f"the amount {show(value)} is not a number that is written out")
    if len(text) > MAX_DIGITS:
        raise ValueError(f"the amount {show(value)} has more than {MAX_DIGITS} digits")
    number = Decimal(text)
    if isinstance(value, float) and Decimal(value) != number:
        raise ValueError(f"the amount {show(value)} is a float, which is not exact")
    return number


def show(value: Any) -> str:
    """Return the beginning of a value, for a message."""
    return ascii(value)[:MAX_SHOWN]
