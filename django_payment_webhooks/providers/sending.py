"""The inverse of receiving: writes an event as a provider would, and signs it.

This is for commands and tests. The provider itself reads everything back before it is returned. So
if its class reads or signs differently from its options, the result is an error, never a webhook
with the wrong content.
"""

from __future__ import annotations

import copy
import hashlib
import re
import secrets
import time
import uuid
from typing import Any, Mapping, NamedTuple, Sequence
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from ..conf import get_provider
from ..exceptions import WebhookRefused
from ..receiving import BaseProvider
from .bodies import FORMATS
from .contents import list_placeholders
from .declarative import UNPROVED, Provider
from .fields import DELIVERY, HEADER, QUERY, Alternatives, ByType, Path, Template, compile_field
from .headers import find_meta_name
from .money import MAJOR, MINOR, read_money
from .payloads import place
from .signatures import DECODERS
from .spelling import suggest
from .times import read_time, write_time
from .types import Condition, find_rule

# The defaults of an event's values, and the ids of each kind of event.
DEFAULT_AMOUNT, DEFAULT_CURRENCY = "10.00", "EUR"
KINDS = {"charge": "charge_id", "refund": "refund_id", "dispute": "dispute_id"}


class Webhook(NamedTuple):
    """A webhook to send: the raw body, the headers by their usual names, and the URL's query."""

    body: bytes
    headers: dict[str, str]
    query: str = ""

    @property
    def meta(self) -> dict[str, str]:
        """The headers and the query as in ``request.META``."""
        meta = {find_meta_name(name): value for name, value in self.headers.items()}
        return {**meta, "QUERY_STRING": self.query} if self.query else meta

    def add_headers(self, headers: Mapping[str, str]) -> Webhook:
        """Return the same webhook with more headers."""
        return self._replace(headers={**self.headers, **headers})


# ---- the provider


def find_provider(name: str) -> Provider:
    """Return the provider of this name.

    Raises ``ValueError``, with the reason, if there is none or it can't be played.
    """
    names = settings.PAYMENT_WEBHOOKS_PROVIDERS
    if name not in names:
        hint = suggest(name, names)
        raise ValueError(f"There is no provider {name!a} in PAYMENT_WEBHOOKS_PROVIDERS. {hint}")
    try:
        return check_provider(get_provider(name))
    except (ImportError, ImproperlyConfigured, TypeError, ValueError, re.error) as error:
        reason = str(error).rstrip(".")
        raise ValueError(
            f"The provider {name} can't be used: {reason}. The command check may say more."
        ) from error


def check_provider(provider: BaseProvider) -> Provider:
    """Return a provider. Raises an error if it can't sign, or one of its options is wrong."""
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
    """Return a new identifier."""
    return f"{kind}_{uuid.uuid4().hex[:16]}"


def make_values(provider: Provider, event_type: str, **values: Any) -> dict[str, Any]:
    """Return the fields of a new event, by their names in the provider's ``fields``.

    A charge gets a new ``payment_id``, a refund a ``refund_id``, a dispute a ``dispute_id``, and
    each of them 10.00 EUR, or 10.00 in the provider's only currency. ``values`` replace some of the
    fields, or add others.
    """
    made = {"provider_event_id": make_id("evt"), "occurred_at": timezone.now().isoformat()}
    kind = event_type.partition(".")[0]
    if kind in KINDS:
        made[KINDS[kind]] = make_id(kind)
        made.update(amount=DEFAULT_AMOUNT, currency=find_currency(provider))
    if kind == "charge" and "charge_id" not in provider.fields:
        made["payment_id"] = made["charge_id"]
    known = {name: value for name, value in made.items() if name in provider.fields}
    return {**known, **values, "type": event_type}


def find_currency(provider: Provider) -> str:
    """Return the currency of a new event: the provider's, if it has only one."""
    reference = provider.fields.get("currency")
    is_constant = isinstance(reference, str) and reference.startswith("=")
    return str(reference)[1:] if is_constant else DEFAULT_CURRENCY


def write_value(provider: Provider, name: str, value: Any, values: Mapping[str, Any]) -> Any:
    """Return a value as a provider writes it: times in its format, amounts in its unit."""
    if name == "occurred_at" and provider.time_format not in ("auto", "iso"):
        moment = read_time(value) if isinstance(value, str) else value
        return write_time(moment, provider.time_format, provider.time_zone)
    if name == "amount" and provider.amount_unit == MINOR:
        money = read_money(value, values.get("currency"), MAJOR, provider.exponents)
        exponent = money.amount.as_tuple().exponent
        return int(money.amount.scaleb(-int(exponent)))
    return value


def compose(
    provider: Provider, values: Mapping[str, Any], document: dict[str, Any] | None = None
) -> Webhook:
    """Return an unsigned webhook with one event that has these values.

    A name that is not in the provider's ``fields`` is a dotted path in the event. ``document`` is a
    body to start from, whose first event is changed. Raises ``ValueError`` if the provider would
    not read the values back.
    """
    provider_type, conditions = name_type(provider, values.get("type"))
    types = [name for name in (values.get("type"), provider_type) if name]
    composed: dict[str, Any] = {each.path: each.example for each in conditions}
    given = {**values, "type": provider_type}
    # The type first, as an id may be composed of the same parts.
    for name, value in sorted(given.items(), key=lambda item: item[0] != "type"):
        if value is not None:
            written = write_value(provider, name, value, values)
            set_field(composed, provider, name, written, types)
    webhook = write_webhook(provider, composed, document)
    check_composition(provider, webhook, values)
    return webhook


def name_type(provider: Provider, own_type: Any) -> tuple[Any, Sequence[Condition]]:
    """Return the provider's name for one of our types, and the conditions on its events."""
    rule = find_rule(provider.rules, own_type)
    if rule is None:
        return own_type, ()
    # Any name that matches the pattern will do.
    return rule.names[0].replace("*", "created"), rule.conditions


def set_field(
    composed: dict[str, Any], provider: Provider, name: str, value: Any, types: Sequence[str]
) -> None:
    """Set a field where its reference says, for an event of these types.

    ``composed`` gets each value by its path. In a composition, each part without a value gets one.
    """
    field = compile_field(provider.fields.get(name, name), provider.object_path)
    if isinstance(field, ByType):
        field = field.choose(types) or field
    field = find_first(field, value)
    paths = list(field.paths(types))
    if isinstance(field, Template):
        fill_parts(composed, field, value)
    elif paths:
        composed[paths[0]] = value


def find_first(field: Any, value: Any) -> Any:
    """Return the field to write a value to: the first of several alternatives that can have it."""
    if not isinstance(field, Alternatives):
        return field
    able = [
        each
        for each in field.fields
        if not isinstance(each, Template) or match_template(each, str(value))
    ]
    return find_first((able or field.fields)[0], value)


def fill_parts(composed: dict[str, Any], field: Template, value: Any) -> None:
    """Give each part of a composition its value from a text of this form, if it is one."""
    paths = [list(part.paths())[:1] for part in field.parts[1::2]]
    found = match_template(field, str(value))
    for number, path in enumerate(paths):
        if path and found:
            composed[path[0]] = found[number]
        elif path:
            composed.setdefault(path[0], make_id("part"))


def match_template(field: Template, text: str) -> Sequence[str] | None:
    """Return the parts of a text that matches a template, or None."""
    pieces = [re.escape(part) if isinstance(part, str) else "(.+?)" for part in field.parts]
    found = re.fullmatch("".join(pieces), text)
    return found.groups() if found else None


def write_webhook(
    provider: Provider, composed: Mapping[str, Any], document: dict[str, Any] | None
) -> Webhook:
    """Return a webhook with these values in the body, the headers and the query."""
    document = copy.deepcopy(document) if document else {}
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    for path, value in composed.items():
        kind, _, name = path.partition(":")
        if path == DELIVERY:
            continue
        if path.startswith(HEADER):
            headers[name] = str(value)
        elif path.startswith(QUERY):
            query[name] = str(value)
        else:
            place(document, find_path(provider, path), value)
    if provider.body_format != "json":
        headers["Content-Type"] = FORMATS[provider.body_format].content_type
    return Webhook(provider.encode(document), headers, urlencode(query))


def is_header(provider: Provider, name: str) -> bool:
    """Return whether a field comes in a header."""
    return str(provider.fields.get(name, "")).startswith(HEADER)


def compose_headers(provider: Provider, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that carry some of these values."""
    named = {**values, "type": name_type(provider, values.get("type"))[0]}
    return {
        str(provider.fields[name])[len(HEADER) :]: str(value)
        for name, value in named.items()
        if is_header(provider, name) and value is not None
    }


def find_path(provider: Provider, path: str) -> str:
    """Return the path in a provider's document of a path in its first event.

    The last item of a list is the first, as there is only one.
    """
    path = re.sub(r"(?<=\.)-1(?=\.|$)", "0", path)
    event_path = provider.events_path.replace("*", "0", 1)
    return f"{event_path}.{path}" if event_path else path


def check_composition(provider: Provider, webhook: Webhook, values: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` if the provider reads other values than a webhook is meant to have."""
    event = provider.parse(webhook.meta, webhook.body)[0]
    if not event.type:
        raise ValueError(
            f"The provider {provider.name} can't read what was composed: {event.error}"
        )
    for name, value in find_expected(provider, values).items():
        found = getattr(event, name)
        if value not in (None, "") and found != str(value):
            raise ValueError(
                f"The provider {provider.name} reads {found!a} where the {name} should be"
                f" {value!a}: its class has rules that its FIELDS and TYPES do not say. Send a body"
                " of your own."
            )


def find_expected(provider: Provider, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a provider should read of some values: in a composition, what has its form."""
    own_type = values.get("type")
    types = [name for name in (own_type, name_type(provider, own_type)[0]) if name]
    expected = {
        name: values.get(name)
        for name in ("provider_event_id", "order_id", "payment_id")
        if is_readable(provider, name, values.get(name), types)
        and not is_overwritten(provider, name, values)
    }
    is_own = own_type in provider.types.values() or own_type not in provider.types
    return {**expected, "type": own_type if is_own else provider.types[str(own_type)]}


def is_readable(provider: Provider, name: str, value: Any, types: Sequence[str]) -> bool:
    """Return whether a field of a provider can have this value in an event of these types."""
    reference = provider.fields.get(name)
    if reference is None:
        return False
    field = compile_field(reference, provider.object_path)
    if not list(field.paths(types)):
        return False
    if isinstance(field, ByType):
        field = field.choose(types)
    field = find_first(field, value)
    if isinstance(field, Template):
        return match_template(field, str(value)) is not None and DELIVERY not in field.paths()
    if not isinstance(reference, str):
        return name != "payment_id"
    return isinstance(field, Path)


def is_overwritten(provider: Provider, name: str, values: Mapping[str, Any]) -> bool:
    """Return whether another value is later written to this one's place."""
    names = list(values)
    later = names[names.index(name) + 1 :] if name in names else []
    reference = provider.fields[name]
    return any(provider.fields.get(other) == reference for other in later)


# ---- the signature


def sign_webhook(
    provider: Provider, webhook: Webhook, age: float = 0, key: bytes | None = None
) -> Webhook:
    """Return a webhook with its proof, in its headers or its body.

    ``age`` is how many seconds ago it was signed, negative for the future. Without a ``key`` the
    first usable secret signs. If the provider's addresses are checked behind proxies, the webhook
    looks as if it had come through them. Raises ``ValueError`` if there is no key, if ``age`` is
    given but the scheme has no signing time, or if the provider would not accept its own signature.
    """
    if age and not provider.has_timestamp():
        raise ValueError(
            f"The provider {provider.name} signs no time, so that a webhook has no age."
        )
    webhook = add_address(provider, webhook)
    if provider.proof == UNPROVED:
        return webhook
    own_key = find_key(provider)
    check_signing(provider, webhook, own_key)
    return add_proof(provider, webhook, key or own_key, age)


def find_key(provider: Provider) -> bytes:
    """Return the first key of a provider. Raises ``ValueError`` if there is none."""
    keys = provider.keys()
    if not keys:
        raise ValueError(
            f"The provider {provider.name} has no usable secret: SECRETS must have one of"
            f" {provider.min_key_length} bytes or more."
        )
    return keys[0]


def check_signing(provider: Provider, webhook: Webhook, key: bytes) -> None:
    """Raise ``ValueError`` if the provider would not accept a webhook signed now."""
    signed = add_proof(provider, webhook, key)
    try:
        provider.verify({"REMOTE_ADDR": find_address(provider), **signed.meta}, signed.body)
    except WebhookRefused as error:
        advice = "Its class verifies in a way of its own: let it override sign_headers, too."
        if provider.verifies_by_options:
            advice = "Set SIGNATURE_TEMPLATE to what its patterns find, such as"
            advice += " t={timestamp},v1={signature}."
        raise ValueError(
            f"The provider {provider.name} refuses what it signed itself ({error.reason}). {advice}"
        ) from error


def add_proof(provider: Provider, webhook: Webhook, key: bytes, age: float = 0) -> Webhook:
    """Return a webhook signed with this key."""
    timestamp = provider.write_timestamp(time.time() - age)
    webhook = add_signed_headers(provider, webhook)
    body = provider.sign_body(key, webhook.meta, webhook.body, timestamp)
    proof = provider.sign_headers(key, webhook.meta, body, timestamp)
    return webhook._replace(body=body).add_headers(proof)


def find_address(provider: Provider) -> str:
    """Return an address that a provider sends from."""
    return next(iter(provider.addresses), "").partition("/")[0]


def add_address(provider: Provider, webhook: Webhook) -> Webhook:
    """Return a webhook as it arrives through the proxies in the settings, if there are any."""
    hops = [find_address(provider), *["127.0.0.1"] * ((provider.trusted_proxies or 0) - 1)]
    if not provider.addresses or not provider.trusted_proxies:
        return webhook
    return webhook._replace(headers={"X-Forwarded-For": ", ".join(hops), **webhook.headers})


def add_signed_headers(provider: Provider, webhook: Webhook) -> Webhook:
    """Return a webhook with a value for each signed header that it lacks."""
    names = list_placeholders(provider.content)
    headers = [name.rpartition(HEADER)[2] for name in names if HEADER in name or "-" in name]
    known = {find_meta_name(name) for name in webhook.headers}
    made = {name: make_id("header") for name in headers if find_meta_name(name) not in known}
    return webhook.add_headers(made)


def forge_webhook(provider: Provider, webhook: Webhook, age: float = 0) -> Webhook:
    """Return a webhook signed with a random key.

    Raises what :func:`sign_webhook` raises.
    """
    # Letters and digits, as a provider's key can be a token that is sent unchanged.
    return sign_webhook(provider, webhook, age, key=secrets.token_hex(32).encode())
