"""Of a pruned body only digests are left: it equals what it was, and nothing else."""

import json
import operator
from decimal import Decimal

import pytest

from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.payloads import ParseError
from django_payment_webhooks.providers.pruned import (
    ANYTHING,
    MARK,
    PrunedError,
    PrunedPayload,
    find_digest,
    is_pruned,
    prune_body,
    read_pruned,
)

from ..factories import PayloadFactory

CANARY = "Johanna Garcia"
PAYLOAD = PayloadFactory(event_id="evt_1", data__name=CANARY, data__amount=Decimal("10.10"))
DATA = {"amount": Decimal("10.10"), "charge_id": "ch_1"}
PRUNED = prune_body(PAYLOAD, DATA)


def test_a_pruned_body_has_nothing_of_the_payload():
    assert is_pruned(PRUNED)
    assert CANARY.encode() not in PRUNED
    payload = read_pruned(PRUNED, 400)
    assert CANARY not in json.dumps([payload, payload.data])


@pytest.mark.parametrize("body", [b"", b"{}", b"prune", b"pruned", b" pruned:", b"PRUNED:a:b"])
def test_another_body_is_not_pruned(body):
    assert not is_pruned(body)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_body_is_recognized_whatever_the_database_makes_of_it(kind):
    assert is_pruned(kind(PRUNED))
    assert not is_pruned(kind(b"{}"))


def test_it_equals_what_it_was_whatever_the_order_of_the_keys():
    payload = read_pruned(PRUNED, 400)
    reordered = dict(reversed(list(PAYLOAD.items())))
    assert payload == PAYLOAD == payload
    assert payload == reordered
    assert operator.ne(payload, reordered) is False
    assert payload.data == dict(DATA)
    assert payload == read_pruned(PRUNED, 400)


@pytest.mark.parametrize(
    "other", [{}, dict(PAYLOAD, type="other"), dict(PAYLOAD, more=1), None, [], DATA]
)
def test_it_differs_from_everything_else(other):
    payload = read_pruned(PRUNED, 400)
    assert payload != other
    assert operator.eq(payload, other) is False


@pytest.mark.parametrize("other", [{}, PAYLOAD, {"anything": [1]}])
def test_nothing_differs_from_what_nothing_is_known_of(other):
    payload = PrunedPayload(ANYTHING, ANYTHING)
    assert payload == other
    assert payload.data == other


def test_what_is_pruned_has_the_digest_that_it_had_before():
    assert find_digest(read_pruned(PRUNED, 400)) == find_digest(PAYLOAD)


@pytest.mark.parametrize("body", [MARK, MARK + b"\xff", MARK + b"only one", MARK + b"a:"])
def test_a_body_that_could_not_be_parsed_before_is_answered_as_before(body):
    with pytest.raises(PrunedError) as raised:
        read_pruned(body, 422)
    assert isinstance(raised.value, (ParseError, ValueError))
    assert raised.value.status == 422


@pytest.mark.parametrize("options", [{}, {"EVENTS_PATH": "items.*"}])
def test_a_provider_reads_a_pruned_body(options):
    provider = Provider("partner", **options)
    payload = provider.payload(PRUNED)
    assert payload == PAYLOAD
    assert provider.read(payload) == DATA


def test_a_webhook_whose_body_only_looks_pruned_can_not_be_parsed():
    for body in (PRUNED, MARK):
        (event,) = Provider("partner").parse({}, body)
        assert (event.type, event.status) == ("", "failed")
        assert event.error.startswith("The body can't be read: ")
