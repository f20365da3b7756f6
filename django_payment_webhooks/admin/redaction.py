"""Redaction: what a payload says of a person is not for everybody who may look at events."""

from typing import Any

from appconf import AppConf

from ..conf import settings

REDACTED = "[redacted]"


class RedactionConf(AppConf):
    """The names of the fields whose values are not shown, at whatever depth, in upper or lower case."""

    REDACTED_FIELDS = ["address", "card_number", "cvc", "cvv", "email", "iban", "pan", "phone"]

    class Meta:
        prefix = "payment_webhooks"


def redact(payload: Any) -> Any:
    """Return a copy of a payload without the values of the fields that the setting names."""
    names = {name.lower() for name in settings.PAYMENT_WEBHOOKS_REDACTED_FIELDS}

    def copy(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: REDACTED if name.lower() in names else copy(inner)
                for name, inner in value.items()
            }
        return [copy(inner) for inner in value] if isinstance(value, list) else value

    return copy(payload)
