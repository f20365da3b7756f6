"""Maps the provider's types to ours. A type alone may not say enough.

A key is the provider's name for a type, with conditions: ``REFUND success=true`` is a refund only
if the field ``success`` is true. ``refund.*|charge.refund.updated .status=failed|canceled`` names
several types, one of them by a pattern, and two values. A value can be a pattern, too:
``date_paid=?*`` is a field that is present and not empty. The first key that matches counts.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Mapping, NamedTuple, Sequence

from .fields import Field, compile_field, write_text

# The prefix of a provider's type that has one of our names but does not mean the same.
UNMAPPED = "unmapped:"


class Condition(NamedTuple):
    """A field that must match one of these patterns."""

    field: Field
    values: tuple[str, ...]

    @property
    def path(self) -> str:
        """The field's path."""
        return next(self.field.paths(), "")

    def holds(self, payload: Any) -> bool:
        """Return whether an event meets the condition."""
        text = write_text(self.field.read(payload))
        return any(fnmatchcase(text, value) for value in self.values)

    @property
    def example(self) -> str:
        """A value that meets the condition. Only for sending."""
        return self.values[0].replace("?", "1").replace("*", "1")


class Rule(NamedTuple):
    """Says which events have one of our types."""

    names: tuple[str, ...]
    conditions: tuple[Condition, ...]
    type: str

    def names_all(self, provider_type: str) -> bool:
        """Return whether every event of this provider type has our type."""
        return provider_type in self.names and not self.conditions

    def fits(self, provider_type: str, payload: Any) -> bool:
        """Return whether an event has this type."""
        is_named = any(fnmatchcase(provider_type, name) for name in self.names)
        return is_named and all(condition.holds(payload) for condition in self.conditions)


def compile_types(types: Mapping[str, str], base: str = "") -> list[Rule]:
    """Return the rules in a provider's option. Raises ``ValueError``."""
    return [compile_rule(key, own_type, base) for key, own_type in types.items()]


def compile_rule(key: str, own_type: str, base: str) -> Rule:
    """Return the rule for one of our types."""
    words = key.split()
    names = [word for word in words if "=" not in word]
    conditions = [compile_condition(word, base) for word in words if "=" in word]
    return Rule(
        tuple(" ".join(names).split("|")),
        tuple(condition for condition in conditions if condition),
        own_type,
    )


def compile_condition(text: str, base: str = "") -> Condition | None:
    """Return the condition that a text describes; None if empty. Raises ``ValueError``."""
    reference, is_condition, values = text.rpartition("=")
    if not text:
        return None
    if not (is_condition and reference):
        raise ValueError(f"{text!r} is no condition: write it as livemode=false")
    return Condition(compile_field(reference, base), tuple(values.split("|")))


def find_type(rules: Sequence[Rule], provider_type: str, payload: Any) -> str:
    """Return our name for an event's type, or the provider's own if no rule matches.

    A provider's own name that equals one of ours is marked, so that it is not taken for ours: a
    ``refund.created`` that is not a refund yet.
    """
    for rule in rules:
        if rule.fits(provider_type, payload):
            return rule.type
    is_ours = any(rule.type == provider_type for rule in rules)
    return UNMAPPED + provider_type if is_ours else provider_type


def unmark(own_type: str) -> str:
    """Return a type without the mark that :func:`find_type` adds."""
    return own_type[len(UNMAPPED) :] if own_type.startswith(UNMAPPED) else own_type


def find_rule(rules: Sequence[Rule], own_type: str) -> Rule | None:
    """Return the first rule for one of our types, or None."""
    return next((rule for rule in rules if rule.type == own_type), None)
