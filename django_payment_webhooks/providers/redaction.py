"""Redaction: hides what webhooks say about people and cards from those who only see events.

A value is hidden by its name, wherever it is, or by what it is: a card number, an IBAN, an e-mail
address. Payloads are redacted as documents, everything else as text: errors, tracebacks, SQL, and
bodies that could not be parsed.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import Any, Collection, Iterator, NamedTuple, Tuple
from urllib.parse import unquote

from appconf import AppConf

from ..conf import settings
from .hidden_names import ENDINGS, NAMES, STATEMENTS

REDACTED = "[redacted]"
# A shorter name must be a whole word: "pan" must not hide a company, nor "ip" a recipient.
MIN_PART = 5
# The most groups that a card's digits are divided into, and the most names that lead to a value.
MAX_GROUPS = 6
MAX_DEPTH = 64
# A pattern that never matches.
NOTHING = r"(?!)"

# The members that may name a value, and those that then hold it.
LABELS = ("name", "key", "field", "label", "code", "attribute")
LABELLED = {"value", "values", "text", "answer", "content"}

Words = Tuple[str, ...]


class RedactionConf(AppConf):
    """The names of further values to hide, and of values to show nevertheless."""

    REDACTED_FIELDS: list[str] = []
    SHOWN_FIELDS: list[str] = []

    class Meta:
        prefix = "payment_webhooks"


# ---- by name

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")


def find_words(name: str) -> Words:
    """Return the words of a name, however they are separated: ``cardNumber``, ``card-number``."""
    words = [word.lower() for word in WORD.findall(fold(name))]
    return tuple(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words)


def fold(name: str) -> str:
    """Return a name without accents: names typed with them are often sent without."""
    if name.isascii():
        return name
    letters = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def join_letters(name: str) -> str:
    """Return a name as one word, since the words of ``CARDNUMBER`` can't be told apart."""
    return re.sub(r"[\W_]", "", fold(name)).lower()


class Names(NamedTuple):
    """Some names: the words of each, and a pattern for those that also match within a word."""

    words: frozenset[Words]
    longest: int
    within: re.Pattern[str]


@lru_cache(maxsize=100)
def read_names(names: tuple[str, ...]) -> Names:
    """Return names prepared for searching."""
    words = frozenset(filter(None, map(find_words, names)))
    letters = [letters for letters in map(join_letters, names) if len(letters) >= MIN_PART]
    within = re.compile("|".join(map(re.escape, letters)) or NOTHING)
    return Names(words, max(map(len, words), default=0), within)


def has_one(names: Names, words: Words, letters: str) -> bool:
    """Return whether one of the names is among the words of a path, or within its last name."""
    spans = (
        words[start : start + size]
        for start in range(len(words))
        for size in range(1, names.longest + 1)
    )
    return bool(names.within.search(letters)) or any(span in names.words for span in spans)


def ends_with_one(names: Names, words: Words) -> bool:
    """Return whether a path ends with one of the names, ignoring a number after it."""
    if len(words) > 1 and words[-1].isdecimal():
        return ends_with_one(names, words[:-1]) or words in names.words
    return any(words[-size:] in names.words for size in range(1, names.longest + 1))


def is_hidden(path: tuple[str, ...]) -> bool:
    """Return whether a path's value must be hidden, by its own name or that of a parent."""
    hidden = tuple(settings.PAYMENT_WEBHOOKS_REDACTED_FIELDS)
    return is_named(hidden, tuple(settings.PAYMENT_WEBHOOKS_SHOWN_FIELDS), path)


@lru_cache(maxsize=10_000)
def is_named(hidden: tuple[str, ...], shown: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Return whether a path has a hidden name: the project's choice, or else the default."""
    words = tuple(word for name in path for word in find_words(name))
    letters = join_letters(path[-1])
    if has_one(read_names(hidden), words, letters):
        return True
    if ends_with_one(read_names(shown), words) or words[-1:] in read_names(STATEMENTS).words:
        return False
    return has_one(read_names(NAMES), words, letters) or ends_with_one(read_names(ENDINGS), words)


def redact(payload: Any, keep: Collection[str] = ()) -> Any:
    """Return a copy of a payload without what must be hidden.

    ``keep`` has what is known about its event, such as the order's id: that stays, even if it looks
    like a card number.
    """
    return redact_value(payload, read_keep(keep), ())


def redact_value(value: Any, keep: Collection[str], path: tuple[str, ...]) -> Any:
    """Return a redacted copy of the value at a path of a payload."""
    if isinstance(value, dict):
        members = list_members(value, path)
        return {
            hide_values(str(name), keep): redact_member(inner, keep, inner_path, hides)
            for name, inner, inner_path, hides in members
        }
    if isinstance(value, list):
        is_split = is_split_card(value, keep)
        return REDACTED if is_split else [redact_value(item, keep, path) for item in value]
    if isinstance(value, str):
        return redact_string(value, keep, path)
    is_number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    text = write_number(value) if is_number else ""
    return REDACTED if hide_cards(text, keep) != text else value


def redact_member(value: Any, keep: Collection[str], path: tuple[str, ...], hides: bool) -> Any:
    """Return a redacted member of an object. Empty and yes-or-no values are never hidden."""
    if hides and value is not None and not isinstance(value, bool):
        return REDACTED
    return redact_value(value, keep, path)


def list_members(
    value: dict[Any, Any], path: tuple[str, ...]
) -> Iterator[tuple[Any, Any, tuple[str, ...], bool]]:
    """Yield the members of an object, their paths, and whether they must be hidden.

    One member may name another's value: name and value, or key and text.
    """
    labels = [value.get(name) for name in LABELS]
    label = next((text for text in labels if isinstance(text, str)), "")
    is_labelled = bool(label) and is_hidden((*path, label))
    for name, inner in value.items():
        inner_path = (*path, str(name))
        is_value = is_labelled and str(name).lower() in LABELLED
        yield name, inner, inner_path, is_value or is_hidden(inner_path)


def write_number(value: Any) -> str:
    """Return a number in digits, unless it has too many to be a card's."""
    number = Decimal(str(value))
    return f"{number:f}" if number.is_finite() and abs(number.adjusted()) < 20 else ""


def is_split_card(items: list[Any], keep: Collection[str]) -> bool:
    """Return whether a list contains a card's digits in groups."""
    groups = [str(item) for item in items[: MAX_GROUPS + 1]]
    digits = "".join(groups)
    is_split = 1 < len(groups) <= MAX_GROUPS and all(map(GROUP.fullmatch, groups))
    return is_split and is_card(digits) and digits not in keep


def read_keep(ids: Collection[str]) -> frozenset[str]:
    """Return what stays visible: what is known about an event, and the long numbers in it."""
    known = frozenset(filter(None, ids))
    return known.union(*(LONG_NUMBER.findall(each) for each in known))


# ---- by value

# Digests and UUIDs, whose digits are not numbers.
DIGEST = r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b|\b[0-9A-Fa-f]{32,}\b"
SPACE = r"(?:[ +\u00a0\u202f-]|%20|%2D)"
CARD = re.compile(rf"(?P<digest>{DIGEST})|(?<!\d)\d+(?:{SPACE}\d+)*")
DOTTED_CARD = re.compile(r"(?<!\d)\d{4}([._/])\d{4}\1\d{4}\1\d{4}(?!\d)")
GROUP = re.compile(r"(?<!%)(?<!%\d)\d+")
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
    rf"(?:{'|'.join(names.split())})\d\d(?:{SPACE}?[A-Z0-9]){{{length - 4}}}"
    for length, names in IBAN_LENGTHS.items()
)
IBAN = re.compile(
    rf"(?<![^\W_])(?=[A-Z]{{2}}\d\d)(?:{COUNTRIES})(?![^\W_])",
    re.IGNORECASE,
)
AT = re.compile(r"@|%40|\\u0040|&#64;", re.IGNORECASE)
EMAIL = re.compile(
    r"(?:[^\s@<>\"(),:;=&/?%\\\[\]']|%2[BDE]){1,64}"
    r"(?:@|%40|\\u0040|&#64;)[\w-]{1,63}(?:\.[\w-]{1,63})+",
    re.IGNORECASE,
)
PHONE = re.compile(r"(?<![\w+])(?:\+|%2B)[1-9](?:[ ()./\u00a0-]{0,2}\d){7,14}(?!\d)")
# Passwords in URLs, keys, and documents in base64, such as a JWT: they begin like JSON.
SECRETS = re.compile(
    r"(?<=://)[^/\s:@]{1,255}:[^/\s@]{1,255}(?=@)"
    r"|(?<=\bBearer )[\w.~+/=-]{8,}|(?<=\bBasic )[\w+/=]{8,}"
    r"|\b(?:sk|rk|whsec)_\w{10,}|\b\w{3,64}_secret_\w{10,}"
    r"|(?<![\w/+-])(?:eyJ|eyA|ewo|ewk|W3s|WyJ)[\w+/.=~-]{20,}"
)


def hide_values(text: str, keep: Collection[str]) -> str:
    """Return a text without card numbers, IBANs, addresses, phone numbers, keys and passwords."""

    def hide_known(found: re.Match[str]) -> str:
        return hide(found.group(), keep)

    text = SECRETS.sub(hide_known, text)
    if AT.search(text):
        text = EMAIL.sub(hide_known, text)
    text = IBAN.sub(lambda found: hide_iban(found.group(), keep), text)
    text = PHONE.sub(hide_known, text)
    text = DOTTED_CARD.sub(lambda found: hide_dotted(found.group(), keep), text)
    return hide_cards(text, keep)


def hide(value: str, keep: Collection[str]) -> str:
    """Return a value's replacement: the value itself if it is known about the event."""
    return value if value in keep else REDACTED


def hide_iban(text: str, keep: Collection[str]) -> str:
    """Return an IBAN's replacement: itself if its check digits are wrong (ISO 13616-1)."""
    value = re.sub(SPACE, "", text).upper()
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


# ---- text

TOKEN = re.compile(
    r"(?P<string>\"(?:[^\"\\]|\\.?)*(?:\"|\Z)|(?<![^\W_])'(?:[^'\\]|\\.?|'')*(?:'|\Z)|`[^`]*`)"
    r"|(?P<open>[\[{(])|(?P<close>[\]})])|(?P<pair>=>|[:=])|(?P<end>[,;&\n])"
    r"|(?P<space>[^\S\n]+)|(?P<word>[^\s\"`\[\]{}():=,;&]+)|(?P<other>.)",
    re.DOTALL,
)
NAME = re.compile(r"[\w.%\[\]-]+\Z")
# A letter as JSON may write it.
LETTER = re.compile(r"\\u([0-9A-Fa-f]{4})")
# The backslashes before the quotes of a document within a text.
ESCAPED = re.compile(r"\\([\"\\])")
NEW_PAIR = re.compile(r"\s*[:=]")
INSERT = re.compile(r"\bINSERT\s+INTO\s+[^\s(]+\s*\(([^()]*)\)\s*VALUES\s*", re.IGNORECASE)
ELEMENT = re.compile(r"<([^\W\d][\w:.-]*)(?:\s[^<>]*)?>")
# A parameter whose name is an attribute: <param name="email">.
ATTRIBUTE = re.compile(r"\s(?:name|key|id)=[\"']([^\"']{1,255})[\"']", re.IGNORECASE)
# The path before each value in a difference.
DIFFERENCE = re.compile(r"(?:\A|; )(?P<path>[^;]*?) was ")


def redact_text(text: str, keep: Collection[str] = ()) -> str:
    """Return a text without what must be hidden: an error, a traceback, SQL, a raw body.

    Values written as ``name: value`` or ``name=value`` are hidden by name, whether in JSON, Python,
    forms, SQL or XML. ``keep`` is that of :func:`redact`.
    """
    if ", here it is " in text:
        text = redact_difference(text)
    return redact_string(text, read_keep(keep), ())


def redact_string(text: str, keep: Collection[str], path: tuple[str, ...]) -> str:
    """Return a text that is at a path, without what must be hidden."""
    if INSERT.search(text):
        text = redact_inserts(text)
    if "<" in text:
        text = redact_elements(text)
    if ":" in text or "=" in text:
        text = Scanner(text, keep, path).run()
    return hide_values(text, keep)


def redact_difference(text: str) -> str:
    """Return the differences of two payloads without the values that must be hidden.

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
    """Return a text without the content of XML elements with hidden names."""
    parts, last = [], 0
    for element in ELEMENT.finditer(text):
        name = ATTRIBUTE.search(element.group())
        names = [element.group(1), *(name.groups() if name else ())]
        if element.start() < last or not any(is_hidden((each,)) for each in names):
            continue
        end = text.find(f"</{element.group(1)}>", element.end())
        parts += [text[last : element.end()], REDACTED]
        last = end if end >= 0 else len(text)
    return "".join(parts) + text[last:]


def redact_inserts(text: str) -> str:
    """Return SQL without the values inserted into columns with hidden names."""
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
    """Goes through a text once, and leaves out each value with a hidden name.

    It tracks the brackets it is in, and the names before them: everything inside a hidden name is
    hidden, and ``card`` and ``number`` are one name across brackets.
    """

    def __init__(self, text: str, keep: Collection[str], path: tuple[str, ...]) -> None:
        self.text, self.keep, self.path = text, keep, path
        self.stack: list[tuple[tuple[str, ...], str]] = []
        self.parts: list[str] = []
        self.name = ""
        # The depth of brackets in a hidden value; None while nothing is hidden.
        self.hidden: int | None = None

    def run(self) -> str:
        """Return the text without what must be hidden."""
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
        """Return whether a hidden value ends before a token."""
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
        """Note the last name, and the brackets it is in."""
        if kind == "string":
            self.name = LETTER.sub(lambda found: chr(int(found.group(1), 16)), value.strip("\"'`"))
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
        """Return whether the next value must be hidden."""
        return bool(self.name) and len(self.name) < 256 and is_hidden((*self.path, self.name))

    def redact_inner(self, value: str) -> str:
        """Return a redacted quoted text, which can itself be a document."""
        inner = value[1:]
        if ":" not in inner and "=" not in inner:
            return value
        plain = ESCAPED.sub(r"\1", inner)
        found = Scanner(plain, self.keep, self.path).run()
        return value if found == plain else value[0] + found
