"""Finds MACs and times in headers, whatever the options say."""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import suppress
from typing import Any, Iterator, Mapping, NamedTuple

from ..headers import list_headers, read_header

DIGESTS = ("sha1", "sha256", "sha384", "sha512", "md5")
MAC_SIZES = {hashlib.new(name).digest_size for name in DIGESTS}
# Anything that could be an encoded MAC or a time, anywhere in a header.
TOKEN = re.compile(r"[A-Za-z0-9+/_-]{22,}={0,2}")
HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
TIME = re.compile(r"(?<![0-9])[0-9]{10,13}(?![0-9])")


class MAC(NamedTuple):
    """A possible MAC: its text, whether that is hex or base64, and its bytes."""

    text: str
    encoding: str
    value: bytes


def find_macs(text: str) -> Iterator[MAC]:
    """Yield the possible MACs in a text."""
    for word in TOKEN.findall(text):
        with suppress(ValueError):
            mac = decode_mac(word)
            if len(mac.value) in MAC_SIZES:
                yield mac


def decode_mac(word: str) -> MAC:
    """Return a word as bytes. Raises ``ValueError`` for what is neither hex nor base64."""
    if HEX.fullmatch(word):
        return MAC(word, "hex", bytes.fromhex(word))
    # URL-safe base64 has two other characters, and often no padding.
    plain = word.rstrip("=").replace("-", "+").replace("_", "/")
    padding = "=" * (-len(plain) % 4)
    return MAC(word, "base64", base64.b64decode(plain + padding))


def find_times(meta: Mapping[str, Any]) -> list[str]:
    """Return the possible times in any header."""
    headers = [read_header(meta, name) for name in list_headers(meta)]
    return sorted({time for header in headers for time in TIME.findall(header)})
