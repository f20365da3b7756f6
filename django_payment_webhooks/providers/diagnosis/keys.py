"""Finds other keys that may have signed."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Callable, Iterator, NamedTuple

from ..declarative import Provider
from ..signatures import DECODERS, MIN_KEY_LENGTH, cut_prefix, list_secrets, number_keys
from .variations import Change, Variation

ADDRESS = "Look at the address that the provider was given: it says who sends."
MISSING = "The provider has no secret: give it yours."
LONGER = f"Ask the provider for a secret of {MIN_KEY_LENGTH} bytes or more."
BROKEN = "The provider's copy has a line break: enter it there again."


class Reading(NamedTuple):
    """Another way in which the text of a secret becomes a key."""

    text: str
    advice: str
    decode: Callable[[], bytes]


def vary_key(provider: Provider, others: list[Provider]) -> Iterator[Variation]:
    """Yield other keys that may have signed: those of other providers, and what a typo makes."""
    for other in others:
        for number, key in number_keys(other).items():
            change = Change(f"key {number} of the provider {other.name} signs", ADDRESS)
            yield replace_key(change, key)
    for number, secret in enumerate(list_secrets(provider), 1):
        yield from vary_secret(provider, number, str(secret))
    yield replace_key(Change("the key is empty", MISSING), b"")


def replace_key(change: Change, key: bytes) -> Variation:
    """Return the variation with another key."""
    return Variation(change, {"keys": {0: key}})


def vary_secret(provider: Provider, number: int, secret: str) -> Iterator[Variation]:
    """Yield other keys that the text of a secret can become."""
    for reading in [*list_readings(provider, secret), *list_slips(secret)]:
        with suppress(KeyError, ValueError):
            change = Change(f"secret {number} {reading.text}", reading.advice)
            yield replace_key(change, reading.decode())


def list_readings(provider: Provider, secret: str) -> Iterator[Reading]:
    """Yield an unusable secret as it is, and then as other options would read it."""
    plain = cut_prefix(secret, provider.key_prefix)
    try:
        provider.decode_secret(secret)
    except ValueError as error:
        decode = partial(decode_text, plain, provider.key_encoding)
        yield Reading(f"is used although it {error}", LONGER, decode)
    for encoding in DECODERS:
        advice = f"Set KEY_ENCODING to {encoding!r}, and look at KEY_PREFIX."
        yield Reading(f"is read as {encoding}", advice, partial(decode_text, secret, encoding))
        text = f"is read as {encoding}, without its prefix"
        yield Reading(text, advice, partial(decode_text, plain, encoding))


def list_slips(secret: str) -> list[Reading]:
    """Return a secret as careless copying may change it."""
    return [
        Reading(
            "has no white space around it", "Remove that from the secret.", secret.strip().encode
        ),
        Reading(
            "has no quotes around it", "Remove them from the secret.", secret.strip("\"'").encode
        ),
        Reading("has a line break at its end", BROKEN, (secret + "\n").encode),
    ]


def decode_text(text: str, encoding: str) -> bytes:
    """Return a key. Raises ``KeyError`` or ``ValueError`` if the text can't be read like this."""
    return DECODERS[encoding](text)
