"""A provider described by attributes."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Iterator, Mapping, Sequence

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.module_loading import import_string

from ..exceptions import Answered
from ..models import Event, digest
from ..receiving import BaseProvider
from .addresses import check_address
from .bodies import FORMATS, fold, unfold
from .causes import find_cause
from .confirmed import UNCONFIRMED
from .escaping import cut
from .fields import Field, Reference, compile_field, list_outside, read_outside, write_text
from .fingerprints import find_fingerprint
from .money import Money, read_money
from .payloads import (
    ParseError,
    describe_recursion,
    find,
    omit,
    place,
    read_text,
    replace_unstorable,
)
from .pruned import PrunedPayload, is_pruned, read_pruned
from .requests import read_body
from .signatures import HMACSignature
from .times import read_time
from .types import compile_condition, compile_types, find_type

# The fields that become columns of an event's row.
ENVELOPE = ("provider_event_id", "type", "order_id", "payment_id", "occurred_at")
# The longest reason that is kept for refusing a webhook.
MAX_REASON = 1000
# What a class says about itself, and no setting can change.
FLAGS = ("has_secrets", "verifies_by_options", "needs_confirmation", "docs", "events")
# The options whose attributes have other names, since methods already have theirs.
ATTRIBUTES = {"confirm": "confirm_by"}
# The proof of a provider whose webhooks prove nothing.
UNPROVED = "none"
ANSWER_PLACEHOLDER = re.compile(r"\{([\w.]+)\}")


class Provider(HMACSignature, BaseProvider):
    """How a provider signs, where its fields are, and how to answer it.

    The defaults describe the default partner. ``PAYMENT_WEBHOOKS_PROVIDERS`` sets any attribute of
    this class by its name in upper case.
    """

    #: A reference to each field, as described in :mod:`~django_payment_webhooks.providers.fields`.
    #: Trust a header only if ``content`` signs it.
    fields: Mapping[str, Reference] = {
        "provider_event_id": "event_id",
        "type": "type",
        "occurred_at": "created_at",
        "order_id": "data.order_id",
        "payment_id": "data.charge_id",
        "charge_id": "data.charge_id",
        "refund_id": "data.refund_id",
        "dispute_id": "data.dispute_id",
        "amount": "data.amount",
        "currency": "data.currency",
    }
    #: The path of the object that most events are about. In ``fields`` and ``types`` a path with a
    #: dot before it, such as ``.id``, starts there.
    object_path = ""
    #: The names in ``PAYMENT_WEBHOOKS_HANDLERS`` of the provider's types; others keep their own
    #: names. A type can have conditions: ``REFUND success=true``.
    types: Mapping[str, str] = {}
    #: The path of the events if a webhook can carry several, with a star for the index:
    #: ``items.*.event``.
    events_path = ""
    #: The format of the body: ``json``, ``form``, ``nested`` (a form whose names have brackets),
    #: ``xml`` (which needs ``[xml]``), or ``query`` (a form or the parameters of a GET).
    body_format = "json"
    #: The format of an event's time, and the zone of a time that has none: see
    #: :mod:`~django_payment_webhooks.providers.times`.
    time_format = "auto"
    time_zone = "UTC"
    #: Whether amounts are in ``major`` units (10.00) or ``minor`` ones (1000), and the exponents of
    #: currencies in which the provider deviates from ISO 4217: ``{"ISK": 2}``.
    amount_unit = "major"
    exponents: Mapping[str, int] = {}
    #: The paths of what can differ between two deliveries of one event: counters of attempts, and
    #: the like.
    ignored_fields: Sequence[str] = ()
    #: The source of event ids and effects. Providers with the same account, such as its two
    #: endpoints, share them. By default the provider's name.
    account = ""
    #: The shop that the order numbers belong to, if another shop could have the same numbers.
    shop = ""
    #: Which events are test-mode events: a condition as in ``types``, such as ``livemode=false``.
    #: Empty if events do not say.
    test_mode = ""
    #: Which events have effects here: ``True`` for live ones, ``False`` for test-mode ones,
    #: ``None`` for both. Others are ``ignored``. An event that does not say has its effect.
    live: bool | None = True
    #: The networks that the provider sends from, and the number of your proxies in front of the
    #: app. The networks are checked only if you set that number, which can be 0.
    addresses: Sequence[str] = ()
    trusted_proxies: int | None = None
    #: The dotted path of your function that takes an event, asks the provider, and returns the
    #: event's true content. The option is called ``CONFIRM``. If set, the function is called for
    #: every event before it is applied.
    confirm_by = ""
    #: The HTTP status for a signed body that can't be parsed. Some providers stop sending after
    #: errors.
    parse_error_status = 400
    #: The response that the provider expects, such as ``[accepted]``, and its content type; None
    #: for a JSON object. ``{InvId}`` is replaced by the event's value at this path.
    answer_body: str | None = None
    answer_type = "text/plain"
    #: The methods of requests that only check whether the endpoint exists. They get 200.
    ping_methods: Sequence[str] = ()
    #: What a GET must be answered with to show that the address is yours: a reference to its
    #: headers or query, with a pattern that lets nothing else through.
    challenge: Reference = ""

    #: Whether a webhook proves too little to be trusted, so that CONFIRM must be set. Set by a
    #: class, not an option.
    needs_confirmation = False
    #: What the documentation and the admin say about the provider. Not options.
    docs = ""
    events: Sequence[str] = ()
    #: How many seconds the provider may go on resending an event, automatically or manually.
    resends_for = 90 * 24 * 60 * 60
    #: The URL of a payment in the provider's dashboard, with ``{payment_id}``.
    dashboard = ""

    def __init__(self, name: str, **options: Any) -> None:
        """Set the options. Raises ``ImproperlyConfigured`` for one that the class does not have."""
        self.name = name
        for option, value in options.items():
            attribute = ATTRIBUTES.get(option.lower(), option.lower())
            if not is_option(type(self), attribute):
                raise ImproperlyConfigured(f"{option} is not an option of the provider {name}.")
            setattr(self, attribute, value)
        self.says_account = bool(self.account)
        self.account = self.account or name
        if self.signature_field or self.proof != "hmac":
            self.verifies_by_options = False
        self.fields = {**type(self).fields, **self.fields}
        self.compile()

    def compile(self) -> None:
        """Compile the fields and the types, once. Raises ``ImproperlyConfigured``."""
        try:
            self._fields: dict[str, Field] = {
                name: compile_field(reference, self.object_path)
                for name, reference in self.fields.items()
            }
            self.rules = compile_types(self.types, self.object_path)
            self.test_condition = compile_condition(self.test_mode, self.object_path)
        except ValueError as error:
            raise ImproperlyConfigured(f"The provider {self.name}: {error}.") from error
        conditions = [condition for rule in self.rules for condition in rule.conditions]
        tested = [condition.field for condition in [*conditions, self.test_condition] if condition]
        self._outside = list_outside([*self._fields.values(), *tested])

    # ---- the request

    def ping(self, request: HttpRequest) -> HttpResponse | None:
        """Return the response to a request that carries no event, or None for a webhook.

        Called before the webhook is verified; a POST has its body in ``request.body``. So answering
        a challenge here proves no more than the challenge asks.
        """
        challenge = self.read_challenge(request) if self.challenge else ""
        if challenge:
            return HttpResponse(self.answer_challenge(challenge), content_type="text/plain")
        if request.method in self.ping_methods:
            return HttpResponse(content_type="text/plain")
        return None

    def read_challenge(self, request: HttpRequest) -> str:
        """Return a request's challenge to this address, or "" if it has none."""
        if request.method != "GET":
            return ""
        field = compile_field(self.challenge)
        beside = {path: read_outside(path, request.META) for path in field.paths()}
        return write_text(field.read(beside))

    def answer_challenge(self, challenge: str) -> str:
        """Return the answer to a challenge: the same text. A class can override this to sign it."""
        return challenge

    def read_body(self, request: HttpRequest) -> bytes:
        """Return the raw body of a webhook's request.

        Raises ``WebhookRefused``, and ``Answered`` for a request that carries no event.
        """
        body = read_body(request) if request.method == "POST" else b""
        answer = self.ping(request)
        if answer is not None:
            raise Answered(answer)
        if self.body_format == "query" and request.method == "GET":
            return str(request.META.get("QUERY_STRING") or "").encode("utf-8", "replace")
        return body or read_body(request)

    def verify(self, meta: Mapping[str, Any], body: bytes) -> str:
        """Return a short fingerprint of what proved a webhook. Raises ``WebhookRefused``."""
        if not check_address(meta, self.addresses, self.trusted_proxies):
            raise self.refuse("address")
        return self.prove(meta, body)

    def prove(self, meta: Mapping[str, Any], body: bytes) -> str:
        """Return a short fingerprint of the key that signed a webhook. See ``HMACSignature``."""
        if self.proof == UNPROVED:
            return "unproved"
        return super().verify(meta, body)

    def sign_body(
        self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = ""
    ) -> bytes:
        """Return a body with its signatures in it: the inverse of :meth:`verify`.

        Only for sending.
        """
        if not self.signature_field:
            return body
        document = self.decode(body)
        paths = self.find_events(document) if self.events_path else [""]
        for path in paths:
            part = find(document, path)
            signature = self.sign(key, meta, self.encode(part), timestamp)
            written = self.signature_template.replace("{signature}", signature)
            place(part, self.signature_field, written)
        return self.encode(document)

    def list_signed(self, body: bytes) -> Iterator[bytes]:
        """Yield each part of a body with its own signature. Raises ``WebhookRefused``."""
        if not (self.signature_field and self.events_path):
            return super().list_signed(body)
        try:
            return iter([part for _, part in self.split(body)])
        except (ValueError, RecursionError, ParseError):
            raise self.refuse("malformed_signature") from None

    # ---- the events

    def parse(self, meta: Mapping[str, Any], body: bytes) -> list[Event]:
        """Return a webhook's events, not saved, or one failed event if it can't be parsed.

        ``meta`` is ``request.META``, or empty if a stored body is parsed again.
        """
        beside = self.read_beside(meta)
        if not meta:
            with suppress(ValueError):
                known, body = unfold(body)
                beside.update(known)
        try:
            events = self.parse_events(beside, body)
        except ParseError as error:
            events = [self.keep_unparsed(beside, body, str(error))]
        except Exception as error:
            reason = f"The class of the provider raised {type(error).__name__}: {error}"
            events = [self.keep_unparsed(beside, body, reason)]
        for event in events:
            event.provider = self.name
            event.dedup_key = digest(self.account, event.provider_event_id)
            if self.confirm_by or self.needs_confirmation:
                event.confirmation = UNCONFIRMED
        return events

    def read_beside(self, meta: Mapping[str, Any]) -> dict[str, str]:
        """Return the values that fields need from outside the body, by reference."""
        return {path: read_outside(path, meta) for path in self._outside}

    def keep_unparsed(self, beside: Mapping[str, str], body: bytes, reason: str) -> Event:
        """Return one failed event, which stores a webhook that can't be parsed."""
        now = timezone.now()
        return Event(
            provider_event_id=f"unparsed:{digest(body.hex())}",
            occurred_at=now,
            finished_at=now,
            status=Event.FAILED,
            error=replace_unstorable(cut(reason, MAX_REASON)),
            cause_key=find_cause(None, reason, self.name).key,
            body=fold(beside, body),
        )

    def parse_events(self, beside: Mapping[str, str], body: bytes) -> list[Event]:
        """Return a webhook's events. Raises ``ParseError``.

        A single event has the whole body, byte for byte; one of several has its own part, as equal
        JSON. ``beside`` is what came beside the body, by reference.
        """
        try:
            parts = self.split(body)
            return [self.parse_event(beside, payload, part) for payload, part in parts]
        except ValueError as error:
            raise self.parse_error(f"The body can't be read: {error}.") from error
        except RecursionError:
            text = f"The body can't be read: {describe_recursion()}."
            raise self.parse_error(text) from None

    def split(self, body: bytes) -> list[tuple[Any, bytes]]:
        """Return each event's payload, and its own part of the body.

        Raises ``ValueError`` or ``ParseError``.
        """
        document = self.decode(body)
        if not self.events_path:
            return [(document, body)]
        paths = self.find_events(document)
        self.check_count(paths)
        payloads = [find(document, path) for path in paths]
        return [(payload, self.encode(payload)) for payload in payloads]

    def encode(self, payload: Any) -> bytes:
        """Return one of several events as a body of its own, which :meth:`decode` reads."""
        return FORMATS[self.body_format].encode(payload)

    def decode(self, body: bytes) -> Any:
        """Return the object in a body. Raises ``ValueError``.

        Its numbers are int or Decimal.
        """
        return FORMATS[self.body_format].decode(body)

    def find_events(self, document: Any) -> list[str]:
        """Return the path of each event in a webhook's document."""
        before, star, after = self.events_path.partition("*")
        if not star:
            return [self.events_path] if find(document, self.events_path) is not None else []
        items = find(document, before.strip("."))
        if not isinstance(items, list):
            return []
        return [f"{before}{index}{after}" for index in range(len(items))]

    def check_count(self, paths: Sequence[str]) -> None:
        """Raise ``ParseError`` if a webhook has no events, or more than the settings allow."""
        if not paths:
            raise self.parse_error(f"The body has no list of events at {self.events_path}.")
        limit = settings.PAYMENT_WEBHOOKS_MAX_EVENTS
        if len(paths) > limit:
            allowed = f"{limit} (PAYMENT_WEBHOOKS_MAX_EVENTS)"
            raise self.parse_error(f"The body has {len(paths)} events, more than {allowed}.")

    def parse_event(self, beside: Mapping[str, str], payload: Any, body: bytes) -> Event:
        """Return one of a webhook's events, not saved. Raises ``ParseError``."""
        if not isinstance(payload, dict):
            raise self.parse_error("The event is not a JSON object.")
        payload = {**payload, **beside}
        return Event(
            provider_event_id=self.read_identifier("provider_event_id", payload),
            fingerprint=find_fingerprint(omit(payload, self.list_ignored())),
            body=fold(beside, body),
            **self.read_columns(payload),
        )

    def list_ignored(self) -> list[str]:
        """Return the paths of values that can differ between two deliveries of one event.

        A signature in the body is one, as the secret may have been rotated in between.
        """
        return [*self.ignored_fields, *filter(None, [self.signature_field])]

    def read_columns(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns of an event's row that come from its payload. Raises ``ParseError``.

        Read again once the provider has confirmed the event.
        """
        types = self.read_types(payload)
        order_id = self.read_optional("order_id", payload, types)
        payment_id = self.read_optional("payment_id", payload, types)
        shop = [self.shop] if self.shop else []
        return {
            "type": types[0],
            "occurred_at": self.read_occurred_at(payload, types),
            "order_id": order_id,
            "order_key": digest(*shop, order_id) if order_id else "",
            "payment_id": payment_id,
            "payment_key": digest(self.account, payment_id) if payment_id else "",
        }

    def read_types(self, payload: Mapping[str, Any]) -> tuple[str, str]:
        """Return an event's type, by our name and by the provider's. Raises ``ParseError``."""
        provider_type = self.read_identifier("type", payload)
        return find_type(self.rules, provider_type, payload), provider_type

    def read_occurred_at(self, payload: Mapping[str, Any], types: Sequence[str]) -> Any:
        """Return when an event happened, or now if it does not say. Raises ``ParseError``."""
        value = self.read_field("occurred_at", payload, types)
        if value in (None, ""):
            return timezone.now()
        try:
            return read_time(value, self.time_format, self.time_zone)
        except ValueError as error:
            raise self.parse_error(f"{self.describe_field('occurred_at')} {error}.") from error

    def read_optional(self, name: str, payload: Mapping[str, Any], types: Sequence[str]) -> str:
        """Return an identifier, or "" if it is missing or invalid.

        Only a handler knows whether an event needs it.
        """
        try:
            return read_text(self.read_field(name, payload, types))
        except ValueError:
            return ""

    def read_identifier(self, name: str, payload: Mapping[str, Any]) -> str:
        """Return an identifier. Raises ``ParseError``, which names the field."""
        types = () if name == "type" else self.read_types(payload)
        try:
            return read_text(self.read_field(name, payload, types))
        except ValueError as error:
            raise self.parse_error(f"{self.describe_field(name)} {error}.") from error

    def describe_field(self, name: str) -> str:
        """Return a field's name for a message: its reference, or else its name."""
        reference = self.fields.get(name, name)
        return reference if isinstance(reference, str) else name

    def read_field(self, name: str, payload: Any, types: Sequence[str] = ()) -> Any:
        """Return a field of an event of these types, or None."""
        field = self._fields.get(name)
        return field.read(payload, types) if field else None

    def parse_error(self, message: str) -> ParseError:
        """Return the error that refuses a body that can't be parsed."""
        return ParseError(self.parse_error_status, "unparsed", message)

    # ---- what a stored event says

    def payload(self, body: bytes) -> Any:
        """Return the payload in a stored body. Raises ``ValueError``.

        It includes, by reference, the values that came beside the body. For a pruned body it is a
        dictionary that equals the event's payload, but has none of its content.
        """
        if is_pruned(body):
            return read_pruned(body, self.parse_error_status)
        beside, body = unfold(body)
        # A confirmation is JSON, whatever the format of the webhooks.
        form = "json" if body[:1] == b"{" else self.body_format
        document = FORMATS["json"].decode(body) if form != self.body_format else self.decode(body)
        return {**document, **beside} if beside else document

    def read(self, payload: Any) -> dict[str, Any]:
        """Return the fields that have no column, None for a missing one."""
        if isinstance(payload, PrunedPayload):
            return payload.data
        types: Sequence[str] = ()
        with suppress(ParseError):
            types = self.read_types(payload)
        names = [name for name in self.fields if name not in ENVELOPE]
        return {name: self.read_field(name, payload, types) for name in names}

    def read_money(self, payload: Any) -> Money | None:
        """Return an event's money, or None if it has none.

        Raises ``ValueError`` if the provider sent no valid amount.
        """
        data = {} if isinstance(payload, PrunedPayload) else self.read(payload)
        if data.get("amount") in (None, ""):
            return None
        return read_money(data["amount"], data.get("currency"), self.amount_unit, self.exponents)

    def is_test(self, payload: Any) -> bool | None:
        """Return whether an event is a test-mode event, or None if it does not say."""
        if not self.test_condition or self.test_condition.field.read(payload) in (None, ""):
            return None
        return self.test_condition.holds(payload)

    def confirm(self, event: Event) -> Any:
        """Return what your function says the provider answered about an event.

        It has the form of the event, with what came beside its body. Raises
        ``ImproperlyConfigured`` if CONFIRM names no function, and whatever the function
        raises.
        """
        if not self.confirm_by:
            raise ImproperlyConfigured(f"Set CONFIRM of the provider {self.name}.")
        confirmed = import_string(self.confirm_by)(event)
        beside, _ = unfold(bytes(event.body))
        return {**confirmed, **beside} if isinstance(confirmed, dict) else confirmed

    # ---- the answer

    def answer(self, events: Sequence[Event]) -> HttpResponse:
        """Return the 200 response to a webhook whose events are stored.

        Raises ``ParseError`` if it could not be parsed.
        """
        if not events[0].type:
            raise self.parse_error(events[0].error)
        if self.answer_body is not None:
            text = self.fill_answer(self.answer_body, events[0])
            return HttpResponse(text, content_type=self.answer_type)
        answers = [describe(event) for event in events]
        return JsonResponse(answers[0] if len(answers) == 1 else {"events": answers})

    def fill_answer(self, template: str, event: Event) -> str:
        """Return the text of an answer, with the event's values in its placeholders."""

        def fill(found: re.Match[str]) -> str:
            return write_text(find(self.payload(bytes(event.body)), found.group(1)))

        return ANSWER_PLACEHOLDER.sub(fill, template)


def is_option(provider: type[Provider], name: str) -> bool:
    """Return whether an attribute of a class is an option: it exists, and it is data."""
    if name.startswith("_") or name in FLAGS:
        return False
    return hasattr(provider, name) and not callable(getattr(provider, name))


def describe(event: Event) -> dict[str, str]:
    """Return an event's part of the answer."""
    status = "accepted" if event.is_new else "duplicate"
    return {"status": status, "event_id": event.provider_event_id}
