"""The inverse of receiving: write an event as a provider would, and sign it.

This is for commands and tests. Whatever is made here is read back by the provider itself before it
is returned. So a provider whose class reads or signs in a way that its options do not say gives an
error, and never a webhook that says something else.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import secrets
import time
import uuid
from typing import Any, Mapping, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from ..conf import get_provider
from ..exceptions import WebhookRefused
from ..receiving import BaseProvider
from .declarative import HEADER, Provider
from .headers import find_meta_name
from .payloads import read_text
from .signatures import DECODERS, MIN_KEY_LENGTH

# What an event says if nothing else is asked for. Each kind of event has an id of its own.
DEFAULTS = {"amount": "10.00", "currency": "EUR"}
KINDS = {"charge": "charge_id", "refund": "refund_id", "dispute": "dispute_id"}


class Webhook(NamedTuple):
    """What is sent: the raw body, and the headers by their usual names."""

    body: bytes
    headers: dict[str, str]

    @property
    def meta(self) -> dict[str, str]:
        """The headers as ``request.META`` has them."""
        return {find_meta_name(name): value for name, value in self.headers.items()}

    def add_headers(self, headers: Mapping[str, str]) -> Webhook:
        """Return the same webhook with more headers."""
        return self._replace(headers={**self.headers, **headers})


# ---- the provider


def find_provider(name: str) -> Provider:
    """Return the provider that the settings call so.

    Raises ``ValueError``, with the reason, if there is none or it can't be played.
    """
    names = settings.PAYMENT_WEBHOOKS_PROVIDERS
    if name not in names:
        known = ", ".join(sorted(names)) or "none"
        raise ValueError(
            f"There is no provider {name!a} in PAYMENT_WEBHOOKS_PROVIDERS; there is: {known}."
        )
    try:
        return check_provider(get_provider(name))
    except (ImportError, ImproperlyConfigured, TypeError, ValueError, re.error) as error:
        reason = str(error).rstrip(".")
        raise ValueError(
            f"The provider {name} can't be used: {reason}. The command check may say more."
        ) from error


def check_provider(provider: BaseProvider) -> Provider:
    """Return a provider. Raises an error if it can't sign, or if one of its options is wrong."""
    if not isinstance(provider, Provider):
        raise ValueError("it is not derived from Provider, so that it is not known how it signs")
    if provider.key_encoding not in DECODERS:
        raise ValueError(f"its KEY_ENCODING is {provider.key_encoding!r}")
    re.compile(provider.signature_pattern)
    re.compile(provider.timestamp_pattern)
    hashlib.new(provider.digest)
    return provider


# ---- what an event says


def make_id(kind: str) -> str:
    """Return an identifier that nothing had before."""
    return f"{kind}_{uuid.uuid4().hex[:16]}"


def make_values(provider: Provider, event_type: str, **values: Any) -> dict[str, Any]:
    """Return the fields of a new event, by their names in the provider's ``fields``.

    A charge gets a new ``charge_id``, a refund a ``refund_id``, a dispute a ``dispute_id``, and all
    of them 10.00 EUR. ``values`` replace some of the fields, or add others.
    """
    made = {"provider_event_id": make_id("evt"), "occurred_at": timezone.now().isoformat()}
    kind = event_type.partition(".")[0]
    if kind in KINDS:
        made.update(DEFAULTS)
        made[KINDS[kind]] = make_id(kind)
    known = {name: value for name, value in made.items() if name in provider.fields}
    return {**known, **values, "type": event_type}


def compose(
    provider: Provider, values: Mapping[str, Any], document: dict[str, Any] | None = None
) -> Webhook:
    """Return a webhook, not signed yet, with one event that has these values.

    A name that is none of the provider's ``fields`` is a dotted path in the event. ``document`` is
    a body to start from; its first event is changed. Raises ``ValueError`` if the provider would
    not read the values back.
    """
    document = copy.deepcopy(document) if document else {}
    for name, value in name_type(provider, values).items():
        if not is_header(provider, name):
            place(document, find_path(provider, name), value)
    webhook = Webhook(json.dumps(document).encode(), compose_headers(provider, values))
    check_composition(provider, webhook, values)
    return webhook


def is_header(provider: Provider, name: str) -> bool:
    """Return whether a field comes in a header."""
    return provider.fields.get(name, "").startswith(HEADER)


def find_path(provider: Provider, name: str) -> str:
    """Return where a field of the first event is in a provider's document."""
    path = provider.fields.get(name, name)
    event_path = provider.events_path.replace("*", "0", 1)
    return f"{event_path}.{path}" if event_path else path


def compose_headers(provider: Provider, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that have some of these values."""
    return {
        provider.fields[name][len(HEADER) :]: str(value)
        for name, value in name_type(provider, values).items()
        if is_header(provider, name)
    }


def name_type(provider: Provider, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the type, if there is one, as the provider calls it."""
    for provider_type, own_type in provider.types.items():
        if own_type == values.get("type"):
            return {**values, "type": provider_type}
    return dict(values)


def place(document: Any, path: str, value: Any) -> None:
    """Put a value at a dotted path into a JSON document, making what is missing on the way.

    A step that is a number is the index of a list. Raises ``ValueError`` if there is a list, and
    the step is no index.
    """
    step, _, rest = path.partition(".")
    key: Any = find_index(document, step, path) if isinstance(document, list) else step
    if not rest:
        document[key] = value
        return
    known = document[key] if isinstance(document, list) else document.get(key)
    if not isinstance(known, (dict, list)):
        document[key] = [] if rest.partition(".")[0].isdecimal() else {}
    place(document[key], rest, value)


def find_index(items: list[Any], step: str, path: str) -> int:
    """Return the index that a step in a path is, and make the list long enough for it."""
    if not step.isdecimal() or int(step) > settings.PAYMENT_WEBHOOKS_MAX_JSON_VALUES:
        raise ValueError(f"{path!a} can't be set: there is a list, which has no {step!a}.")
    index = int(step)
    items.extend([None] * (index + 1 - len(items)))
    return index


def check_composition(provider: Provider, webhook: Webhook, values: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` if the provider reads something else than a webhook is meant to say."""
    try:
        event = provider.parse_events(webhook.meta, webhook.body)[0]
    except WebhookRefused as error:
        raise ValueError(
            f"The provider {provider.name} can't read what was composed: {error}"
        ) from error
    event_type = values.get("type")
    expected = {
        "provider_event_id": values.get("provider_event_id"),
        "order_id": values.get("order_id"),
        "type": provider.types.get(event_type, event_type) if event_type else None,
    }
    for name, value in expected.items():
        found = getattr(event, name)
        if value not in (None, "") and found != read_text(value):
            raise ValueError(
                f"The provider {provider.name} reads {found!a} where the {name} should be"
                f" {value!a}: its class has rules that its FIELDS and TYPES do not say. Send a body"
                " of your own."
            )


# ---- the signature


def sign_webhook(
    provider: Provider, webhook: Webhook, age: float = 0, key: bytes | None = None
) -> Webhook:
    """Return a webhook with the headers that prove it.

    ``age`` is how many seconds ago it was signed, negative for the future. Without a ``key`` the
    first usable secret signs. Raises ``ValueError`` if there is none, if the scheme has no time of
    signing that could have an age, or if the provider would not accept its own signature.
    """
    if age and not provider.timestamp_pattern:
        raise ValueError(
            f"The provider {provider.name} signs no time, so that a webhook has no age."
        )
    own_key = find_key(provider)
    check_signing(provider, webhook, own_key)
    return add_proof(provider, webhook, key or own_key, age)


def find_key(provider: Provider) -> bytes:
    """Return the first key of a provider. Raises ``ValueError`` if there is none."""
    keys = provider.keys()
    if not keys:
        raise ValueError(
            f"The provider {provider.name} has no usable secret: SECRETS must have one of"
            f" {MIN_KEY_LENGTH} bytes or more."
        )
    return keys[0]


def check_signing(provider: Provider, webhook: Webhook, key: bytes) -> None:
    """Raise ``ValueError`` if the provider would not accept a webhook that is signed now."""
    signed = add_proof(provider, webhook, key)
    try:
        provider.verify(signed.meta, signed.body)
    except WebhookRefused as error:
        advice = "Its class verifies in a way of its own: let it override sign_headers, too."
        if provider.verifies_by_options:
            advice = "Set SIGNATURE_TEMPLATE to what its patterns find, such as"
            advice += " t={timestamp},v1={signature}."
        raise ValueError(
            f"The provider {provider.name} refuses what it signed itself ({error.reason}). {advice}"
        ) from error


def add_proof(provider: Provider, webhook: Webhook, key: bytes, age: float = 0) -> Webhook:
    """Return a webhook that this key has signed."""
    timestamp = str(int(time.time() - age)) if provider.timestamp_pattern else ""
    proof = provider.sign_headers(key, webhook.meta, webhook.body, timestamp)
    return webhook.add_headers(proof)


def forge_webhook(provider: Provider, webhook: Webhook, age: float = 0) -> Webhook:
    """Return a webhook that looks signed, by a key that nobody has.

    Raises what :func:`sign_webhook` raises.
    """
    # Letters and digits, as a provider's key can be a token that is sent as it is.
    return sign_webhook(provider, webhook, age, key=secrets.token_hex(32).encode())
