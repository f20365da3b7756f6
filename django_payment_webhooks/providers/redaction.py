"""Redaction: what a webhook says of a person, or of a card, is not for everybody who sees events.

A value is hidden by its name, wherever it stands, or by what it is: a card number, an IBAN, an
e-mail address. Payloads are redacted as the documents they are; everything else as text: errors,
tracebacks, SQL, and bodies that could not be parsed.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any, Collection, Iterator, Tuple
from urllib.parse import unquote

from appconf import AppConf

from ..conf import settings

REDACTED = "[redacted]"
# A shorter name must be a word of its own: "pan" must not hide a company, nor "ip" a recipient.
MIN_PART = 5
# Into how many groups the digits of a card are divided, and how many names lead to a value.
MAX_GROUPS = 6
MAX_DEPTH = 64

Words = Tuple[str, ...]


class RedactionConf(AppConf):
    """The names of the values that are not shown, however they are written, and at any depth."""

    REDACTED_FIELDS = [
        *("account_name", "account_no", "account_number", "address", "api_key", "beneficiary_name"),
        *("bic", "billing_name", "birth", "buyer_name", "card_exp", "card_expiry", "card_name"),
        *("card_no", "card_number", "cavv", "city", "client_name", "contact_name", "creditor_name"),
        *("cryptogram", "customer_name", "cvc", "cvn", "cvv", "debtor_name", "details_name"),
        *("device_id", "dob", "document_id", "document_no", "document_number", "email", "exp_date"),
        *("exp_month", "exp_year", "expiry_month", "expiry_year", "family_name", "fingerprint"),
        *("first_name", "full_name", "given_name", "holder", "iban", "id_number", "identification"),
        *("identity_number", "ip", "ipv4", "ipv6", "last_name", "latitude", "line1", "line2"),
        *("longitude", "maiden_name", "middle_name", "mobile_number", "msisdn", "national_id"),
        *("nationality", "otp", "owner_name", "pan", "passport", "password", "payer_name"),
        *("person_name", "phone", "pin", "postal", "postcode", "private_key", "recipient_name"),
        *("routing_number", "secret", "security_code", "sender_name", "shipping_name"),
        *("shopper_name", "social_security", "sort_code", "source_name", "ssn", "street"),
        *("surname", "swift", "tax_id", "token", "user_agent", "user_name", "vat_id"),
        *("vat_number", "zip", "zip_code"),
    ]

    class Meta:
        prefix = "payment_webhooks"


# ---- by name

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")


def find_words(name: str) -> Words:
    """Return the words of a name, however they are separated: ``cardNumber``, ``card-number``."""
    words = [word.lower() for word in WORD.findall(name)]
    return tuple(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words)


@lru_cache(maxsize=10_000)
def is_named(names: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Return whether one of the names is in a path of names, in one of them or across several."""
    words = tuple(word for name in path for word in find_words(name))
    joined = re.sub(r"[\W_]", "", path[-1]).lower()
    for name in names:
        part = find_words(name)
        starts = range(len(words) - len(part) + 1)
        if part and any(words[start : start + len(part)] == part for start in starts):
            return True
        whole = re.sub(r"[\W_]", "", name).lower()
        if len(whole) >= MIN_PART and whole in joined:
            return True
    return False


def is_hidden(path: tuple[str, ...]) -> bool:
    """Return whether the setting names what is at a path, or what it is a part of."""
    return is_named(tuple(settings.PAYMENT_WEBHOOKS_REDACTED_FIELDS), path)


def redact(payload: Any, keep: Collection[str] = ()) -> Any:
    """Return a copy of a payload without what is to be hidden.

    ``keep`` has what is known of its event, such as the order's id: that stays, even if it looks
    like the number of a card.
    """
    return redact_value(payload, frozenset(filter(None, keep)), ())


def redact_value(value: Any, keep: Collection[str], path: tuple[str, ...]) -> Any:
    """Return a copy of what is at a path of a payload."""
    if isinstance(value, dict):
        return dict(redact_members(value, keep, path))
    if isinstance(value, list):
        return [redact_value(item, keep, path) for item in value]
    if isinstance(value, str):
        return redact_string(value, keep, path)
    is_number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    return REDACTED if is_number and hide_cards(str(value), keep) != str(value) else value


def redact_members(
    value: dict[Any, Any], keep: Collection[str], path: tuple[str, ...]
) -> Iterator[tuple[Any, Any]]:
    """Give the members of an object. One may name what another has: name and value, or key."""
    labels = [value.get(name) for name in ("name", "key", "field")]
    label = next((text for text in labels if isinstance(text, str)), "")
    for name, inner in value.items():
        inner_path = (*path, str(name))
        is_labelled = label and str(name).lower() == "value" and is_hidden((*path, label))
        if is_hidden(inner_path) or is_labelled:
            yield name, REDACTED
        else:
            yield name, redact_value(inner, keep, inner_path)


# ---- by value

# Digests and UUIDs have digits that are no numbers.
DIGEST = r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b|\b[0-9A-Fa-f]{32,}\b"
SPACE = r"(?:[ +\u00a0\u202f-]|%20|%2D)"
CARD = re.compile(rf"(?P<digest>{DIGEST})|(?<!\d)\d+(?:{SPACE}\d+)*")
GROUP = re.compile(r"(?<!%)(?<!%\d)\d+")
# No network issues numbers like these: Unix times in thousandths and less, and times as digits.
TIME = re.compile(
    r"1\d{12}|1\d{15}|1\d{18}"
    r"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d(?:\d{3})?"
)
IBAN = re.compile(rf"(?<![^\W_])[A-Z]{{2}}\d\d(?:{SPACE}?[A-Z0-9]{{1,30}}){{1,10}}", re.IGNORECASE)
AT = re.compile(r"@|%40|\\u0040|&#64;", re.IGNORECASE)
EMAIL = re.compile(
    r"[^\s@<>\"'(),:;=&/?%\\\[\]]{1,64}(?:@|%40|\\u0040|&#64;)[\w-]{1,63}(?:\.[\w-]{1,63})+",
    re.IGNORECASE,
)
SECRETS = re.compile(
    r"(?<=://)[^/\s:@]{1,255}:[^/\s@]{1,255}(?=@)"
    r"|(?<=\bBearer )[\w.~+/=-]{8,}|\b(?:sk|rk|whsec)_\w{10,}"
)


def hide_values(text: str, keep: Collection[str]) -> str:
    """Return a text without card numbers, IBANs, e-mail addresses, keys and passwords."""
    text = SECRETS.sub(REDACTED, text)
    if AT.search(text):
        text = EMAIL.sub(lambda found: hide(found.group(), keep), text)
    text = IBAN.sub(lambda found: hide_iban(found.group(), keep), text)
    return hide_cards(text, keep)


def hide(value: str, keep: Collection[str]) -> str:
    """Return what takes a value's place: itself, if it is known of the event."""
    return value if value in keep else REDACTED


def hide_iban(text: str, keep: Collection[str]) -> str:
    """Return a text without the IBAN that it begins with, if it does (ISO 13616-1)."""
    ends = [found.start() for found in re.finditer(SPACE, text)] + [len(text)]
    for end in ends:
        value = re.sub(SPACE, "", text[:end]).upper()
        if 15 <= len(value) <= 34 and value not in keep and text[:end] not in keep:
            digits = "".join(str(int(sign, 36)) for sign in value[4:] + value[:4])
            if int(digits) % 97 == 1:
                return REDACTED + text[end:]
    return text


def hide_cards(text: str, keep: Collection[str]) -> str:
    """Return a text without the numbers of cards."""

    def hide_run(run: Any) -> str:
        return str(run.group()) if run.group("digest") else hide_card(run.group(), keep)

    return CARD.sub(hide_run, text)


def hide_card(run: str, keep: Collection[str]) -> str:
    """Return groups of digits without those that are the number of a card together."""
    groups = list(GROUP.finditer(run))
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
    """Return how many of the first groups of digits are the number of a card; 0 if none are."""
    for size in range(len(groups), 0, -1):
        digits = "".join(groups[:size])
        if is_card(digits) and digits not in keep:
            return size
    return 0


def is_card(digits: str) -> bool:
    """Return whether digits can be the number of a card (ISO/IEC 7812-1, annex B)."""
    if not 13 <= len(digits) <= 19 or TIME.fullmatch(digits):
        return False
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    total = sum(map(int, digits[-1::-2])) + sum(number - 9 * (number > 9) for number in doubled)
    return total % 10 == 0


# ---- text

TOKEN = re.compile(
    r"(?P<string>\"(?:[^\"\\]|\\.?)*(?:\"|\Z)|(?<![^\W_])'(?:[^'\\]|\\.?|'')*(?:'|\Z)|`[^`]*`)"
    r"|(?P<open>[\[{(])|(?P<close>[\]})])|(?P<pair>=>|[:=])|(?P<end>[,;&\n])"
    r"|(?P<space>[^\S\n]+)|(?P<word>[^\s\"`\[\]{}():=,;&]+)|(?P<other>.)",
    re.DOTALL,
)
NAME = re.compile(r"[\w.%\[\]-]+\Z")
NEW_PAIR = re.compile(r"\s*[:=]")
INSERT = re.compile(r"\bINSERT\s+INTO\s+[^\s(]+\s*\(([^()]*)\)\s*VALUES\s*", re.IGNORECASE)
ELEMENT = re.compile(r"<([^\W\d][\w:.-]*)(?:\s[^<>]*)?>")
# Before each value that a difference names: its path.
DIFFERENCE = re.compile(r"(?:\A|; )(?P<path>[^;]*?) was ")


def redact_text(text: str, keep: Collection[str] = ()) -> str:
    """Return a text without what is to be hidden: an error, a traceback, SQL, a raw body.

    What stands in it as ``name: value`` or ``name=value`` is hidden by its name, in JSON, in
    Python, in forms, in SQL and in XML alike. ``keep`` is that of :func:`redact`.
    """
    if ", here it is " in text:
        text = redact_difference(text)
    return redact_string(text, frozenset(filter(None, keep)), ())


def redact_string(text: str, keep: Collection[str], path: tuple[str, ...]) -> str:
    """Return a text, which stands at a path, without what is to be hidden."""
    if INSERT.search(text):
        text = redact_inserts(text)
    if "<" in text:
        text = redact_elements(text)
    if ":" in text or "=" in text:
        text = Scanner(text, keep, path).run()
    return hide_values(text, keep)


def redact_difference(text: str) -> str:
    """Return what two payloads differ in without the values that are to be hidden.

    What can't be distinguished from such a value is left out with it.
    """
    starts = list(DIFFERENCE.finditer(text))
    if not starts:
        return text
    parts = []
    ends = [start.start() for start in starts[1:]] + [len(text)]
    for start, end in zip(starts, ends):
        path = start.group("path")
        hides = is_hidden((path,))
        parts.append(f"{path} differs {REDACTED}" if hides else text[start.start() : end])
    return hide_values("; ".join(part.strip("; ") for part in parts), ())


def redact_elements(text: str) -> str:
    """Return a text without what XML elements have whose names are to be hidden."""
    parts, last = [], 0
    for element in ELEMENT.finditer(text):
        if element.start() < last or not is_hidden((element.group(1),)):
            continue
        end = text.find(f"</{element.group(1)}>", element.end())
        parts += [text[last : element.end()], REDACTED]
        last = end if end >= 0 else len(text)
    return "".join(parts) + text[last:]


def redact_inserts(text: str) -> str:
    """Return SQL without the values that are inserted into columns whose names are to be hidden."""
    parts, last = [], 0
    for insert in INSERT.finditer(text):
        columns = [name.strip(" \"'`[]") for name in insert.group(1).split(",")]
        parts.append(text[last : insert.end()])
        last = insert.end()
        number, depth = 0, 0
        for token in TOKEN.finditer(text, insert.end()):
            kind, value = token.lastgroup, token.group()
            depth += (kind == "open") - (kind == "close")
            if depth == 0 and kind not in ("close", "space", "end"):
                break
            if kind == "end" and depth == 1:
                number += 1
            if kind == "open" and depth == 1:
                number = 0
            is_value = depth and kind in ("string", "word") and number < len(columns)
            parts.append(REDACTED if is_value and is_hidden((columns[number],)) else value)
            last = token.end()
    return "".join(parts) + text[last:]


class Scanner:
    """Goes through a text once, and leaves out each value whose name is to be hidden.

    It knows in which brackets it is, and after which names they stand: what a name has is hidden
    whole, and ``card`` and ``number`` are one name across them.
    """

    def __init__(self, text: str, keep: Collection[str], path: tuple[str, ...]) -> None:
        self.text, self.keep, self.path = text, keep, path
        self.stack: list[tuple[tuple[str, ...], str]] = []
        self.parts: list[str] = []
        self.name = ""
        # In how many brackets of a hidden value it is; None while nothing is hidden.
        self.hidden: int | None = None

    def run(self) -> str:
        """Return the text without what is to be hidden."""
        for token in TOKEN.finditer(self.text):
            kind, value = token.lastgroup or "", token.group()
            if self.hidden is None or self.is_over(kind, token.end()):
                self.read(kind, value)
                self.parts.append(self.redact_inner(value) if kind == "string" else value)
                if kind == "pair" and self.is_next_hidden():
                    self.parts.append(REDACTED)
                    self.hidden = 0
        return "".join(self.parts)

    def is_over(self, kind: str, end: int) -> bool:
        """Return whether a hidden value is over before a token."""
        if self.hidden == 0:
            is_new = kind == "word" and NEW_PAIR.match(self.text, end)
            if kind in ("close", "end") or is_new:
                self.hidden = None
                return True
        self.hidden = (self.hidden or 0) + (kind == "open") - (kind == "close")
        if kind == "close" and self.hidden == 0:
            self.hidden = None
        return False

    def read(self, kind: str, value: str) -> None:
        """Note which name stands last, and in which brackets."""
        if kind == "string":
            self.name = value.strip("\"'`")
        elif kind == "word":
            found = NAME.search(unquote(value))
            self.name = found.group() if found else self.name
        elif kind == "open":
            self.stack.append((self.path, self.name))
            if self.name:
                self.path = (*self.path, self.name)[-MAX_DEPTH:]
            self.name = ""
        elif kind == "close" and self.stack:
            inner = self.name
            self.path, self.name = self.stack.pop()
            self.name = f"{self.name}.{inner}" if value == "]" and inner else ""
        elif kind == "end":
            self.name = ""

    def is_next_hidden(self) -> bool:
        """Return whether the value that follows is to be hidden."""
        return bool(self.name) and len(self.name) < 256 and is_hidden((*self.path, self.name))

    def redact_inner(self, value: str) -> str:
        """Return a quoted text, which can be a document itself."""
        inner = value[1:]
        if ":" not in inner and "=" not in inner:
            return value
        plain = inner.replace('\\"', '"')
        found = Scanner(plain, self.keep, self.path).run()
        return value if found == plain else value[0] + found
