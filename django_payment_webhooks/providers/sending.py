"""The inverse of receiving: write an event as a provider would, and sign it. For commands and tests.

Whatever is made here is read back by the provider itself before it is returned, so that a provider whose class reads
or signs in a way that its options do not tell gives an error, and never a webhook that says something else.
"""

import copy
import hashlib
import json
import os
import re
import time
import uuid
from typing import Any, Dict, Mapping, NamedTuple, Optional

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from ..conf import get_provider, settings
from ..exceptions import WebhookRefused
from .declarative import ENVELOPE, Provider
from .payloads import MAX_VALUES, read_text
from .signatures import HMACSignature

HEADER = "header:"
#: What an event says if nothing else is asked for. Each kind has an id of its own, of the same name.
DEFAULTS = {"amount": "10.00", "currency": "EUR"}
KINDS = {"charge": "charge_id", "refund": "refund_id", "dispute": "dispute_id"}


class Webhook(NamedTuple):
    """What is sent: the raw body, and the headers by their usual names."""

    body: bytes
    headers: Dict[str, str]

    @property
    def meta(self) -> Dict[str, str]:
        """The headers as ``request.META`` has them."""
        return {
            "HTTP_" + name.upper().replace("-", "_"): value for name, value in self.headers.items()
        }


def find_provider(name: str) -> Provider:
    """Return the provider that the settings call so. Raises ``ValueError`` if it can't be used, with the reason."""
    names = settings.PAYMENT_WEBHOOKS_PROVIDERS
    if name not in names:
        known = ", ".join(sorted(names)) or "none"
        raise ValueError(
            "There is no provider %s in PAYMENT_WEBHOOKS_PROVIDERS; there is: %s."
            % (ascii(name), known)
        )
    try:
        provider = get_provider(name)
        if not isinstance(provider, Provider):
            raise ValueError(
                "it is not derived from Provider, so that it is not known how it signs"
            )
        for pattern in (provider.signature_pattern, provider.timestamp_pattern):
            re.compile(pattern)
        hashlib.new(provider.digest)
        provider.keys()
    except (ImportError, ImproperlyConfigured, KeyError, TypeError, ValueError, re.error) as error:
        text = "The provider %s can't be used: %s. The command check may say more."
        raise ValueError(text % (name, str(error).rstrip("."))) from error
    return provider


def make_id(kind: str) -> str:
    """Return an identifier that nobody had before."""
    return "%s_%s" % (kind, uuid.uuid4().hex[:16])


def make_values(provider: Provider, event_type: str, **values: Any) -> Dict[str, Any]:
    """Return the fields of a new event, by their names in the provider's ``fields``; ``values`` replace some of them.

    A charge gets a new ``charge_id``, a refund a ``refund_id``, a dispute a ``dispute_id``, and all of them
    10.00 EUR.
    """
    kind = event_type.partition(".")[0]
    made = {
        "provider_event_id": make_id("evt"),
        "type": event_type,
        "occurred_at": timezone.now().isoformat(),
    }
    if kind in KINDS:
        made.update(DEFAULTS, **{KINDS[kind]: make_id(kind)})
    known = {name: value for name, value in made.items() if name in provider.fields}
    return dict(known, **dict(values, type=event_type))


def compose(
    provider: Provider, values: Mapping[str, Any], document: Optional[dict] = None
) -> Webhook:
    """Return a webhook, not signed yet, with one event that has these values.

    A name that is none of the provider's ``fields`` is a dotted path in the event. ``document`` is
    a body to start from; its first event is changed. Raises ``ValueError`` if the provider would
    not read the values back.
    """
    document = copy.deepcopy(document) if document else {}
    base = provider.events_path.replace("*", "0", 1)
    for name, value in dict(values, **name_type(provider, values)).items():
        if not is_header(provider, name):
            place(document, ".".join(filter(None, [base, provider.fields.get(name, name)])), value)
    webhook = Webhook(json.dumps(document).encode(), compose_headers(provider, values))
    check_composition(provider, webhook, values)
    return webhook


def is_header(provider: Provider, name: str) -> bool:
    """Return whether a field comes in a header."""
    return provider.fields.get(name, "").startswith(HEADER)


def compose_headers(provider: Provider, values: Mapping[str, Any]) -> Dict[str, str]:
    """Return the headers that have some of these values."""
    named = dict(values, **name_type(provider, values))
    return {
        provider.fields[name][len(HEADER) :]: str(named[name])
        for name in named
        if is_header(provider, name)
    }


def name_type(provider: Provider, values: Mapping[str, Any]) -> Dict[str, str]:
    """Return the type as the provider calls it, if there is one among the values."""
    names = [name for name, own in provider.types.items() if own == values.get("type")]
    return {"type": names[0]} if names else {}


def place(document: Any, path: str, value: Any) -> None:
    """Put a value at a dotted path into a JSON document, making what is missing on the way.

    A step that is a number is the index of a list. Raises ``ValueError`` if there is a list, and
    the step is no index.
    """
    step: Any
    step, _, rest = path.partition(".")
    if isinstance(document, list):
        if not step.isdecimal() or int(step) > MAX_VALUES:
            raise ValueError(
                "%s can't be set: there is a list, which has no %s." % (ascii(path), ascii(step))
            )
        step = int(step)
        document.extend([None] * (step + 1 - len(document)))
    if not rest:
        document[step] = value
        return
    known = document[step] if isinstance(document, list) else document.get(step)
    if not isinstance(known, (dict, list)):
        document[step] = [] if rest.partition(".")[0].isdecimal() else {}
    place(document[step], rest, value)


def check_composition(provider: Provider, webhook: Webhook, values: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` if the provider reads something else from a webhook than it is meant to say."""
    try:
        event = provider.parse_events(webhook.meta, webhook.body)[0]
    except WebhookRefused as error:
        raise ValueError(
            "The provider %s can't read what was composed: %s" % (provider.name, error)
        ) from error
    expected = {
        name: values[name]
        for name in ENVELOPE
        if name != "occurred_at" and values.get(name) not in (None, "")
    }
    expected["type"] = (
        provider.types.get(values["type"], values["type"]) if "type" in values else event.type
    )
    for name, value in expected.items():
        if getattr(event, name) != read_text(value):
            text = "The provider %s reads %s where the %s should be %s: its class has rules that its FIELDS and TYPES do "
            text += "not tell. Send a body of your own."
            raise ValueError(text % (provider.name, ascii(getattr(event, name)), name, ascii(value)))


def sign_webhook(
    provider: Provider, webhook: Webhook, age: float = 0, key: Optional[bytes] = None
) -> Webhook:
    """Return a webhook with the headers that prove it.

    ``age`` is how many seconds ago it was signed, negative for the future. Without a ``key`` the first usable secret
    signs. Raises ``ValueError`` if there is none, if the scheme has no time of signing that could
    have an age, or if the provider would not accept its own signature.
    """
    keys = provider.keys()
    if age and not provider.timestamp_pattern:
        raise ValueError(
            "The provider %s signs no time, so that a webhook has no age." % provider.name
        )
    if not keys:
        text = "The provider %s has no usable secret: SECRETS must have one of 16 bytes or more."
        raise ValueError(text % provider.name)
    timestamp = str(int(time.time() - age)) if provider.timestamp_pattern else ""
    check_signing(provider, webhook)
    proof = provider.sign_headers(key or keys[0], webhook.meta, webhook.body, timestamp)
    return webhook._replace(headers=dict(webhook.headers, **proof))


def check_signing(provider: Provider, webhook: Webhook) -> None:
    """Raise ``ValueError`` if the provider would not accept a webhook that is signed now."""
    timestamp = str(int(time.time())) if provider.timestamp_pattern else ""
    proof = provider.sign_headers(provider.keys()[0], webhook.meta, webhook.body, timestamp)
    try:
        provider.verify(webhook._replace(headers=dict(webhook.headers, **proof)).meta, webhook.body)
    except WebhookRefused as error:
        advice = "Its class has a verify of its own: let it override sign_headers, too."
        if type(provider).verify is HMACSignature.verify:
            advice = "Set SIGNATURE_TEMPLATE to what its patterns find, such as t={timestamp},v1={signature}."
        text = "The provider %s refuses what it signed itself (%s). %s"
        raise ValueError(text % (provider.name, error.reason, advice)) from error


def forge_webhook(provider: Provider, webhook: Webhook, age: float = 0) -> Webhook:
    """Return a webhook that looks signed, by a key that nobody has. Raises what :func:`sign_webhook` raises."""
    return sign_webhook(provider, webhook, age, key=os.urandom(32))
