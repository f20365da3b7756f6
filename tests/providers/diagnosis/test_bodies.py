"""A body that was rewritten on its way is recognized, however it was written."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from django_payment_webhooks.providers.diagnosis.bodies import vary_body

from ...factories import sign
from .refused import BODY, OLD, write

REWRITTEN = {
    "with a line break": (BODY + b"\n", "the line break at the body's end is left out"),
    "without its line break": (BODY, "the body gets a line break at its end"),
    "spaced": (write(ensure_ascii=False), "the body is JSON that is written compactly"),
    "over many lines": (write(indent=2), "the body is JSON that is written compactly"),
    "byte order mark": (b"\xef\xbb\xbf" + BODY, "the byte order mark is left out"),
    "white space": (b"\n " + BODY + b" \n", "the white space around the body is left out"),
    "percent signs": (quote(BODY).encode(), "the body is decoded from percent signs"),
    "form": (
        b"id=1&payload=" + quote_plus(BODY).encode(),
        "the body is the field 'payload' of a form",
    ),
    "base64": (base64.b64encode(BODY), "the body is decoded from base64"),
    "JSON string": (json.dumps(BODY.decode()).encode(), "the body is decoded from a JSON string"),
    "UTF-8 twice": (BODY.decode("latin-1").encode(), "the body is decoded from UTF-8 to Latin-1"),
    "Latin-1": (BODY.decode().encode("latin-1"), "the body is decoded from Latin-1 to UTF-8"),
    "UTF-16": (BODY.decode().encode("utf-16"), "the body is decoded from UTF-16 to UTF-8"),
    "nothing": (b"", None),
}
SENT = {
    "without its line break": BODY + b"\n",
    "escaped": write(separators=(",", ":")),
    "PHP": write(separators=(",", ":")).replace(b"/", b"\\/"),
    "lines": write(indent=4, ensure_ascii=False),
    "tabs": write(indent="\t"),
    "CRLF": write(indent=2).replace(b"\n", b"\r\n"),
    "empty": b"",
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_a_body_that_was_rewritten_on_its_way_is_recognized(failing, changes, provider, name):
    body, change = REWRITTEN[name]
    headers = {"X-Signature": sign(SENT.get(name, BODY), OLD)}
    assert failing(body, headers)[0] == "match"
    assert changes(body, headers) == ([change, "key 2 signs"] if change else None)


@pytest.mark.parametrize(
    ("name", "body", "change"),
    [
        ("escaped", BODY, "written compactly, with \\u escapes"),
        ("PHP", BODY, "written compactly, with \\u escapes, with \\/ for /"),
        ("lines", BODY, "written over many lines, with four spaces"),
        ("tabs", BODY, "written over many lines, with tabs, with \\u escapes"),
        ("CRLF", write(indent=2), "the body's line breaks are CRLF, not LF"),
        ("empty", BODY, "the body is empty"),
    ],
)
def test_what_was_sent_can_be_written_in_many_ways(changes, provider, name, body, change):
    found = changes(body, {"X-Signature": sign(SENT[name])})
    assert found[0].endswith(change)
    assert found[1:] == ["key 1 signs"]


def test_numbers_that_were_whole_are_recognized(changes, provider):
    headers = {"X-Signature": sign(b'{"a":10,"b":[2]}')}
    assert changes(b'{"a": 10.0, "b": [2.0]}', headers) == [
        "the body is JSON that is written compactly, with whole numbers without .0",
        "key 1 signs",
    ]


@pytest.mark.parametrize("body", [value[0] for value in REWRITTEN.values()])
def test_no_body_is_tried_twice_and_each_has_advice(body):
    variations = list(vary_body(body))
    bodies = [variation.replaced["body"] for variation in variations]
    assert len(set(bodies)) == len(bodies)
    assert body not in bodies
    assert all(variation.change.advice for variation in variations)


@pytest.mark.parametrize(
    "body", [b"[" * 100000, b"\xff" * 100, b"%", b"&&==", b"\x00", b'{"a": 1e999, "b": NaN}']
)
def test_no_body_makes_it_fail(changes, provider, body):
    assert changes(body, {"X-Signature": "0" * 64}) is None
