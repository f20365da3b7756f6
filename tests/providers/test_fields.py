"""A reference says where a fact is, in whatever way a provider has it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.fields import compile_field, list_outside, read_outside

from .documents import OBJECTS

EVENT = {
    "id": "e1",
    "n": 7,
    "yes": True,
    "rate": Decimal("1.50"),
    "empty": "",
    "null": None,
    "a.b": {"c.d": 1},
    "object": {"id": "o1", "list": [{"id": "first"}]},
    "links": [{"rel": "self", "href": "/x/1"}, {"rel": "up", "href": "/captures/C1"}],
    "header:X-Id": "h1",
}


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("id", "e1"),
        ("object.id", "o1"),
        (".id", "o1"),
        ("object.list.0.id", "first"),
        ("a.b.c.d", 1),
        ("a.b.c", None),
        ("links[rel=up].href", "/captures/C1"),
        ("links[rel=down].href", None),
        ("object[rel=up]", None),
        ("links[rel=up].href ~ ([^/]+)$", "C1"),
        ("id ~ ([0-9]{5})", None),
        ("missing ~ (.+)", None),
        ("header:X-Id", "h1"),
        ("=RUB", "RUB"),
        ("=", ""),
        ("{id}:{object.id}", "e1:o1"),
        ("{id}:{.id}:{n}:{yes}:{rate}", "e1:o1:7:true:1.50"),
        ("{id}:{missing}", None),
        ("{id}:{empty}", None),
        ("{id}:{missing?}", "e1:"),
        ("{id}:{object}", None),
        (("missing", "null", "empty", "id"), "e1"),
        (("missing", "{id}:{n}"), "e1:7"),
        ((), None),
        ({"refund.*": "n", "*": "id"}, "n"),
        ({"charge.*": "n"}, None),
        ({"charge.*|refund.created": "id"}, "e1"),
        ({"REFUND": "id"}, "e1"),
        ({"refund.*": ("missing", "=x")}, "x"),
    ],
    ids=str,
)
def test_a_reference_finds_what_it_says(reference, value):
    field = compile_field(reference, "object")
    value = EVENT["n"] if value == "n" else value
    assert field.read(EVENT, ("refund.created", "REFUND")) == value


@pytest.mark.parametrize("reference", [None, 1, b"id", ("id", 1), {"*": None}])
def test_what_is_no_reference_is_an_error(reference):
    with pytest.raises(ValueError, match="names no field"):
        compile_field(reference)


@pytest.mark.parametrize("pattern", ["(", "x", "(a)(b)"])
def test_a_pattern_needs_one_group(pattern):
    with pytest.raises(ValueError, match="regular expression|groups"):
        compile_field(f"id ~ {pattern}")


def test_what_is_outside_of_the_body_is_listed_once():
    references = ["header:X-Id", "{query:kind}:{id}", ("id", "header:X-Id"), {"*": "delivery:"}]
    fields = [compile_field(reference) for reference in references]
    assert list_outside(fields) == ["delivery:", "header:X-Id", "query:kind"]


def test_what_is_outside_of_the_body_is_read_from_the_request():
    meta = {"HTTP_X_ID": "h1", "QUERY_STRING": "kind=pay&data.id=7&twice=1&twice=2"}
    assert read_outside("header:x-id", meta) == "h1"
    assert read_outside("query:kind", meta) == "pay"
    assert read_outside("query:data.id", meta) == "7"
    # Another reader could take the other one.
    assert read_outside("query:twice", meta) == ""
    assert read_outside("query:missing", meta) == read_outside("header:Missing", meta) == ""
    assert read_outside("delivery:", meta) != read_outside("delivery:", meta)


def make(**options):
    """Return a provider with these options."""
    return Provider("made", **options)


def test_headers_and_the_query_are_still_known_to_the_worker():
    provider = make(
        FIELDS={"type": "header:X-Topic", "kind": "query:kind", "order_id": "{query:shop}-{n}"}
    )
    body = b'{"event_id": "e1", "n": 5}'
    meta = {"HTTP_X_TOPIC": "orders/paid", "QUERY_STRING": "kind=pay&shop=s1"}
    (event,) = provider.parse(meta, body)
    assert (event.type, event.order_id) == ("orders/paid", "s1-5")
    assert event.body.endswith(b"\n" + body)
    payload = provider.payload(event.body)
    assert provider.read(payload)["kind"] == "pay"
    assert provider.read_columns(payload)["order_id"] == "s1-5"
    # A body that is received again has its headers with it.
    (again,) = provider.parse({}, event.body)
    assert (again.type, again.body, again.dedup_key) == (event.type, event.body, event.dedup_key)


def test_what_stands_beside_the_body_can_not_be_sent():
    provider = make(FIELDS={"type": "header:X-Topic"})
    body = b'beside the body: {"header:X-Topic": "forged"}\n{"event_id": "e1"}'
    (event,) = provider.parse({"HTTP_X_TOPIC": "real"}, body)
    assert (event.type, event.status) == ("", "failed")
    (event,) = provider.parse(
        {"HTTP_X_TOPIC": "real"}, b'{"event_id": "e1", "header:X-Topic": "forged"}'
    )
    assert event.type == "real"


@given(OBJECTS, st.text())
def test_no_document_and_no_reference_raises_anything_but_a_value_error(document, reference):
    try:
        field = compile_field(reference)
    except ValueError:
        return
    field.read(document)


# ---- whose events they are


def parse(**options):
    """Return an event of a provider with these options."""
    body = b'{"event_id": "e1", "type": "t", "data": {"order_id": "1001", "charge_id": "ch_1"}}'
    (event,) = make(**options).parse({}, body)
    return event


def test_two_endpoints_of_one_account_share_ids_and_effects():
    first, second = Provider("stripe", ACCOUNT="acme"), Provider("stripe-2025", ACCOUNT="acme")
    body = b'{"event_id": "e1", "type": "t", "data": {"charge_id": "ch_1"}}'
    (one,), (two,) = first.parse({}, body), second.parse({}, body)
    assert (one.dedup_key, one.payment_key) == (two.dedup_key, two.payment_key)
    assert (one.provider, two.provider) == ("stripe", "stripe-2025")
    assert parse().dedup_key != parse(ACCOUNT="acme").dedup_key
    assert parse().payment_key != parse(ACCOUNT="acme").payment_key


def test_two_shops_can_have_the_same_order_numbers():
    keys = {parse(SHOP=shop).order_key for shop in ("", "a", "b")}
    assert len(keys) == 3
    assert parse(SHOP="a").order_key == parse(SHOP="a", ACCOUNT="acme").order_key
