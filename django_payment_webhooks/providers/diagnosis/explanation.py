"""Makes each check of ``verify`` separately."""

from __future__ import annotations

import time
from typing import Any, Iterator, Mapping, NamedTuple

from ...exceptions import WebhookRefused
from ...models import Event
from ..declarative import Provider
from ..escaping import escape
from ..headers import list_headers, read_header
from ..signatures import MIN_KEY_LENGTH, fingerprint, list_secrets, number_keys
from .tokens import TIME, find_macs

SHOWN_EVENTS = 10


class Check(NamedTuple):
    """A check, whether it passed, and a sentence that says what was found."""

    name: str
    passed: bool
    text: str


def explain(
    provider: Provider, meta: Mapping[str, Any], body: bytes, now: float | None = None
) -> list[Check]:
    """Return the checks made before a webhook is stored, in order.

    The first signature check that fails is the last one. ``now`` is when the webhook was received,
    in Unix seconds, by default the current time. A provider whose class has its own ``verify``
    gives only its verdict, always as of the current time.
    """
    checks = [check_length(meta, body)]
    for check in check_signature(provider, meta, body, now):
        checks.append(check)
        if not check.passed:
            return checks
    if all(check.passed for check in checks):
        checks.append(check_events(provider, meta, body))
    return checks


def check_signature(
    provider: Provider, meta: Mapping[str, Any], body: bytes, now: float | None
) -> Iterator[Check]:
    """Yield the checks of ``verify``."""
    if not provider.verifies_by_options:
        yield check_verdict(provider, meta, body)
        return
    yield check_secrets(provider)
    yield check_header(provider, meta)
    yield check_pattern(provider, meta)
    yield check_time(provider, meta)
    yield check_match(provider, meta, body)
    if provider.has_timestamp() and provider.tolerance is not None:
        yield check_age(provider, meta, time.time() if now is None else now)
    if now is None:
        # The provider decides: parts of its verify may have rules of their own.
        verdict = check_verdict(provider, meta, body)
        if not verdict.passed:
            yield verdict


def check_length(meta: Mapping[str, Any], body: bytes) -> Check:
    """Check that the body is as long as announced."""
    announced = read_header(meta, "Content-Length")
    text = f"The body has {len(body)} bytes."
    if announced in ("", str(len(body))):
        return Check("body", True, text)
    text += f" Its Content-Length is {announced[:20]!a}: it is not what was sent."
    return Check("body", False, text)


def check_verdict(provider: Provider, meta: Mapping[str, Any], body: bytes) -> Check:
    """Ask the provider itself, whose class may have rules of its own."""
    try:
        key = provider.verify(meta, body)
    except WebhookRefused as error:
        return Check("verify", False, f"The provider refuses it: {error.reason}.")
    return Check("verify", True, f"It is genuine, says the provider's class, by the key {key}.")


def check_secrets(provider: Provider) -> Check:
    """Check that there is a usable secret."""
    keys = number_keys(provider)
    texts = [
        f"Key {number} has the fingerprint {fingerprint(key)}." for number, key in keys.items()
    ]
    if provider.has_secrets:
        texts += list_unusable(provider)
    if not keys:
        texts.append(f"Set SECRETS to a list of texts of {MIN_KEY_LENGTH} bytes or more.")
    return Check("secrets", bool(keys), " ".join(texts))


def list_unusable(provider: Provider) -> Iterator[str]:
    """Yield what is wrong with each unusable secret."""
    for number, secret in enumerate(list_secrets(provider), 1):
        try:
            provider.decode_secret(secret)
        except ValueError as error:
            yield f"Key {number} can't be used: its secret {error}."


def check_header(provider: Provider, meta: Mapping[str, Any]) -> Check:
    """Check that the header with the signatures is there."""
    name = provider.signature_header
    header = read_header(meta, name)
    if header:
        return Check("header", True, f"The header {name} has {len(header)} characters.")
    similar = [other for other in list_headers(meta) if is_about_signing(other)]
    hint = "A proxy may have removed it."
    if similar:
        hint = f"There is {', '.join(similar)}: look at SIGNATURE_HEADER."
    return Check("header", False, f"The header {name} is missing or empty. {hint}")


def is_about_signing(header: str) -> bool:
    """Return whether a header's name suggests a signature."""
    return "sign" in header.lower() or "hmac" in header.lower()


def check_pattern(provider: Provider, meta: Mapping[str, Any]) -> Check:
    """Check that the pattern finds a signature in the header."""
    count = len(provider.find_signatures(meta))
    if count:
        return Check("signatures", True, f"SIGNATURE_PATTERN finds {count} in it.")
    name = provider.signature_header
    hint = describe_header(read_header(meta, name))
    return Check("signatures", False, f"SIGNATURE_PATTERN finds no signature in {name}. {hint}")


def describe_header(header: str) -> str:
    """Return what a header contains instead of a signature."""
    forms = [f"{len(mac.text)} characters of {mac.encoding}" for mac in find_macs(header)]
    hint = "Nothing in it is as long as a signature."
    if forms:
        hint = f"It has {' and '.join(forms)}."
    if header != header.strip():
        hint += " It begins or ends with white space."
    return hint


def check_time(provider: Provider, meta: Mapping[str, Any]) -> Check:
    """Check that the signing time is there, if the scheme has one."""
    timestamp = provider.read_timestamp(meta)
    if timestamp == "":
        return Check("time", True, "The scheme has no signing time.")
    if timestamp:
        return Check("time", True, f"The signing time is {timestamp}.")
    name = provider.timestamp_header or provider.signature_header
    hint = describe_time(read_header(meta, name))
    return Check("time", False, f"There is no signing time in {name}. {hint}")


def describe_time(header: str) -> str:
    """Return what is wrong with a header that should contain a time."""
    if not header:
        return "The header is missing or empty."
    if any(len(found) == 13 for found in TIME.findall(header)):
        return "It has a time in milliseconds, and Unix seconds are needed."
    return "It has no 1 to 12 plain digits where TIMESTAMP_PATTERN looks."


def check_match(provider: Provider, meta: Mapping[str, Any], body: bytes) -> Check:
    """Check that a key has signed exactly this body."""
    signatures = provider.find_signatures(meta)
    timestamp = provider.read_timestamp(meta) or ""
    keys = number_keys(provider)
    for number, key in keys.items():
        if provider.matches(key, meta, body, timestamp, signatures):
            which = f"key {number} of {len(keys)}"
            text = f"It matches {which}, whose fingerprint is {fingerprint(key)}."
            return Check("match", True, text)
    return Check("match", False, "No key of this provider has signed exactly this body.")


def check_age(provider: Provider, meta: Mapping[str, Any], now: float) -> Check:
    """Check that the signing time is near enough to now."""
    tolerance = provider.tolerance or 0
    age = now - provider.read_seconds(provider.read_timestamp(meta) or "0")
    order = "before" if age >= 0 else "after"
    text = f"It was signed {int(abs(age))} s {order} it was received;"
    text += f" up to {tolerance:g} s are allowed."
    if abs(age) <= tolerance:
        return Check("age", True, text)
    return Check("age", False, f"{text} Compare the clocks; or it was recorded and resent.")


def check_events(provider: Provider, meta: Mapping[str, Any], body: bytes) -> Check:
    """Check that the body can be parsed. One that can't is answered with 400, not 401."""
    events = provider.parse(meta, body)
    if not events[0].type:
        return Check("events", False, f"It is genuine, but: {escape(events[0].error)}")
    return Check("events", True, f"It says: {escape(describe_events(events))}.")


def describe_events(events: list[Event]) -> str:
    """Return each event's name and subject, up to a number of events."""
    names = [f"{event}{describe_subject(event)}" for event in events[:SHOWN_EVENTS]]
    more = len(events) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def describe_subject(event: Event) -> str:
    """Return an event's order, payment and money, in brackets, or "" if it has none."""
    known = {"order": event.order_id, "payment": event.payment_id}
    facts = [f"{name} {value}" for name, value in known.items() if value]
    try:
        facts += [str(event.money)] if event.money else []
    except ValueError as error:
        facts.append(f"not an amount of money: {error}")
    return f" ({', '.join(facts)})" if facts else ""
