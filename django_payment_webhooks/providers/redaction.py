"""Redaction: hides what webhooks say about people and cards from those who only see events.

A value is hidden by its name, wherever it is, or by what it is: a card number, an IBAN, an e-mail
address. Payloads are redacted as documents, everything else as text: errors, tracebacks, SQL, and
bodies that could not be parsed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from typing import Any, Collection, Iterator, NamedTuple, Tuple
from urllib.parse import unquote

from appconf import AppConf

from ..conf import settings
from .hidden_names import ENDINGS, NAMES, STATEMENTS
from .hidden_values import REDACTED, hide_cards, hide_values, is_split_card, read_keep

# A shorter name must be a whole word: "pan" must not hide a company, nor "ip" a recipient.
MIN_PART = 5
# The most names that lead to a value.
MAX_DEPTH = 64
# A pattern that never matches.
NOTHING = r"(?!)"

# The members that may name a value, and those that then hold it.
LABELS = {"name", "key", "field", "label", "code", "attribute", "title", "question", "type"}
LABELLED = {"value", "values", "text", "answer", "content"}
# A name beside one of these is a person's, unless it has a sign of an order's or an event's.
CONTACTS = ("email", "mail", "phone")
NO_PERSON = re.compile(r"[\d#:_]")

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
            redact_string(str(name), keep, ()): redact_member(inner, keep, inner_path, hides)
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

    One member may name another's value: name and value, or key and text. A name beside an address
    is a person's.
    """
    labels = [text for name, text in value.items() if str(name).lower() in LABELS]
    is_labelled = any(is_hidden((*path, text)) for text in labels if isinstance(text, str) and text)
    personal = {"name"} if has_person(value) else set()
    personal |= LABELLED if is_labelled else set()
    for name, inner in value.items():
        inner_path = (*path, str(name))
        yield name, inner, inner_path, str(name).lower() in personal or is_hidden(inner_path)


def has_person(value: dict[Any, Any]) -> bool:
    """Return whether an object's ``name`` is a person's."""
    names = {str(name).lower(): inner for name, inner in value.items()}
    called = names.get("name")
    if not isinstance(called, str) or NO_PERSON.search(called):
        return False
    contacts = read_names(CONTACTS)
    return any(has_one(contacts, find_words(name), join_letters(name)) for name in names)


def write_number(value: Any) -> str:
    """Return a number in digits, unless it has too many to be a card's."""
    number = Decimal(str(value))
    return f"{number:f}" if number.is_finite() and abs(number.adjusted()) < 20 else ""


# ---- text

# What stands between a name and its value, in a document, in code and in SQL.
PAIR = r"=>|<>|!=|[:=]|\b(?:NOT )?(?:I?LIKE|IN|BETWEEN|REGEXP)\b(?=\s*(?:\w+\s*)?['(])"
TOKEN = re.compile(
    r"(?P<string>\"(?:[^\"\\]|\\.?)*(?:\"|\Z)|(?<![^\W_])'(?:[^'\\]|\\.?|'')*(?:'|\Z)|`[^`]*`)"
    r"|(?P<open>[\[{(])|(?P<close>[\]})])|(?P<space>[^\S\n]+|::(?:text|varchar|inet|uuid)\b)"
    rf"|(?P<pair>{PAIR})|(?P<end>[,;&\n])"
    r"|(?P<word>[^\s\"`\[\]{}():=,;&]+)|(?P<other>.)",
    re.DOTALL,
)
NAME = re.compile(r"[\w.%\[\]-]+\Z")
# A letter as JSON may write it.
LETTER = re.compile(r"\\u([0-9A-Fa-f]{4})")
# The backslashes before the quotes of a document within a text.
ESCAPED = re.compile(r"\\([\"\\])")
# What follows a name; not what ends a value in base64.
NEW_PAIR = re.compile(r"\s*[:=](?!=)")
# What follows an expression whose last name counts: LOWER("email") = LOWER('ada').
COMPARED = re.compile(rf"[\s)]*(?!:)(?:{PAIR})")
HAS_PAIR = re.compile(PAIR)
INSERT = re.compile(
    r"\b(?:INSERT(?:\s+IGNORE|\s+OR\s+\w+)?|REPLACE)\s+INTO\s+[^\s(]+\s*\(([^()]*)\)\s*"
    r"(?:VALUES\s*|SELECT\s+\*\s+FROM\s+UNNEST\s*|(?P<is_select>(?=SELECT\s)))",
    re.IGNORECASE,
)
# What PostgreSQL and MySQL say of a row, with the names of columns or of a key if they say those.
ROWS = [
    re.compile(
        r"(Key \((?P<names>.{1,255}?)\)=\().{0,500}?(?P<after>\) (?:already|is|conflicts)\b|\Z)",
        re.DOTALL,
    ),
    re.compile(r"(Duplicate entry ').{0,500}?(?P<after>' for key (?P<names>\S+)|\Z)", re.DOTALL),
    re.compile(
        r"(Failing row contains \().{0,500}?(?P<after>\)\.(?=\\n|[\n'\"]|\Z)|\Z)", re.DOTALL
    ),
]
# A part of a multipart body: its name and its value.
PART = re.compile(
    r"(name=\"(?P<names>[^\"\r\n]{1,255})\"[^\r\n]{0,255}(?:\r?\n[^\r\n]{1,255}){0,3}\r?\n\r?\n)"
    r".*?(?P<after>\r?\n--|\Z)",
    re.DOTALL,
)
ELEMENT = re.compile(r"<([^\W\d][\w:.-]*)(?:\s[^<>]*)?>")
# A parameter whose name is an attribute, as its value may be: <param name="email" value="ada"/>.
ATTRIBUTE = re.compile(r"\s(?:name|key|id)=[\"']([^\"']{1,255})[\"']", re.IGNORECASE)
CONTENT = re.compile(r"(\s(?:value|content|text)=)(?:\"[^\"]*\"|'[^']*')", re.IGNORECASE)
# A value in a difference, which is ASCII: a raw ellipsis ends what was cut off.
VALUE = r"(?:\"(?:\\[^…]|[^\"\\…])*(?:\"|\\?…)|[^\s;\"]+)"
DIFFERENCE = re.compile(
    rf"(?:\A|(?<=[;.] ))(?P<path>[^;]{{1,100}}?) was {VALUE}, here it is {VALUE}"
)


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
    if text.lstrip().startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            document = json.loads(text)
            found = redact_value(document, keep, path)
            return text if found == document else json.dumps(found, ensure_ascii=False)
    shown = redact_plain(text, keep, path)
    decoded = unquote(shown)
    found = decoded if decoded == shown else redact_plain(decoded, keep, path)
    return shown if found == decoded else found


def redact_plain(text: str, keep: Collection[str], path: tuple[str, ...]) -> str:
    """Return a text that is no document, without what must be hidden."""
    if INSERT.search(text):
        text = redact_inserts(text)
    if "<" in text:
        text = redact_elements(text)
    for pattern in (*ROWS, PART):
        text = pattern.sub(hide_named, text)
    if HAS_PAIR.search(text):
        text = Scanner(text, keep, path).run()
    return hide_values(text, keep)


def redact_difference(text: str) -> str:
    """Return the differences of two payloads without the values that must be hidden.

    Those that had to be hidden when it was written are not in it.
    """

    def hide_difference(found: re.Match[str]) -> str:
        path = found.group("path")
        return f"{path} differs {REDACTED}" if is_hidden((path,)) else found.group()

    return DIFFERENCE.sub(hide_difference, text)


def redact_elements(text: str) -> str:
    """Return a text without the content of XML elements with hidden names."""
    parts, last = [], 0
    for element in ELEMENT.finditer(text):
        name = ATTRIBUTE.search(element.group())
        names = [element.group(1), *(name.groups() if name else ())]
        if element.start() < last or not any(is_hidden((each,)) for each in names):
            continue
        tag = CONTENT.sub(rf"\1{REDACTED}", element.group())
        parts += [text[last : element.start()], tag]
        last = element.end()
        if not tag.endswith("/>"):
            parts.append(REDACTED)
            end = text.find(f"</{element.group(1)}>", last)
            last = end if end >= 0 else len(text)
    return "".join(parts) + text[last:]


def redact_inserts(text: str) -> str:
    """Return SQL without the values inserted into columns with hidden names."""
    parts, last = [], 0
    for insert in INSERT.finditer(text):
        if insert.start() < last:
            continue
        columns = [name.strip(" \"'`[]") for name in insert.group(1).split(",")]
        parts.append(text[last : insert.end()])
        last = insert.end()
        # The depth of brackets at which the values are: 0 in SELECT 'a', 'b' UNION ALL SELECT …
        base = 1 if insert.group("is_select") is None else 0
        number, depth = 0, 0
        for token in TOKEN.finditer(text, insert.end()):
            kind, value = token.lastgroup, token.group()
            depth += (kind == "open") - (kind == "close")
            if depth < base and kind not in ("close", "space", "end"):
                break
            if kind == "end" and depth == base:
                number += 1
            is_first = kind == "open" and depth == 1 if base else value.upper() == "SELECT"
            if is_first:
                number = 0
            is_value = depth >= base and kind in ("string", "word") and number < len(columns)
            is_keyword = base == 0 and value.isalpha()
            hides = is_value and not is_keyword and is_hidden((columns[number],))
            parts.append(REDACTED if hides else value)
            last = token.end()
    return "".join(parts) + text[last:]


def hide_named(found: re.Match[str]) -> str:
    """Return a value's replacement: itself if it has names of which none is hidden."""
    names = found.groupdict().get("names")
    if names and not any(is_hidden((name,)) for name in names.split(",")):
        return found.group()
    return f"{found.group(1)}{REDACTED}{found.group('after')}"


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
        # The kind of the token that the hidden value begins with.
        self.first = ""

    def run(self) -> str:
        """Return the text without what must be hidden."""
        for token in TOKEN.finditer(self.text):
            kind, value = token.lastgroup or "", token.group()
            if self.hidden is None or self.is_over(kind, token.end()):
                self.read(kind, value, token.end())
                self.parts.append(self.redact_inner(value) if kind == "string" else value)
                if kind == "pair" and self.is_next_hidden():
                    self.parts.append(REDACTED)
                    self.hidden, self.first = 0, ""
        return "".join(self.parts)

    def is_over(self, kind: str, end: int) -> bool:
        """Return whether a hidden value ends before a token: no sooner than it has begun."""
        if self.hidden == 0:
            is_new = self.first and kind == "word" and NEW_PAIR.match(self.text, end)
            if kind in ("close", "end") or is_new:
                self.hidden = None
                return True
        self.first = self.first or kind.replace("space", "")
        self.hidden = (self.hidden or 0) + (kind == "open") - (kind == "close")
        if kind == "close" and self.hidden == 0 and self.first == "open":
            self.hidden = None
        return False

    def read(self, kind: str, value: str, end: int) -> None:
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
            if value == "]" and inner:
                self.name = f"{self.name}.{inner}"
            else:
                self.name = inner if COMPARED.match(self.text, end) else ""
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
