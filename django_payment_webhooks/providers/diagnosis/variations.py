"""The parts of a signature, and how each could be different."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple

from ..declarative import Provider
from .tokens import DIGESTS

CONTENTS = (
    "{body}",
    "{timestamp}.{body}",
    "{timestamp}{body}",
    "{timestamp}:{body}",
    "{body}{timestamp}",
)
TIME = "{timestamp}"
UNTIMED = (
    " Ask the provider first whether it really signs no time: without one nothing is ever too old,"
    " so anyone who records a webhook can resend it as long as the secret is valid. What was"
    " stored is then a duplicate, until its row is deleted."
)


class Recipe(NamedTuple):
    """The parts of a signature. The keys have numbers, 0 for one that is not the provider's."""

    body: bytes
    keys: Mapping[int, bytes]
    digest: str
    content: str


class Change(NamedTuple):
    """A difference, and what to do about it, without showing a secret."""

    text: str
    advice: str


class Variation(NamedTuple):
    """A change, and its replacement in a recipe, such as a key or a body."""

    change: Change
    replaced: Mapping[str, Any]

    def apply_to(self, recipe: Recipe) -> Recipe:
        """Return a recipe with the change made."""
        return recipe._replace(**self.replaced)


def vary_digest(provider: Provider) -> Iterator[Variation]:
    """Yield the other digests."""
    for digest in DIGESTS:
        if digest != provider.digest:
            advice = f"Set DIGEST to {digest!r}, and look at SIGNATURE_PATTERN."
            yield Variation(Change(f"the digest is {digest}", advice), {"digest": digest})


def vary_content(provider: Provider) -> Iterator[Variation]:
    """Yield other things that may be signed."""
    for content in CONTENTS:
        if content != provider.content:
            advice = f"Set CONTENT to {content!r}."
            if TIME in provider.content and TIME not in content:
                advice += UNTIMED
            change = Change(f"what is signed is {content}", advice)
            yield Variation(change, {"content": content})
