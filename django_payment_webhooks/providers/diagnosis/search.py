"""Finds what would have to be different for a signature to match, and proves it by trying."""

from __future__ import annotations

import copy
import itertools
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from ..declarative import Provider
from ..headers import list_headers, read_header
from ..signatures import list_names, number_keys
from .bodies import vary_body
from .keys import vary_key
from .tokens import find_macs, find_times
from .variations import Change, Recipe, Variation, vary_content, vary_digest

# The most of the body, the key, the digest and the content that are changed at once.
MAX_VARIATIONS = 2


class Place(NamedTuple):
    """Where a MAC was found: in which header, and whether in hex or base64."""

    header: str
    encoding: str


class Match(NamedTuple):
    """A received MAC that was reproduced: where it was, and the number of its key or 0."""

    place: Place
    key_number: int


def find_changes(
    provider: Provider, others: list[Provider], meta: Mapping[str, Any], body: bytes
) -> list[Change] | None:
    """Return what would have to be different for a signature to match, or None if not found.

    The changes are proved: with all of them, a key gives a MAC in a header. At most two of the
    body, the key, the digest and the content are changed at once, the likeliest first.
    ``others`` are the project's other providers, whose keys are tried, too.
    """
    places = find_places(provider, meta)
    unchanged = Recipe(body, number_keys(provider), provider.digest, provider.content)
    for variations in combine(list_variations(provider, others, body)):
        recipe = unchanged
        for variation in variations:
            recipe = variation.apply_to(recipe)
        match = find_match(provider, meta, recipe, places)
        if match:
            return [
                *(variation.change for variation in variations),
                *describe_match(provider, match),
            ]
    return None


def find_places(provider: Provider, meta: Mapping[str, Any]) -> dict[bytes, Place]:
    """Return where each MAC was found. The header in the options comes before the others."""
    places: dict[bytes, Place] = {}
    for header in sorted(list_headers(meta), key=lambda name: not is_own(provider, name)):
        for mac in find_macs(read_header(meta, header)):
            places.setdefault(mac.value, Place(header, mac.encoding))
    return places


def is_own(provider: Provider, header: str) -> bool:
    """Return whether the provider's options name a header for signatures."""
    own = [name.lower() for name in list_names(provider.signature_header)]
    return header.lower() in own


def list_variations(
    provider: Provider, others: list[Provider], body: bytes
) -> list[list[Variation]]:
    """Return the variations of each part of a recipe, the likeliest part first."""
    return [
        list(vary_body(body)),
        list(vary_key(provider, others)),
        list(vary_digest(provider)),
        list(vary_content(provider)),
    ]


def combine(parts: list[list[Variation]]) -> Iterator[Sequence[Variation]]:
    """Yield no variation, each one alone, and then each pair of different parts."""
    for count in range(MAX_VARIATIONS + 1):
        for chosen in itertools.combinations(parts, count):
            yield from itertools.product(*chosen)


def find_match(
    provider: Provider, meta: Mapping[str, Any], recipe: Recipe, places: Mapping[bytes, Place]
) -> Match | None:
    """Return a received MAC that this recipe reproduces."""
    signer = copy.copy(provider)
    signer.digest = recipe.digest
    signer.content = recipe.content
    for (number, key), timestamp in itertools.product(
        recipe.keys.items(), list_times(provider, meta)
    ):
        for mac in find_macs(signer.sign(key, meta, recipe.body, timestamp)):
            if mac.value in places:
                return Match(places[mac.value], number)
    return None


def list_times(provider: Provider, meta: Mapping[str, Any]) -> list[str]:
    """Return the signing time, or if the provider finds none, whatever could be one."""
    timestamp = provider.read_timestamp(meta)
    return [timestamp] if timestamp else ["", *find_times(meta)]


def describe_match(provider: Provider, match: Match) -> Iterator[Change]:
    """Yield which key signed, and where the signature is if not where the options say."""
    header, encoding = match.place
    if match.key_number:
        yield Change(f"key {match.key_number} signs", "")
    if not is_own(provider, header):
        yield Change(
            f"the signature is in the header {header}", f"Set SIGNATURE_HEADER to {header!r}."
        )
    if encoding != provider.signature_encoding:
        advice = f"Set SIGNATURE_ENCODING to {encoding!r}, and look at SIGNATURE_PATTERN."
        yield Change(f"the signature is written in {encoding}", advice)
