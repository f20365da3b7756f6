"""Hides values by what they are: card numbers, IBANs, e-mail addresses, phone numbers, keys.

In any text, unless it is encoded. :mod:`redaction` also hides values by their names.
"""

from __future__ import annotations

import re
from typing import Any, Collection

from .escaping import CUT

REDACTED = "[redacted]"
# The most groups that a card's digits are divided into.
MAX_GROUPS = 6

# Digests and UUIDs, whose digits are not numbers.
DIGEST = r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b|\b[0-9A-Fa-f]{32,}\b"
# As Python and JSON write a space that is not ASCII, a form a space or a quote; and what precedes a
# value.
ESCAPED_SPACE = r"(?:\\(?:t|x[Aa]0|u(?:00[Aa]0|20\d[\dA-Fa-f]|3000))|%2\d)"
BORDER = r"(?:(?<![^\W_])|(?<=\\[nrt])|(?<=\\x[Aa]0)|(?<=\\u\w{4}))"
SPACE = (
    r"(?:[ \t+\u00a0\u2000-\u200d\u2010-\u2015\u2212\u202f\u205f\u3000-]"
    rf"|{ESCAPED_SPACE})"
)
CARD = re.compile(rf"(?P<digest>{DIGEST})|(?:{ESCAPED_SPACE}|(?<!\d))\d+(?:{SPACE}{{1,2}}\d+)*")
DOTTED_CARD = re.compile(
    r"(?<!\d)(?:\d{4}([._/])\d{4}\1\d{4}\1\d{4}|\d{4}([._/])\d{6}\2\d{4,5})(?!\d)"
)
GROUP = re.compile(rf"{SPACE}|(?P<digits>\d+)")
LONG_NUMBER = re.compile(r"\d{13,}")
# Unix times in milliseconds or finer, and times as digits: no network issues such numbers.
TIME = re.compile(
    r"1\d{12}|1\d{15}|1\d{18}"
    r"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d(?:\d{3})?"
)
# The length of each country's IBANs (the registry of ISO 13616).
IBAN_LENGTHS = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
COUNTRIES = "|".join(
    rf"(?:{'|'.join(names.split())})\d\d(?:(?:{SPACE}{{0,2}}|[._/])[A-Z0-9]){{{length - 4}}}"
    for length, names in IBAN_LENGTHS.items()
)
IBAN = re.compile(
    rf"{BORDER}(?=[A-Z]{{2}}\d\d)(?:{COUNTRIES})(?![^\W_])",
    re.IGNORECASE,
)
AT = r"(?:@|\uff20|\\u0040|&#64;)"
LOCAL_PART = r"(?:\\?\"[^\"\\\n]{1,64}\\?\"|(?:[^\s@<>\"(),:;=&/?%\\\[\]']|(?<=\w)'(?=\w)){1,64})"
EMAIL = re.compile(rf"{LOCAL_PART}{AT}[\w-]{{1,63}}(?:\.[\w-]{{1,63}})+")
HAS_AT = re.compile(AT)
PHONE = re.compile(rf"(?<!\+){BORDER}\+[1-9](?:(?:(?!\+){SPACE}|[()./]){{0,2}}\d){{7,14}}(?!\d)")
# Passwords in URLs, keys, and documents in base64, such as a JWT: they begin like JSON.
SECRETS = re.compile(
    r"(?<=://)[^/\s:@]{0,255}:[^/\s@]{1,255}(?=@)"
    rf"|{BORDER}(?P<scheme>(?:Bearer|Basic)[ +](?=[\w.~+/=-]{{8}})"
    r"|(?i:bearer|basic|token)[ +](?=[a-zA-Z_.~+/-]*\d))[\w.~+/=-]{6,}"
    rf"|{BORDER}(?:sk|rk|whsec)_[\w+/=-]{{10,}}|\b\w{{3,64}}_secret_\w{{10,}}"
    r"|(?<=PRIVATE KEY-----)[^-]+"
    rf"|{BORDER}(?<![+/-])(?:eyJ|eyA|ewo|ewk|W3s|WyJ)[\w+/.=~-]{{20,}}"
)
# The beginning of a card number, an IBAN or an address at the end of a text that was cut off.
CUT_OFF = re.compile(
    rf"(?:{BORDER}\d(?:{SPACE}{{0,2}}\d){{6,17}}"
    rf"|{BORDER}[A-Z]{{2}}\d\d(?:{SPACE}{{0,2}}[A-Z0-9]{{4}}){{2,7}}{SPACE}{{0,2}}[A-Z0-9]{{0,3}}"
    rf"|{LOCAL_PART}{AT}[\w.-]*)(?={SPACE}{{0,2}}{CUT}(?!\w))",
    re.IGNORECASE,
)


def hide_values(text: str, keep: Collection[str]) -> str:
    """Return a text without card numbers, IBANs, addresses, phone numbers, keys and passwords."""

    def hide_known(found: re.Match[str]) -> str:
        return hide(found.group(), keep)

    text = SECRETS.sub(lambda found: hide_secret(found, keep), text)
    if HAS_AT.search(text):
        text = EMAIL.sub(hide_known, text)
    text = IBAN.sub(lambda found: hide_iban(found.group(), keep), text)
    text = PHONE.sub(hide_known, text)
    text = DOTTED_CARD.sub(lambda found: hide_dotted(found.group(), keep), text)
    text = hide_cards(text, keep)
    # Last, as it must not take the end of a complete value for the beginning of another.
    if CUT in text:
        text = CUT_OFF.sub(lambda found: hide_beginning(found.group(), keep), text)
    return text


def hide(value: str, keep: Collection[str]) -> str:
    """Return a value's replacement: the value itself if it is known about the event."""
    return value if value in keep else REDACTED


def hide_beginning(text: str, keep: Collection[str]) -> str:
    """Return the replacement for what was cut off: itself if something known begins so."""
    return text if any(each.startswith(text) for each in keep) else REDACTED


def hide_secret(found: re.Match[str], keep: Collection[str]) -> str:
    """Return the replacement for a password or a key, after the name of its scheme."""
    scheme = found.group("scheme") or ""
    return scheme + hide(found.group()[len(scheme) :], keep)


def hide_iban(text: str, keep: Collection[str]) -> str:
    """Return an IBAN's replacement: itself if its check digits are wrong (ISO 13616-1)."""
    value = re.sub(rf"{SPACE}|[._/]", "", text).upper()
    digits = "".join(str(int(sign, 36)) for sign in value[4:] + value[:4])
    return text if int(digits) % 97 != 1 or value in keep else hide(text, keep)


def hide_dotted(text: str, keep: Collection[str]) -> str:
    """Return the replacement for four groups of four digits."""
    digits = re.sub(r"\D", "", text)
    return hide(text, keep) if is_card(digits) and digits not in keep else text


def hide_cards(text: str, keep: Collection[str]) -> str:
    """Return a text without card numbers."""

    def hide_run(run: re.Match[str]) -> str:
        return run.group() if run.group("digest") else hide_card(run.group(), keep)

    return CARD.sub(hide_run, text)


def hide_card(run: str, keep: Collection[str]) -> str:
    """Return groups of digits without those that together are a card number."""
    groups = [group for group in GROUP.finditer(run) if group.group("digits")]
    parts, last, number = [], 0, 0
    while number < len(groups):
        nearest = groups[number : number + MAX_GROUPS]
        size = count_card_groups([group.group() for group in nearest], keep)
        if size and run not in keep:
            parts += [run[last : groups[number].start()], REDACTED]
            last = groups[number + size - 1].end()
        number += size or 1
    return "".join(parts) + run[last:]


def count_card_groups(groups: list[str], keep: Collection[str]) -> int:
    """Return how many of the first groups of digits form a card number, or 0."""
    for size in range(len(groups), 0, -1):
        digits = "".join(groups[:size])
        if is_card(digits) and digits not in keep:
            return size
    return 0


def is_card(digits: str) -> bool:
    """Return whether digits can be a card number (ISO/IEC 7812-1, annex B)."""
    if not 13 <= len(digits) <= 19 or TIME.fullmatch(digits):
        return False
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    total = sum(map(int, digits[-1::-2])) + sum(number - 9 * (number > 9) for number in doubled)
    return total % 10 == 0


def is_split_card(items: list[Any], keep: Collection[str]) -> bool:
    """Return whether a list contains a card's digits in groups."""
    groups = [str(item) for item in items[: MAX_GROUPS + 1]]
    digits = "".join(groups)
    is_split = 1 < len(groups) <= MAX_GROUPS and all(map(str.isdecimal, groups))
    return is_split and is_card(digits) and digits not in keep


def read_keep(ids: Collection[str]) -> frozenset[str]:
    """Return what stays visible: what is known about an event, and the long numbers in it."""
    known = frozenset(filter(None, ids))
    return known.union(*(LONG_NUMBER.findall(each) for each in known))
