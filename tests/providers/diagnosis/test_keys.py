"""Another key that has signed is recognized: another provider's, or a secret read differently."""

import base64

import pytest

from ...factories import SECRET, sign
from .refused import BODY, TIMED, mac

KEY = b"0123456789abcdef"
SIGNED = {
    "other provider": (sign(BODY, TIMED), {}, "key 1 of the provider timed signs"),
    "empty key": (sign(BODY, ""), {}, "the key is empty"),
    "hex key": (
        mac(BODY, KEY).hexdigest(),
        {"SECRETS": [KEY.hex()]},
        "secret 1 is read as hex",
    ),
    "base64 key": (
        mac(BODY, KEY * 2).hexdigest(),
        {"SECRETS": ["whsec_" + base64.b64encode(KEY * 2).decode()], "KEY_PREFIX": "whsec_"},
        "secret 1 is read as base64, without its prefix",
    ),
    "prefix is part of the key": (
        sign(BODY, "whsec_and-something-more"),
        {"SECRETS": ["whsec_and-something-more"], "KEY_PREFIX": "whsec_"},
        "secret 1 is read as text",
    ),
    "text key": (
        sign(BODY, "00112233445566778899aabbccddeeff"),
        {"SECRETS": ["00112233445566778899aabbccddeeff"], "KEY_ENCODING": "hex"},
        "secret 1 is read as text",
    ),
    "short key": (
        sign(BODY, "short"),
        {"SECRETS": [SECRET, "short"]},
        "secret 2 is used although it has 5 bytes, and 16 are needed",
    ),
    "key with a space": (
        sign(BODY),
        {"SECRETS": [SECRET + " "]},
        "secret 1 has no white space around it",
    ),
    "key in quotes": (
        sign(BODY),
        {"SECRETS": ['"%s"' % SECRET]},
        "secret 1 has no quotes around it",
    ),
    "key with a line break": (
        sign(BODY, SECRET + "\n"),
        {},
        "secret 1 has a line break at its end",
    ),
}


@pytest.mark.parametrize("name", SIGNED)
def test_another_key_that_has_signed_is_recognized(explained, changes, provider, name):
    signature, options, change = SIGNED[name]
    provider(**options)
    headers = {"X-Signature": signature}
    assert not all(check.passed for check in explained(BODY, headers).values())
    assert changes(BODY, headers) == [change]


@pytest.mark.parametrize("encoding", ["text", "hex", "base64", "rot13"])
@pytest.mark.parametrize("secret", ["", None, 17, "\ud800", "\0", "=", "a" * 100, ["x"]])
def test_no_secret_makes_it_fail(changes, provider, secret, encoding):
    provider(SECRETS=[secret], KEY_ENCODING=encoding)
    assert changes(BODY, {"X-Signature": "0" * 64}) is None
