"""What differs between two events is named, within bounds, whatever became of them."""

import json

import pytest
from hypothesis import given

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.comparison import (
    MAX_NAMED,
    MAX_SHOWN,
    describe_difference,
    find_difference,
    name_differences,
)
from django_payment_webhooks.providers.fingerprints import find_fingerprint
from django_payment_webhooks.providers.payloads import UNSTORABLE, load_json
from django_payment_webhooks.providers.pruned import ANYTHING, MARK, PrunedPayload, prune_body

from ..factories import EventFactory, PayloadFactory
from .documents import OBJECTS

UNREADABLE = f"{ANYTHING}:{ANYTHING}".encode()
PRUNED_TEXT = "It says something else; what it was is pruned."
# Of each of them there are two values and a name.
MAX_TEXT = MAX_NAMED * (3 * MAX_SHOWN + 30) + 30


# ---- documents


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ('{"a": 1}', '{"a": 2}', "a was 1, here it is 2."),
        ('{"a": 1}', '{"a": "1"}', 'a was 1, here it is "1".'),
        ('{"a": 1}', '{"a": true}', "a was 1, here it is true."),
        ('{"a": 10.10}', '{"a": 10.11}', "a was 10.10, here it is 10.11."),
        ('{"a": 10.10}', '{"a": "10.10"}', 'a was 10.10, here it is "10.10".'),
        ('{"a": {"b": [1, 2]}}', '{"a": {"b": [1, 3]}}', "a.b.1 was 2, here it is 3."),
        ('{"a": [1, 2]}', '{"a": [1]}', "a.1 was 2, here it is missing."),
        ('{"a": [1]}', '{"a": [1, null]}', "a.1 was missing, here it is null."),
        ("{}", '{"a": null}', "it was {}, here it is missing; a was missing, here it is null."),
        ('{"a": null, "b": 1}', '{"b": 1}', "a was null, here it is missing."),
        ('{"a": []}', '{"a": {}}', "a was [], here it is {}."),
        (
            '{"a.b": 1, "c": 1}',
            '{"a": {"b": 1}, "c": 1}',
            "a.b was 1, here it is missing; a.b was missing, here it is 1.",
        ),
        (
            '{"a": {"0": 1}}',
            '{"a": [1]}',
            "a.0 was 1, here it is missing; a.0 was missing, here it is 1.",
        ),
        ('{"": 1}', '{"": 2}', "it was 1, here it is 2."),
        ('{"\\u00e9": "\\u00e9"}', '{"\\u00e9": ""}', r'\xe9 was "\u00e9", here it is "".'),
        ('{"a\\u0000": "\\ud800"}', '{"a\\u0000": 1}', r'a\x00 was "\ud800", here it is 1.'),
        ('{"a\\u001b[2J": 1}', '{"a\\u001b[2J": 2}', r"a\x1b[2J was 1, here it is 2."),
    ],
)
def test_each_value_that_differs_is_named_with_what_it_was_and_is(first, second, text):
    documents = load_json(first.encode()), load_json(second.encode())
    assert describe_difference(*documents) == text


@pytest.mark.parametrize(
    "text",
    [
        '{"b": {"d": 10.10, "c": [1, 2]}, "a": "\\u00e9"}',
        '{"a":"\u00e9","b":{"c":[1.0,2],"d":10.1}}',
        '{"a": "\u00e9", "b": {"c": [1, 2e0], "d": 1.010e1}}',
    ],
)
def test_the_order_of_keys_white_space_and_the_spelling_of_numbers_are_no_difference(text):
    first = load_json('{"a": "\u00e9", "b": {"c": [1, 2], "d": 10.10}}'.encode())
    assert describe_difference(first, load_json(text.encode())) == ""


def test_many_differences_are_counted():
    first = {"v%02d" % number: number for number in range(25)}
    text = describe_difference(first, {})
    assert text.startswith("v00 was 0, here it is missing; v01 was 1, here it is missing; ")
    assert text.endswith("; v19 was 19, here it is missing; and 6 more.")


def test_long_names_and_values_are_cut():
    text = describe_difference({"n" * 10**6: "v" * 10**6}, {"n" * 10**6: "w" * 10**6})
    assert text == f'{"n" * 99}… was "{"v" * 98}…, here it is "{"w" * 98}….'


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ({"email": "ada"}, {"email": None}, "email was [redacted], here it is null."),
        (
            {"card": {"number": "4; n was 1"}},
            {"card": {"number": None}},
            "card.number was [redacted], here it is null.",
        ),
        (
            {"fields": [{"name": "phone", "value": 1}]},
            {"fields": [{"name": "phone", "value": 2}]},
            "fields.0.value was [redacted], here it is [redacted].",
        ),
        (
            {"note": ["x" * 90 + " 4111 1111 1111 1111"]},
            {"note": ["ada@example.com"]},
            f'note.0 was "{"x" * 90} [redact…, here it is [redacted].',
        ),
        ({"x": {"ada@example.com": 1}}, {"x": {}}, None),
        ({"n": [4111, 1111, 1111, 1111]}, {"n": [4111, 1111, 1111]}, None),
    ],
)
def test_what_must_be_hidden_is_in_no_difference(first, second, text):
    found = describe_difference(first, second)
    assert text is None or found == text
    assert "ada" not in found and "4111 was" not in found and "was 4111" not in found
    assert not any(f"was {value}" in found for value in (1111, 4111))


@given(OBJECTS, OBJECTS)
def test_a_difference_is_described_if_and_only_if_the_fingerprints_differ(first, second):
    text = describe_difference(first, second)
    assert bool(text) == (find_fingerprint(first) != find_fingerprint(second))
    assert len(text) <= MAX_TEXT
    assert not UNSTORABLE.search(text)
    assert text.isprintable()
    assert describe_difference(first, first) == ""


# ---- events


def make(payload, is_saved=False, **values):
    """Return an event with this payload. One that is saved is not a repetition."""
    event = EventFactory.build(payload=payload, **values)
    event.pk = 2 if is_saved else None
    return event


def test_a_repetition_is_compared_whole():
    first, second = PayloadFactory(event_id="e"), PayloadFactory(event_id="e", note={"x": [1]})
    second["data"] = dict(first["data"], amount="99.00")
    text = find_difference(make(first, True), make(second))
    assert text == (
        'data.amount was "10.00", here it is "99.00"; note.x.0 was missing, here it is 1.'
    )
    assert name_differences(make(first, True), make(second)) == ["data.amount", "note.x.0"]


def test_an_address_that_is_a_key_or_an_order_is_not_named_unless_it_is_the_events_own():
    known = PayloadFactory(event_id="e", data__order_id="ada@example.com")
    first, second = dict(known, people={"eve@example.com": 1}), dict(known, people={})
    names = name_differences(make(first, True), make(second))
    assert names == ["[redacted]", "people"]
    second = dict(first, people={"eve@example.com": 1}, of="ada@example.com")
    events = make(first, True, order_id="ada@example.com"), make(second)
    assert find_difference(*events) == 'of was missing, here it is "ada@example.com".'


def test_another_event_is_compared_by_what_it_is_about():
    first = PayloadFactory(event_id="e1", data__charge_id="ch_1")
    second = PayloadFactory(event_id="e2", type="other", data__charge_id="ch_1", data__amount=10)
    events = make(first, True), make(second, True)
    assert find_difference(*events) == 'amount was "10.00", here it is 10.'
    assert name_differences(*events) == ["amount"]
    second["data"]["amount"] = "10.00"
    events = make(first, True), make(second, True)
    assert (find_difference(*events), name_differences(*events)) == ("", [])


def prune(payload):
    """Return the pruned body of an event with this payload."""
    return prune_body(payload, get_provider("default").read(payload))


def test_a_repetition_of_a_pruned_event_differs_or_not_but_not_in_what():
    payload = PayloadFactory(event_id="e", data__charge_id="ch_1")
    earlier = make(payload, True, body=prune(payload))
    assert find_difference(earlier, make(payload)) == ""
    other = make(dict(payload, type="other"))
    assert (find_difference(earlier, other), name_differences(earlier, other)) == (PRUNED_TEXT, [])


def test_a_pruned_event_is_compared_by_what_it_was_about():
    payload = PayloadFactory(event_id="e", data__charge_id="ch_1")
    earlier = make(payload, True, body=prune(payload))
    assert find_difference(earlier, make(dict(payload, type="other"), True)) == ""
    payload = dict(payload, data=dict(payload["data"], amount="99.00"))
    assert find_difference(earlier, make(payload, True)) == PRUNED_TEXT
    both = make(payload, True, body=prune(payload))
    assert find_difference(earlier, both) == PRUNED_TEXT
    assert find_difference(both, both) == ""


def test_nothing_differs_from_what_nothing_is_known_of():
    payload = PayloadFactory()
    earlier = make(payload, True, body=MARK + UNREADABLE)
    assert find_difference(earlier, make(payload)) == ""
    assert describe_difference({"a": 1}, PrunedPayload(ANYTHING, ANYTHING)) == ""


class Broken(Provider):
    """A provider whose class can't read what it received."""

    def read(self, payload):
        raise self.error("no")


class Odd(Provider):
    """A provider whose data are not what they should be."""

    def read(self, payload):
        return [object(), {None: {1, 2}, 1: 1.5}, payload]


@pytest.mark.parametrize("error", [KeyError, RecursionError, UnicodeError, ZeroDivisionError])
def test_an_error_of_the_provider_is_named(settings, monkeypatch, error):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"BACKEND": f"{__name__}.Broken"}}
    monkeypatch.setattr(Broken, "error", error, raising=False)
    events = make(PayloadFactory(), True), make(PayloadFactory(), True)
    assert find_difference(*events) == f"What differs can't be read ({error.__name__})."
    assert name_differences(*events) == []


def test_odd_data_are_compared_or_not_and_never_raise(settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"BACKEND": f"{__name__}.Odd"}}
    assert find_difference(make(PayloadFactory(), True), make(PayloadFactory(), True))


@pytest.mark.parametrize("providers", [{}, {"default": {"BACKEND": "no.such.Class"}}])
def test_a_provider_that_is_gone_is_no_error(settings, providers):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = providers
    events = make(PayloadFactory(), True), make(PayloadFactory())
    assert find_difference(*events).startswith("What differs can't be read (")
    assert name_differences(*events) == []


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"\xff", b'{"a": ' * 100000, MARK])
def test_a_body_that_can_not_be_read_is_no_error(body):
    earlier = make(PayloadFactory(), True, body=body, fingerprint="")
    assert find_difference(earlier, make(PayloadFactory())).startswith("What differs can't be read")
    assert name_differences(earlier, make(PayloadFactory())) == []


@pytest.mark.parametrize("levels", [900, 3000])
def test_a_document_that_is_too_deep_to_compare_is_no_error(settings, levels):
    settings.PAYMENT_WEBHOOKS_MAX_JSON_DEPTH = 5000
    deep = b'{"event_id": "e", "a":' + b"[" * levels + b"%d" + b"]" * levels + b"}"
    earlier = make({}, True, body=deep % 1, fingerprint="")
    assert find_difference(earlier, make({}, body=deep % 2, fingerprint=""))


# ---- in the whole


def test_a_repetition_contradicts_by_what_it_says_and_not_by_how_it_is_written(
    transactional_db, webhook, received_signals
):
    payload = PayloadFactory(event_id="evt_1", n=1.5)
    webhook(json.dumps(payload).encode())
    spelled = json.dumps(payload, indent=2, sort_keys=True).replace("1.5", "15.0e-1").encode()
    assert webhook(spelled).json()["status"] == "duplicate"
    assert received_signals.of("event_conflicted") == []
    assert webhook(json.dumps(dict(payload, n=1.25)).encode()).json()["status"] == "duplicate"
    (facts,) = received_signals.of("event_conflicted")
    assert find_difference(facts["event"], facts["other"]) == "n was 1.5, here it is 1.25."
    assert Event.objects.count() == 1


def test_what_a_repetition_counts_up_is_not_named(settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"IGNORED_FIELDS": ["attempts"]}}
    bodies = [
        b'{"event_id": "e", "type": "t", "attempts": 1, "data": {"amount": "1.00"}}',
        b'{"event_id": "e", "type": "t", "attempts": 2, "data": {"amount": "2.00"}}',
    ]
    earlier, later = [Provider("default").parse({}, body)[0] for body in bodies]
    difference = find_difference(earlier, later)
    assert "attempts" not in difference
    assert "data.amount was" in difference


def test_a_signature_in_the_body_is_no_difference(settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"signed": {"SIGNATURE_FIELD": "token"}}
    earlier, later, other = (
        Event(provider="signed", body=body)
        for body in (b'{"a": 1, "token": "x"}', b'{"a": 1, "token": "y"}', b'{"a": 2}')
    )
    assert find_difference(earlier, later) == ""
    assert find_difference(earlier, other) == "a was 1, here it is 2."


# ---- an order that was paid by two payments


def paid(payment_id, provider_type="payment_intent.succeeded", provider="stripe"):
    """Return a stored event of a payment of the same order."""
    intent = {"id": payment_id, "object": "payment_intent", "amount": 1000, "currency": "eur"}
    payload = {"id": f"evt_{payment_id}", "type": provider_type, "data": {"object": intent}}
    body = json.dumps(payload).encode()
    return EventFactory.build(
        pk=1, provider=provider, body=body, payment_id=payment_id, type="charge.succeeded"
    )


@pytest.fixture
def stripe(settings):
    """Have two providers that do not repeat the payment's id among an event's data."""
    secret = "whsec_" + "0123456789abcdef" * 2
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "stripe": {"PRESET": "stripe", "SECRETS": [secret], "ACCOUNT": "one"},
        "other": {"PRESET": "stripe", "SECRETS": [secret], "ACCOUNT": "two"},
    }


def test_two_payments_of_one_order_differ(stripe):
    text = 'payment_id was "pi_1", here it is "pi_2".'
    assert find_difference(paid("pi_1"), paid("pi_2")) == text
    assert find_difference(paid("pi_1"), paid("pi_2", provider="other")) == text
    assert name_differences(paid("pi_1"), paid("pi_2")) == ["payment_id"]


@pytest.mark.parametrize(
    "other", [("pi_1",), ("pi_1", "charge.succeeded"), ("",), ("link_1", "payment-link.paid")]
)
def test_one_payment_does_not_differ_however_another_type_names_it(stripe, other):
    assert find_difference(paid("pi_1"), paid(*other)) == ""
