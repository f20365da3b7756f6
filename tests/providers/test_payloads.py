"""What a signed body says: JSON is read strictly and within bounds, and so are the values in it."""

import json
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_payment_webhooks.providers.payloads import (
    dump_json,
    find,
    load_json,
    place,
    read_text,
    replace_unstorable,
)

from .documents import DEEP_VALUES, OBJECTS


def nested(levels):
    """Return a JSON object of this many levels, itself included."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


# ---- load_json


def test_numbers_are_int_or_decimal_and_never_float():
    document = load_json(b'{"int": 12, "negative": -3, "fraction": 10.10, "exponent": 1e3}')
    assert document == {
        "int": 12,
        "negative": -3,
        "fraction": Decimal("10.10"),
        "exponent": Decimal("1E+3"),
    }
    assert [type(value) for value in document.values()] == [int, int, Decimal, Decimal]
    assert str(document["fraction"]) == "10.10"


def test_the_last_of_equal_keys_wins():
    assert load_json(b'{"a": 1, "a": 2}') == {"a": 2}


def test_unicode_and_control_characters_are_read_as_sent():
    body = '{"a": "\u00e9\U0001f600", "b": "\\u0000", "c": "\\ud800"}'.encode()
    assert load_json(body) == {"a": "\u00e9\U0001f600", "b": "\0", "c": "\ud800"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"not json",
        b"event_id=1&type=x",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 01}',
        b'{"a": "\n"}',
    ],
)
def test_what_is_not_json_is_refused(body):
    with pytest.raises(ValueError, match="line 1 column"):
        load_json(body)


@pytest.mark.parametrize(
    "body", [b"null", b"true", b"1", b"1.5", b'"text"', b"[]", b'[{"event_id": "evt_1"}]']
)
def test_json_that_is_not_an_object_is_refused(body):
    with pytest.raises(ValueError, match="it is not a JSON object"):
        load_json(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe{}",
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-32"),
        '{"a": "\u00e9"}'.encode("latin-1"),
        b'{"a": "\xed\xa0\x80"}',
    ],
    ids=[
        "two odd bytes",
        "BOM",
        "UTF-16",
        "UTF-16 without BOM",
        "UTF-32",
        "Latin-1",
        "UTF-8 of a surrogate",
    ],
)
def test_what_is_not_plain_utf_8_is_refused(body):
    with pytest.raises(ValueError):
        load_json(body)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_words_that_only_python_takes_for_numbers_are_refused_by_name(word):
    with pytest.raises(ValueError, match="^%s is not a number in JSON$" % word):
        load_json(('{"a": %s}' % word).encode())


@pytest.mark.parametrize("word", ["-NaN", "nan", "+Infinity", "inf", "None", "True"])
def test_words_that_are_no_numbers_at_all_are_no_json(word):
    with pytest.raises(ValueError, match="line 1 column"):
        load_json(('{"a": %s}' % word).encode())


def test_31_levels_are_read():
    assert load_json(nested(31))["a"]


@pytest.mark.parametrize("levels", [32, 33, 500, 1000, 100000])
def test_32_levels_or_more_are_refused(levels):
    with pytest.raises(ValueError, match="more than 31 levels"):
        load_json(nested(levels))


def test_100_000_levels_of_objects_are_refused():
    with pytest.raises(ValueError, match="more than 31 levels"):
        load_json(b'{"a":' * 100000 + b"1" + b"}" * 100000)


def test_the_refusal_of_too_many_levels_names_the_setting():
    with pytest.raises(ValueError) as raised:
        load_json(nested(32))
    assert str(raised.value) == "it has more than 31 levels (PAYMENT_WEBHOOKS_MAX_JSON_DEPTH)"


@pytest.mark.parametrize("limit", [2, 3, 30, 32, 100])
def test_the_number_of_levels_is_a_setting(settings, limit):
    settings.PAYMENT_WEBHOOKS_MAX_JSON_DEPTH = limit
    assert load_json(nested(limit))
    with pytest.raises(ValueError, match="more than %d levels" % limit):
        load_json(nested(limit + 1))


@pytest.mark.parametrize("levels", [10000, 100000, 500000])
def test_more_levels_than_python_can_read_are_refused_whatever_the_setting_allows(settings, levels):
    settings.PAYMENT_WEBHOOKS_MAX_JSON_DEPTH = 5000
    for body in (nested(levels), b'{"a":' * levels + b"1" + b"}" * levels, b'{"a":' * levels):
        with pytest.raises(ValueError) as raised:
            load_json(body)
        assert "more than 5000 levels (PAYMENT_WEBHOOKS_MAX_JSON_DEPTH)" in str(raised.value)


def test_as_many_levels_as_the_setting_allows_are_read_or_refused_cleanly(settings):
    settings.PAYMENT_WEBHOOKS_MAX_JSON_DEPTH = 5000
    outcome = ""
    try:
        outcome = list(load_json(nested(5000)))
    except ValueError as error:
        outcome = str(error)
    refusal = "it has more than 5000 levels (PAYMENT_WEBHOOKS_MAX_JSON_DEPTH), or more than Python"
    assert outcome in (["a"], refusal + " can read")


def test_50_000_values_are_read():
    # The object and the list are values, too.
    assert len(load_json(b'{"a":[' + b",".join([b"0"] * 49998) + b"]}")["a"]) == 49998


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":[' + b",".join([b"0"] * 49999) + b"]}",
        b"{" + b",".join(b'"%d":0' % number for number in range(50000)) + b"}",
        b'{"a":[' + b",".join([b"[]"] * 349000) + b"]}",
    ],
    ids=["one too many in a list", "one too many in an object", "a megabyte of empty lists"],
)
def test_more_than_50_000_values_are_refused(body):
    with pytest.raises(ValueError) as raised:
        load_json(body)
    text = "it has more than 50000 values (PAYMENT_WEBHOOKS_MAX_JSON_VALUES)"
    assert str(raised.value) == text


@pytest.mark.parametrize("limit", [1, 2, 99])
def test_the_number_of_values_is_a_setting(settings, limit):
    settings.PAYMENT_WEBHOOKS_MAX_JSON_VALUES = limit + 2
    assert len(load_json(b'{"a":[' + b",".join([b"0"] * limit) + b"]}")["a"]) == limit
    settings.PAYMENT_WEBHOOKS_MAX_JSON_VALUES = limit + 1
    with pytest.raises(ValueError, match="more than %d values" % (limit + 1)):
        load_json(b'{"a":[' + b",".join([b"0"] * limit) + b"]}")


@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_of_4300_digits_is_read(sign):
    body = b'{"a": ' + b"-" * (sign < 0) + b"9" * 4300 + b"}"
    assert load_json(body)["a"] == sign * (10**4300 - 1)


@pytest.mark.parametrize("sign", [b"", b"-"])
@pytest.mark.parametrize("digits", [4301, 1000000])
def test_an_integer_of_more_digits_is_refused(digits, sign):
    with pytest.raises(ValueError, match="^an integer has more than 4300 digits$"):
        load_json(b'{"a": ' + sign + b"9" * digits + b"}")


@pytest.mark.skipif(
    not hasattr(sys, "set_int_max_str_digits"), reason="This Python has no limit of its own."
)
@pytest.mark.parametrize("own_limit", [0, 1000000])
def test_the_limit_of_digits_does_not_depend_on_pythons_own(own_limit):
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(own_limit)
    try:
        with pytest.raises(ValueError, match="more than 4300 digits"):
            load_json(b'{"a": ' + b"9" * 4301 + b"}")
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("number", ["1e308", "1e-308", "9.99e308", "0.0", "-1.5e-7", "0e5"])
def test_a_number_within_the_range_of_a_float_is_read(number):
    assert load_json(('{"a": %s}' % number).encode())["a"] == Decimal(number)


@pytest.mark.parametrize(
    "number", ["1e309", "1e400", "-1e400", "1e-400", "1e1000000", "-1E-1000000", "0e1000000"]
)
def test_a_number_beyond_that_is_refused(number):
    with pytest.raises(ValueError, match="an exponent beyond 308"):
        load_json(('{"a": %s}' % number).encode())


@pytest.mark.parametrize(
    "number", ["1e99999999999999999999", "1e-99999999999999999999", "0E+99999999999999999999"]
)
def test_a_number_whose_exponent_decimal_itself_can_not_hold_is_refused(number):
    with pytest.raises(ValueError):
        load_json(('{"a": %s}' % number).encode())


@given(st.binary())
def test_any_bytes_are_an_object_or_refused(body):
    try:
        document = load_json(body)
    except ValueError:
        return
    assert isinstance(document, dict)


FLOATS = st.floats(-1e300, 1e300).filter(lambda number: not number or abs(number) > 1e-300)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | FLOATS,
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON))
def test_any_object_is_read_as_json_reads_it(document):
    body = json.dumps(document).encode()
    assert load_json(body) == json.loads(body.decode(), parse_float=Decimal)


@given(st.text(alphabet="0123456789.eE+-", max_size=40))
def test_any_spelling_of_a_number_is_read_within_bounds_or_refused(number):
    try:
        value = load_json(('{"a": %s}' % number).encode())["a"]
    except ValueError:
        return
    assert isinstance(value, (int, Decimal))
    assert abs(Decimal(value).adjusted()) <= 308


# ---- dump_json


def spell(value):
    """Return a value with every number as it is spelled, and of its kind."""
    if isinstance(value, dict):
        return {name: spell(each) for name, each in value.items()}
    if isinstance(value, list):
        return [spell(each) for each in value]
    return value if isinstance(value, str) else (type(value), str(value))


@given(OBJECTS, DEEP_VALUES)
def test_what_is_written_is_read_as_it_was_digit_for_digit(document, deep):
    document = {**document, "deep": deep}
    written = dump_json(document)
    assert spell(load_json(written)) == spell(document)
    assert list(load_json(written)) == list(document)
    assert dump_json(load_json(written)) == written


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"a":[],"b":{},"c":[{},[]]}',
        b'{"z":1,"a":[1,-2,true,false,null]}',
        b'{"a":10.10,"b":0.0,"c":1E+3,"d":-1E-300,"e":0E-9}',
        '{"\u00e9":"\u20ac\U0001f600"}'.encode(),
        b'{"a":"\\u0000\\ud800\\\\\\udfff","\\udbff":"\\"\\n"}',
        b'{"a":%s}' % (b"9" * 4300),
        b'{"a":0.%s}' % (b"3" * 5000),
    ],
)
def test_what_is_written_shortly_is_written_as_it_came(body):
    assert dump_json(load_json(body)) == body


def test_what_is_written_is_no_longer_than_what_came():
    body = ('{"a": "%s", "b": "%s"}' % ("\u00e9" * 1000, "\\u00e9" * 1000)).encode()
    assert len(dump_json(load_json(body))) <= len(body)


@pytest.mark.parametrize("levels", [31, 1000, 100000])
def test_no_document_is_too_deep_to_be_written(levels):
    document = {}
    for _ in range(levels // 2):
        document = {"a": [document]}
    assert dump_json(document) == b'{"a":[' * (levels // 2) + b"{}" + b"]}" * (levels // 2)
    while document:  # level by level: some Pythons can't free so many at once
        document = document["a"].pop()


def test_a_text_is_made_storable():
    assert replace_unstorable("a\0b\ud800c\udfff\u00e9") == "a\ufffdb\ufffdc\ufffd\u00e9"


# ---- find


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", {"a": {"b": [10, {"c": 11}], "0": "zero"}, "x.y": 1}),
        ("a.b.0", 10),
        ("a.b.1.c", 11),
        ("a.b.-1.c", 11),
        ("a.0", "zero"),
        ("a.b.2", None),
        ("a.b.c", None),
        ("a.b.0.c", None),
        ("a.0.0", None),
        ("x.y", 1),
        ("missing", None),
        ("a..b", None),
    ],
)
def test_find_follows_a_dotted_path_or_finds_none(path, found):
    assert find({"a": {"b": [10, {"c": 11}], "0": "zero"}, "x.y": 1}, path) == found


@pytest.mark.parametrize("document", [None, 1, "text", True, [], Decimal(1)])
def test_find_finds_none_in_what_is_no_object(document):
    assert find(document, "a.b") is None


@given(JSON, st.text())
def test_find_raises_for_no_document_and_no_path(document, path):
    find(document, path)


# ---- read_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("evt_1", "evt_1"),
        (17, "17"),
        (0, "0"),
        (-1, "-1"),
        ("x" * 255, "x" * 255),
        ("evt_x ", "evt_x "),
        ("\n.", "\n."),
    ],
)
def test_an_identifier_is_a_string_or_an_integer(value, text):
    assert read_text(value) == text


@pytest.mark.parametrize("value", [None, True, False, Decimal("1.0"), [], ["evt_1"], {}, {"id": 1}])
def test_anything_else_is_no_identifier(value):
    with pytest.raises(ValueError, match="neither a string nor an integer"):
        read_text(value)


@pytest.mark.parametrize("value", ["", " ", "\t\n", "\u3000", "x" * 256, "x" * 10000, 10**255])
def test_an_identifier_is_neither_blank_nor_over_255_characters(value):
    with pytest.raises(ValueError, match="is blank, or longer than 255 characters"):
        read_text(value)


@pytest.mark.parametrize("value", ["evt\0", "\0", "evt_\ud800", "\udfff"])
def test_an_identifier_has_neither_nul_nor_unpaired_surrogate(value):
    with pytest.raises(ValueError, match="a NUL or an unpaired surrogate"):
        read_text(value)


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        ({}, "links[rel=up].href", {"links": [{"rel": "up", "href": 1}]}),
        (
            {"links": [{"rel": "self"}, {"rel": "up"}]},
            "links[rel=up].href",
            {"links": [{"rel": "self"}, {"rel": "up", "href": 1}]},
        ),
    ],
)
def test_what_is_placed_in_an_item_of_a_list_is_found_there(document, path, expected):
    place(document, path, 1)
    assert document == expected
    assert find(document, path) == 1


@pytest.mark.parametrize("document", [{"links": {}}, {"links": "text"}, []])
def test_nothing_is_placed_in_an_item_of_what_is_no_list(document):
    with pytest.raises(ValueError, match="there is no list 'links'"):
        place(document, "links[rel=up].href", 1)
