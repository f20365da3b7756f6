"""A fingerprint is the same for two documents that say the same, and only for them."""

import json

import pytest
from hypothesis import given

from django_payment_webhooks.providers.fingerprints import find_fingerprint
from django_payment_webhooks.providers.payloads import load_json

from .documents import DEEP_VALUES, OBJECTS, VALUES


def fingerprint(text):
    """Return the fingerprint of a document that is given as JSON."""
    return find_fingerprint(load_json(text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        '{"b": {"d": 10.10, "c": [1, 2]}, "a": "\\u00e9"}',
        '{\n\t"a" : "\u00e9",\r\n "b":{"c":[1,2],"d":10.10} } ',
        '{"a": "x", "b": {"c": [1, 2], "d": 10.10}, "a": "\u00e9"}',
        '{"a": "\u00e9", "b": {"c": [1.0, 2e0], "d": 10.1}}',
        '{"a": "\u00e9", "b": {"c": [1, 20E-1], "d": 1.01e1}}',
    ],
    ids=["as it was", "white space and order", "the last key wins", "zeros", "exponents"],
)
def test_the_spelling_does_not_matter(text):
    assert fingerprint(text) == fingerprint('{"a": "\u00e9", "b": {"c": [1, 2], "d": 10.10}}')


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1", "1.0"),
        ("1.0", "1.00"),
        ("1000", "1e3"),
        ("0", "-0"),
        ("0", "0.0"),
        ("0", "-0.00"),
        ("0", "0e300"),
        ("0.5", "5e-1"),
        ("-0.50", "-0.5"),
        ("1e308", "1" + "0" * 308),
        ("0." + "3" * 60, "0." + "3" * 60 + "0"),
    ],
)
def test_equal_numbers_are_the_same_however_they_are_written(first, second):
    assert fingerprint('{"a": %s}' % first) == fingerprint('{"a": %s}' % second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1", "2"),
        ("1", '"1"'),
        ("1.0", '"1.0"'),
        ("10.10", '"10.10"'),
        ("1.5", '[null, "1.5"]'),
        ("1", "true"),
        ("0", "false"),
        ("null", "0"),
        ("null", '""'),
        ("[]", "{}"),
        ("[1, 2]", "[2, 1]"),
        ("0.5", "-0.5"),
        ("0." + "3" * 60, "0." + "3" * 59),
        ("1e-308", "0"),
        ('"\\u0000"', '""'),
        ('"\\ud800"', '"\\udbff"'),
        ('"A"', '"a"'),
        ('"\\u00e9"', '"e\\u0301"'),
    ],
)
def test_what_says_something_else_has_another(first, second):
    assert fingerprint('{"a": %s}' % first) != fingerprint('{"a": %s}' % second)
    assert fingerprint('{"a": %s}' % first) != fingerprint("{}")


def test_it_is_as_long_as_its_column():
    assert len(fingerprint("{}")) == 32


@given(OBJECTS)
def test_the_order_of_the_keys_does_not_matter(document):
    assert find_fingerprint(document) == find_fingerprint(dict(reversed(list(document.items()))))


@given(VALUES | DEEP_VALUES, VALUES | DEEP_VALUES)
def test_two_documents_share_it_if_and_only_if_they_are_equal(first, second):
    assert find_fingerprint([first, 1]) != find_fingerprint([first, 2])
    assert (find_fingerprint(first) == find_fingerprint(second)) == (mark(first) == mark(second))


def mark(value):
    """Return a value whose booleans are no numbers, as they are to Python."""
    if isinstance(value, dict):
        return {name: mark(each) for name, each in value.items()}
    if isinstance(value, list):
        return [mark(each) for each in value]
    return (str(value),) if isinstance(value, bool) else value


def test_what_a_class_of_its_own_decodes_has_one_too():
    class Thing:
        def __str__(self):
            return "thing"

    assert find_fingerprint({"a": Thing()}) == find_fingerprint(json.loads('{"a": "thing"}'))
