"""Guesses what a body was before something rewrote it on its way."""

from __future__ import annotations

import base64
import itertools
import json
import re
from contextlib import suppress
from typing import Any, Callable, Iterator, Mapping, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from .variations import Change, Variation

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
REWRITTEN = (
    "Something between the provider and the app rewrites the body: it must pass on the raw bytes."
)
SAVED = "Take the body as it was sent; an editor or a shell may have changed its end."
UNSIGNED = "The provider signs no body: look at CONTENT, or at what reads the body first."


class Rewritten(NamedTuple):
    """A body that may have been sent, how it differs from the one received, and the remedy."""

    text: str
    advice: str
    body: bytes


def vary_body(body: bytes) -> Iterator[Variation]:
    """Yield each body that may have been sent, the likeliest first."""
    known = {body}
    for rewritten in itertools.chain(vary_edges(body), undo_encodings(body), rewrite_json(body)):
        if rewritten.body not in known:
            known.add(rewritten.body)
            change = Change(rewritten.text, rewritten.advice)
            yield Variation(change, {"body": rewritten.body})


def vary_edges(body: bytes) -> Iterator[Rewritten]:
    """Yield bodies with a different beginning, end, or line breaks."""
    without_break = re.sub(rb"\r?\n\Z", b"", body)
    with_lf = body.replace(b"\r\n", b"\n")
    with_crlf = re.sub(rb"\r?\n", b"\r\n", body)
    unmarked = body[len(BYTE_ORDER_MARK) :] if body.startswith(BYTE_ORDER_MARK) else body
    yield Rewritten("the line break at the body's end is left out", SAVED, without_break)
    yield Rewritten("the body gets a line break at its end", SAVED, body + b"\n")
    yield Rewritten("the white space around the body is left out", SAVED, body.strip())
    yield Rewritten("the body's line breaks are LF, not CRLF", REWRITTEN, with_lf)
    yield Rewritten("the body's line breaks are CRLF, not LF", REWRITTEN, with_crlf)
    yield Rewritten("the byte order mark is left out", REWRITTEN, unmarked)
    yield Rewritten("the body gets a byte order mark", REWRITTEN, BYTE_ORDER_MARK + body)
    yield Rewritten("the body is empty", UNSIGNED, b"")


def undo_encodings(body: bytes) -> Iterator[Rewritten]:
    """Yield the body as it was before it was encoded once more on its way."""
    form = body.replace(b"+", b" ")
    yield decoded("decoded from percent signs", unquote_to_bytes(body))
    yield decoded("decoded as a form", unquote_to_bytes(form))
    for name, value in parse_qsl(body.decode("utf-8", "replace")):
        yield decoded(f"the field {name[:40]!a} of a form", value.encode())
    decoders: Mapping[str, Callable[[], bytes]] = {
        "decoded from base64": lambda: base64.b64decode(body, validate=True),
        "decoded from a JSON string": lambda: read_json_string(body),
        "decoded from UTF-8 to Latin-1": lambda: body.decode().encode("latin-1"),
        "decoded from Latin-1 to UTF-8": lambda: body.decode("latin-1").encode(),
        "decoded from UTF-16 to UTF-8": lambda: body.decode("utf-16").encode(),
    }
    for how, decode in decoders.items():
        with suppress(RecursionError, ValueError):
            yield decoded(how, decode())


def decoded(how: str, body: bytes) -> Rewritten:
    """Return a body decoded from an extra encoding."""
    return Rewritten(f"the body is {how}", REWRITTEN, body)


def read_json_string(body: bytes) -> bytes:
    """Return the content of a JSON string. Raises ``ValueError`` for anything else."""
    text = json.loads(body.decode())
    if not isinstance(text, str):
        raise ValueError("is not a string")
    return text.encode()


# ---- JSON that was parsed and rewritten

# The ways in which programs write JSON: separators and indentation.
STYLES: Mapping[str, dict[str, Any]] = {
    "compactly": {"separators": (",", ":")},
    "with spaces": {},
    "over many lines, with two spaces": {"indent": 2},
    "over many lines, with four spaces": {"indent": 4},
    "over many lines, with tabs": {"indent": "\t"},
}
ORDERS = {"": False, ", sorted by name": True}
ESCAPES = {"": False, ", with \\u escapes": True}
WHOLE_NUMBER = re.compile(r"(?<=[0-9])\.0+(?=[\s,\]}])")


def rewrite_json(body: bytes) -> Iterator[Rewritten]:
    """Yield the same JSON as other programs write it."""
    with suppress(RecursionError, TypeError, ValueError):
        document = json.loads(body.decode("utf-8-sig"))
        for style, order, escape in itertools.product(STYLES, ORDERS, ESCAPES):
            text = json.dumps(
                document, sort_keys=ORDERS[order], ensure_ascii=ESCAPES[escape], **STYLES[style]
            )
            how = f"the body is JSON that is written {style}{order}{escape}"
            for detail, changed in vary_details(text):
                yield Rewritten(how + detail, REWRITTEN, changed.encode("utf-8", "surrogatepass"))


def vary_details(text: str) -> Iterator[tuple[str, str]]:
    """Yield a JSON text with each of the details in which programs differ."""
    yield "", text
    yield ", with \\/ for /", text.replace("/", "\\/")
    yield ", with whole numbers without .0", WHOLE_NUMBER.sub("", text)
