"""What in a header could be a MAC or a time is found, wherever it is and however it is written."""

import base64
import hashlib

import pytest

from django_payment_webhooks.providers.diagnosis.tokens import find_macs, find_times

SHA256 = hashlib.sha256(b"").digest()
SHA1 = hashlib.sha1(b"\xff").digest()


@pytest.mark.parametrize(
    ("text", "encoding", "value"),
    [
        (SHA256.hex(), "hex", SHA256),
        (SHA256.hex().upper(), "hex", SHA256),
        ("sha256=" + SHA256.hex(), "hex", SHA256),
        ("t=1,v1=%s,v0=0" % SHA1.hex(), "hex", SHA1),
        (base64.b64encode(SHA256).decode(), "base64", SHA256),
        ("v1," + base64.b64encode(SHA256).decode(), "base64", SHA256),
        (base64.urlsafe_b64encode(SHA1).decode().rstrip("="), "base64", SHA1),
    ],
)
def test_a_mac_is_found(text, encoding, value):
    (mac,) = find_macs(text)
    assert (mac.encoding, mac.value) == (encoding, value)
    assert mac.text in text


@pytest.mark.parametrize("text", ["", "forged", "0" * 63, "0" * 66, "a" * 10000, "\ud800" * 64])
def test_what_is_not_as_long_as_a_mac_is_none(text):
    assert list(find_macs(text)) == []


def test_times_are_found_in_every_header_and_each_once():
    meta = {
        "HTTP_X_TIME": "1795435200",
        "HTTP_X_SIGNATURE": "t=1795435200000,v1=0",
        "HTTP_X_ID": "msg_1795435200_17",
        "HTTP_X_LONG": "17954352000000",
        "SERVER_PORT": "1795435201",
    }
    assert find_times(meta) == ["1795435200", "1795435200000"]
