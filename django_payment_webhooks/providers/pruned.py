"""Pruned bodies, of which digests remain, so that a redelivery can still be compared."""

from __future__ import annotations

from typing import Any, Dict

from .fingerprints import find_fingerprint
from .payloads import ParseError

# No JSON begins like that, and so no webhook that can be parsed.
MARK = b"pruned:"
ANYTHING = "*"


class Pruned(Dict[str, str]):
    """A payload, or its data, of which only a digest is left. Equals what has the same digest.

    A digest of ``*`` equals everything: nothing is known about it, so nothing differs from it.
    """

    def __init__(self, known: str) -> None:
        super().__init__(pruned=known)
        self.known = known

    def __eq__(self, other: object) -> bool:
        return self.known in (ANYTHING, find_digest(other))

    def __ne__(self, other: object) -> bool:
        # Dictionaries define their own.
        return not self == other


class PrunedPayload(Pruned):
    """A pruned payload. ``data`` is its pruned data."""

    def __init__(self, payload: str, data: str) -> None:
        super().__init__(payload)
        self.data = Pruned(data)


class PrunedError(ParseError, ValueError):
    """The body could not be parsed before it was pruned. A redelivery is answered as before."""


def find_digest(document: Any) -> str:
    """Return a digest of a JSON document, independent of the order of its keys.

    Raises ``TypeError`` for anything else.
    """
    if isinstance(document, Pruned):
        return document.known
    return find_fingerprint(document)


def prune_body(payload: Any, data: Any) -> bytes:
    """Return the replacement for the body of an event with this payload and data."""
    return MARK + f"{find_digest(payload)}:{find_digest(data)}".encode()


def is_pruned(body: Any) -> bool:
    """Return whether a stored body was pruned."""
    return bytes(body[: len(MARK)]) == MARK


def read_pruned(body: bytes, status: int) -> PrunedPayload:
    """Return the payload of a pruned body.

    Raises ``PrunedError``, which is a ``ValueError``, if there never was one; ``status`` answers
    such a webhook.
    """
    payload, _, data = body[len(MARK) :].decode("ascii", "replace").partition(":")
    if not data:
        raise PrunedError(status, "unparsed", "The body can't be read, and was pruned.")
    return PrunedPayload(payload, data)
