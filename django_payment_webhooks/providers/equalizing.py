"""Finds the fixed part of an error's text, which is the same for every event.

Quoted texts, addresses, numbers, ids, dates, values after a name, and names of people are left out.
What identifies the error is kept: the code of an answer, a database or the system, and the names of
columns, tables and constraints. Words in the code that raised the error are fixed in any language.
"""

from __future__ import annotations

import builtins
import re
import socket
import ssl
import traceback
from http import HTTPStatus
from typing import Collection

PLACEHOLDER = "…"
# Errors of the system and of databases, whose first argument is a code.
SYSTEM = {
    name
    for module in (builtins, socket, ssl)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, OSError)
}
CODED = SYSTEM | {
    *("DataError", "DatabaseError", "IntegrityError", "InterfaceError", "InternalError"),
    *("NotSupportedError", "OperationalError", "ProgrammingError"),
}
# What these quote is a key; and these have texts in lists.
KEY_ERRORS = {"KeyError", "MultiValueDictKeyError"}
VALIDATION_ERRORS = {"ValidationError"}
MIN_SENTENCE = 3
# The most functions, from the innermost, whose words are read.
MAX_FRAMES = 20
# Capitalized words that are not names of people: "404 Client Error: Not Found".
TECHNICAL = {word for status in HTTPStatus for word in status.phrase.split()}
# Words of phrases that Python has renamed, and words around them.
TECHNICAL |= {"Client", "Content", "Entity", "Payload", "Requested", "Server"}


# ---- what is wrapped: KeyError('warehouse_id')

WRAPPED = re.compile(r"(?P<name>[^\W\d]\w*)\((?P<arguments>(?:['\"\[({\w-][\s\S]*?)?),?\)?")
# A text that was cut off has no closing quote.
STRING = r"[bu]?(?P<quote>['\"])(?P<text>(?:\\[\s\S]|(?!(?P=quote))[^\\])*)(?:(?P=quote)|\\?\Z)"
LITERAL = re.compile(STRING)
# With its name, or what is a document, to its end.
ARGUMENT = re.compile(
    rf"(?:\b(?:detail|message|msg|reason|string)=)?{STRING}|(?P<document>[\[{{(][\s\S]*)"
)
ESCAPED = re.compile(r"\\([ntr\\'\"])")
UNESCAPED = {"n": "\n", "r": "\n", "t": " "}
FIRST_CODE = re.compile(r"(?P<code>-?\d+), (?P<rest>[\s\S]*)")

# ---- what is kept, as it identifies the error

# A code of the system, a database or another system's answer.
CODE = (
    r"\b(?:errno|winerror|sqlstate)\W{0,2}-?\w+"
    r"|\b[1-5]\d\d\s(?=(?:client|server)\serror)|(?<=error )'[1-5]\d\d\s[a-z -]+'"
    r"|\b(?:status|http(?:/[\d.]+)?|response)(?:[ _]?(?:status|code))*['\"]?\s*[:=]?\s*[1-5]\d\d\b"
    r"|['\"](?:error|decline|failure)?[ _]?(?:code|reason|error)['\"]\s*:\s*['\"][^\W\d][^\W\d.-]*"
    r"(?:[.-][^\W\d.-]+)*['\"]"
)
# The name of a part of a database or a program.
PART = (
    r"\b(?:argument|column|constraint|field|for key|function|index|module|parameter|relation|table)"
    r"\s+[\"'`»«„“][^\W\d][\w.]*[\"'`»«”“]|`[^\W\d]\w*`"
)

# ---- what is not kept, each before what would match a part of it

QUOTED = (
    r"(?<!\w)'(?:[^']|(?<=\w)'(?=\w))*'(?!\w)|\"[^\"]*\"|`[^`]*`|“[^”]*”|„[^“”]*[“”]|‘[^’]*’"
    r"|«[^»]*»|»[^«]*«|‹[^›]*›|「[^」]*」|『[^』]*』"
)
PLACE = (
    r"\b[a-z][a-z+.-]*://[^\s'\"<>)\]]+|[^\s@<>(),:;]+@[^\s@<>(),:;]+"
    r"|(?<![\w.<])/[^\s/'\"<>():,;]+(?:/[^\s/'\"<>():,;]+)*/?|\b[A-Za-z]:\\[^\s'\"]+"
)
# A value after its name: Key (email)=(…), Failing row contains (…), order=…, "paid": true.
NAMED = (
    r"(?<=\)=\()[^)]*|(?<=contains \()[^)]*|(?<=[^\W\d]=)[^\s,;&)\]}>'\"]+"
    r"|(?<=[:=])\s?(?:None|null|true|false|True|False)\b"
)
CURRENCY = r"[$€£¥₽₹₩₺₴฿₫₪₦]"
NUMBER = (
    rf"{CURRENCY}?(?:\b[A-Z]{{3}}\s)?[\w.+-]*\d[\w.+-]*(?:\s?(?:{CURRENCY}|(?!NOT)[A-Z]{{3}}\b))?"
    r"|\b[0-9a-fA-F]{8,}\b"
)
WORD = r"[^\W\d_]+(?:['’-][^\W\d_]+)*"
PIECE = re.compile(
    rf"(?P<kept>(?i:{CODE}|{PART}))|(?P<quoted>{QUOTED})|{PLACE}|{NAMED}|{NUMBER}|(?P<word>{WORD})"
)
# A name in code, quoted by a KeyError or an AttributeError: price, line1.
NAME = re.compile(r"[^\W\d]+\d?")
# Before the text of another error.
INNER = re.compile(r"\w+(?:Error|Exception|Failure|Timeout)\(\Z")
# What precedes a word that is capitalized because it begins a sentence: not "Mr.".
START = re.compile(r"(?:\A|(?<!\b[DFHM]r)(?<!\bM(?:r|m)[es])\.|[:;!?(\[\]{<>|—–\n])\s*\Z")
WORDS = re.compile(WORD)
# What follows a value that stands alone: "not found: Ann".
ALONE = re.compile(r"[,;.)<]|\s*\Z")
NEXT_WORD = re.compile(rf"\s+({WORD})")
# What stands between several values in a document, a sum or a name.
BETWEEN = (
    r"[\s,;:/{}\[\]()=|&.+-]*(?:\b(?:van|von|der|den|de|da|di|del|la|dos|bin|al|und|and|y)\s)*"
)
SEVERAL = re.compile(
    rf"[\[{{(]*{PLACEHOLDER}(?:{BETWEEN}{PLACEHOLDER})+[\]}}]*|\[{PLACEHOLDER}\]|{PLACEHOLDER}\."
)


def equalize(text: str, keeps_names: bool = False, fixed: Collection[str] = frozenset()) -> str:
    """Return the fixed part of an error's text, or of its ``repr``.

    ``keeps_names`` is whether it quotes names in code, as a bug's text does. ``fixed`` are the
    words in the code that raised it: see :func:`find_words`.
    """
    wrapped = WRAPPED.fullmatch(text.strip())
    code = ""
    if wrapped:
        code, text = unwrap(wrapped.group("name"), wrapped.group("arguments"))
    equal = SEVERAL.sub(PLACEHOLDER, Equalizer(text, keeps_names, fixed).run())
    return " ".join(f"{code} {equal}".split())


def unwrap(name: str, arguments: str) -> tuple[str, str]:
    """Return the code and the text of an error, from its name and the arguments of its ``repr``.

    The code is kept as it is: a number, or the name in code of a ``KeyError``.
    """
    literal = LITERAL.fullmatch(arguments)
    if name in KEY_ERRORS:
        return unwrap_key(read(literal) if literal else "")
    coded = FIRST_CODE.fullmatch(arguments) if name in CODED else None
    if coded:
        return coded.group("code"), ARGUMENT.sub(read, coded.group("rest"))
    pattern = LITERAL if name in VALIDATION_ERRORS else ARGUMENT
    return "", pattern.sub(read, arguments)


def unwrap_key(key: str) -> tuple[str, str]:
    """Return a missing key, which is a name in code, a sentence, or different each time."""
    if NAME.fullmatch(key):
        return key, ""
    return "", key if len(key.split()) >= MIN_SENTENCE else PLACEHOLDER


def read(literal: re.Match[str]) -> str:
    """Return the value of a literal; a document as it is."""
    if literal.group("quote") is None:
        return literal.group()
    return ESCAPED.sub(
        lambda found: UNESCAPED.get(found.group(1), found.group(1)), literal.group("text")
    )


class Equalizer:
    """Goes through a text once, and leaves out what differs from event to event."""

    def __init__(self, text: str, keeps_names: bool, fixed: Collection[str]) -> None:
        self.text, self.keeps_names, self.fixed = text, keeps_names, fixed
        #: The fixed parts of a text without capital letters, which may not be divided into words.
        self.known = [word for word in fixed if is_caseless(word) and word in text]

    def run(self) -> str:
        """Return the fixed part of the text."""
        return PIECE.sub(self.replace, self.text)

    def replace(self, found: re.Match[str]) -> str:
        """Return the replacement for a piece."""
        piece = found.group()
        if found.group("kept"):
            return piece
        if found.group("quoted"):
            return self.replace_quoted(found)
        if found.group("word"):
            return self.replace_word(found)
        return PLACEHOLDER

    def replace_quoted(self, found: re.Match[str]) -> str:
        """Return the replacement for a quoted text: of another error's text, the fixed part."""
        piece = found.group()
        if INNER.search(self.text, 0, found.start()):
            return Equalizer(piece[1:-1], self.keeps_names, self.fixed).run()
        return piece if self.keeps_names and NAME.fullmatch(piece[1:-1]) else PLACEHOLDER

    def replace_word(self, found: re.Match[str]) -> str:
        """Return the replacement for a word, which is a person's name or fixed."""
        word = found.group()
        if word in self.fixed:
            return word
        if self.known and is_caseless(word):
            parts = [part for part in self.known if part in word]
            return max(parts, key=len) + PLACEHOLDER if parts else PLACEHOLDER
        return PLACEHOLDER if self.is_name(found) else word

    def is_name(self, found: re.Match[str]) -> bool:
        """Return whether a word is part of a name: it is capitalized for no other reason."""
        if not is_capitalized(found.group()):
            return False
        if not START.search(self.text, 0, found.start()):
            return True
        if ALONE.match(self.text, found.end()):
            return self.text[: found.start()].endswith((": ", ">"))
        following = NEXT_WORD.match(self.text, found.end())
        return following is not None and is_capitalized(following.group(1))


def is_capitalized(word: str) -> bool:
    """Return whether a word is written as a name is."""
    return len(word) > 1 and word.istitle() and word not in TECHNICAL


def is_caseless(word: str) -> bool:
    """Return whether a word's script has no capital letters."""
    return word.upper() == word.lower()


def find_words(error: Exception) -> set[str]:
    """Return the words in the code that raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    texts = [text for frame in frames[-MAX_FRAMES:] for text in frame.f_code.co_consts]
    return {word for text in texts if isinstance(text, str) for word in WORDS.findall(text)}
