"""What would have to be different is proved, and nothing is said that could not be."""

import base64

import pytest

from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.diagnosis import find_changes

from ...factories import sign
from .refused import BODY, TIMED, mac

B64 = base64.b64encode(mac(BODY).digest()).decode()
URLSAFE = B64.replace("+", "-").replace("/", "_").rstrip("=")
SIGNED = {
    "other header": (
        {"X-Other": sign(BODY)},
        {},
        ["key 1 signs", "the signature is in the header X-Other"],
    ),
    "prefix": ({"X-Signature": "sha256=" + sign(BODY)}, {}, ["key 1 signs"]),
    "base64": ({"X-Signature": B64}, {}, ["key 1 signs", "the signature is written in base64"]),
    "base64 for URLs": (
        {"X-Signature": URLSAFE},
        {},
        ["key 1 signs", "the signature is written in base64"],
    ),
    "hex": (
        {"X-Signature": sign(BODY)},
        {"SIGNATURE_ENCODING": "base64", "SIGNATURE_PATTERN": "(.*)"},
        ["key 1 signs", "the signature is written in hex"],
    ),
    "sha1": (
        {"X-Signature": mac(BODY, digest="sha1").hexdigest()},
        {},
        ["the digest is sha1", "key 1 signs"],
    ),
    "sha512": (
        {"X-Signature": mac(BODY, digest="sha512").hexdigest()},
        {},
        ["the digest is sha512", "key 1 signs"],
    ),
    "time is signed": (
        {"X-Signature": sign(b"1795435200." + BODY), "X-Time": "1795435200"},
        {},
        ["what is signed is {timestamp}.{body}", "key 1 signs"],
    ),
    "time is not signed": (
        {"X-Signature": sign(BODY), "X-Time": "1795435200"},
        {
            "TIMESTAMP_HEADER": "X-Time",
            "TIMESTAMP_PATTERN": "(.+)",
            "CONTENT": "{timestamp}.{body}",
        },
        ["what is signed is {body}", "key 1 signs"],
    ),
    "three at once": (
        {"X-Signature": "sha1=" + mac(BODY + b"\n", TIMED, "sha1").hexdigest()},
        {},
        None,
    ),
    "rewritten, and another digest": (
        {"X-Signature": "sha1=" + mac(BODY + b"\n", digest="sha1").hexdigest()},
        {},
        ["the body gets a line break at its end", "the digest is sha1", "key 1 signs"],
    ),
    "forged": ({"X-Signature": sign(BODY, "an attacker's own key")}, {}, None),
}


@pytest.mark.parametrize("name", SIGNED)
def test_a_signature_that_was_made_in_another_way_is_recognized(explained, changes, provider, name):
    headers, options, expected = SIGNED[name]
    provider(**options)
    assert not all(check.passed for check in explained(BODY, headers).values())
    assert changes(BODY, headers) == expected


def test_the_header_that_the_options_name_goes_before_others(changes, provider):
    headers = {"X-Copy": sign(BODY), "X-Signature": "sha256=" + sign(BODY)}
    assert changes(BODY, headers) == ["key 1 signs"]


def test_what_would_match_is_returned_without_keys_and_bodies(provider):
    changes = find_changes(
        Provider("x", SECRETS=["x" * 16]), [], {"HTTP_X_SIGNATURE": sign(b"{}", "")}, b"{}"
    )
    assert changes == [("the key is empty", "The provider has no secret: give it yours.")]


def test_the_provider_is_left_as_it_was(provider):
    partner = Provider("x", SECRETS=["x" * 16])
    before = dict(vars(partner), keys=partner.keys())
    assert find_changes(partner, [], {"HTTP_X_SIGNATURE": "0" * 64}, b"{}") is None
    after = dict(vars(partner), keys=partner.keys())
    assert {name: after[name] for name in before} == before
