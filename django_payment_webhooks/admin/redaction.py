"""Redaction: what a payload says of a person is not for everybody who may look at events."""

from __future__ import annotations

import re
from typing import Any

from appconf import AppConf

from ..conf import settings

REDACTED = "[redacted]"
# Before each value that a difference names: its path.
PATH = re.compile(r"(?:\A|; )(?P<path>[^;]*?) was ")


class RedactionConf(AppConf):
    """The names of the fields whose values are not shown, at any depth, in upper or lower case."""

    REDACTED_FIELDS = ["address", "card_number", "cvc", "cvv", "email", "iban", "pan", "phone"]

    class Meta:
        prefix = "payment_webhooks"


def redact(payload: Any) -> Any:
    """Return a copy of a payload without the values of the fields that the setting names."""
    names = find_names()

    def copy(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: REDACTED if name.lower() in names else copy(inner)
                for name, inner in value.items()
            }
        return [copy(inner) for inner in value] if isinstance(value, list) else value

    return copy(payload)


def redact_difference(text: str) -> str:
    """Return what two payloads differ in without the values of the fields that the setting names.

    What can't be told from such a value is left out with it.
    """
    names = find_names()
    starts = list(PATH.finditer(text))
    if not starts:
        return text
    parts = []
    ends = [start.start() for start in starts[1:]] + [len(text)]
    for start, end in zip(starts, ends):
        path = start.group("path")
        is_redacted = names & {step.lower() for step in path.split(".")}
        parts.append(f"{path} differs {REDACTED}" if is_redacted else text[start.start() : end])
    return "; ".join(part.strip("; ") for part in parts)


def find_names() -> set[str]:
    """Return the names of the fields that are not shown, in lower case."""
    return {name.lower() for name in settings.PAYMENT_WEBHOOKS_REDACTED_FIELDS}
