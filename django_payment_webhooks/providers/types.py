"""What the provider's types are called here. A type alone may not say enough.

A key is the provider's name of a type, with conditions: ``REFUND success=true`` is a refund only
if the field ``success`` is true; ``payment.updated object.status=COMPLETED|CAPTURED`` names two
values. The first key that fits counts.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

from .fields import Field, compile_field, write_text


class Condition(NamedTuple):
    """A field that must have one of these values."""

    reference: str
    field: Field
    values: tuple[str, ...]

    @property
    def written(self) -> str:
        """The value that an event has which is made for a test."""
        return self.values[0]

    def holds(self, payload: Any) -> bool:
        """Return whether an event fulfils it."""
        return write_text(self.field.read(payload)) in self.values


class Rule(NamedTuple):
    """One of our types, and when an event of the provider's type is of it."""

    conditions: tuple[Condition, ...]
    type: str


def compile_types(types: Mapping[str, str]) -> dict[str, list[Rule]]:
    """Return the rules for each of the provider's types. Raises ``ValueError``."""
    rules: dict[str, list[Rule]] = {}
    for key, own_type in types.items():
        name, conditions = split_key(key)
        rules.setdefault(name, []).append(Rule(conditions, own_type))
    return rules


def split_key(key: str) -> tuple[str, tuple[Condition, ...]]:
    """Return the type and the conditions of a key."""
    words = key.split()
    names = [word for word in words if "=" not in word]
    conditions = [word.rpartition("=") for word in words if "=" in word]
    return " ".join(names), tuple(
        Condition(reference, compile_field(reference), tuple(values.split("|")))
        for reference, _, values in conditions
    )


def find_type(rules: Mapping[str, Sequence[Rule]], provider_type: str, payload: Any) -> str:
    """Return our name of an event's type; the provider's own if no rule fits."""
    for rule in rules.get(provider_type, ()):
        if all(condition.holds(payload) for condition in rule.conditions):
            return rule.type
    return provider_type


def find_rule(rules: Mapping[str, Sequence[Rule]], own_type: str) -> tuple[str, Rule] | None:
    """Return the first of the provider's types that is one of ours, and its rule; None if none."""
    for provider_type, candidates in rules.items():
        for rule in candidates:
            if rule.type == own_type:
                return provider_type, rule
    return None
