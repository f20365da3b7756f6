"""A provider described by attributes."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from ..models import Event, digest
from ..receiving import BaseProvider
from .fingerprints import find_fingerprint
from .headers import read_header
from .payloads import (
    ParseError,
    describe_recursion,
    dump_json,
    find,
    load_json,
    read_text,
    read_time,
    replace_unstorable,
)
from .pruned import PrunedPayload, is_pruned, read_pruned
from .requests import read_body
from .signatures import HMACSignature

# The fields that become columns of the event's row. Only they can come in a header.
ENVELOPE = ("provider_event_id", "type", "order_id", "occurred_at")
HEADER = "header:"
# How much is kept of what is wrong with a webhook.
MAX_REASON = 1000
# What a class can do, which no setting can change.
FLAGS = ("has_secrets", "verifies_by_options")


class Provider(HMACSignature, BaseProvider):
    """How a provider signs, where it puts what, and how it is answered.

    As it is, this is the default partner. ``PAYMENT_WEBHOOKS_PROVIDERS`` sets any attribute of
    this class by its name in upper case.
    """

    #: Where each field is: a dotted path into the event. The id, the type, the order and the time
    #: can also come in a header, given as ``header:`` and its name; trust only a header that
    #: ``content`` has signed.
    fields: Mapping[str, str] = {
        "provider_event_id": "event_id",
        "type": "type",
        "occurred_at": "created_at",
        "order_id": "data.order_id",
        "charge_id": "data.charge_id",
        "refund_id": "data.refund_id",
        "dispute_id": "data.dispute_id",
        "amount": "data.amount",
        "currency": "data.currency",
    }
    #: What the provider's types are called in ``PAYMENT_WEBHOOKS_HANDLERS``; others keep their
    #: names.
    types: Mapping[str, str] = {}
    #: Where the events are if a webhook can carry several, with a star for the index:
    #: ``items.*.event``.
    events_path = ""
    #: The status that answers a signed body which can't be parsed. Some providers stop sending
    #: after errors.
    parse_error_status = 400
    #: The text that the provider wants to read, such as ``[accepted]``; None for a JSON object.
    answer_body: str | None = None

    def __init__(self, name: str, **options: Any) -> None:
        """Set the options. Raises ``ImproperlyConfigured`` for one that the class does not have."""
        self.name = name
        for option, value in options.items():
            if not is_option(type(self), option.lower()):
                raise ImproperlyConfigured(f"{option} is not an option of the provider {name}.")
            setattr(self, option.lower(), value)
        self.fields = {**type(self).fields, **self.fields}

    def read_body(self, request: HttpRequest) -> bytes:
        """Return the raw body of a webhook's request. Raises ``WebhookRefused``."""
        return read_body(request)

    def parse(self, meta: Mapping[str, Any], body: bytes) -> list[Event]:
        """Return the events that a webhook carries, not saved; one that has failed if none.

        ``meta`` is ``request.META``, or empty if a stored body is parsed again.
        """
        try:
            return self.parse_events(meta, body)
        except ParseError as error:
            return [self.keep_unparsed(body, str(error))]
        except Exception as error:
            reason = f"The class of the provider raised {type(error).__name__}: {error}"
            return [self.keep_unparsed(body, reason)]

    def keep_unparsed(self, body: bytes, reason: str) -> Event:
        """Return what is stored of a webhook that makes no sense: one event that has failed."""
        now = timezone.now()
        return Event(
            provider_event_id=f"unparsed:{digest(body.hex())}",
            occurred_at=now,
            finished_at=now,
            status=Event.FAILED,
            error=replace_unstorable(reason[:MAX_REASON]),
            body=body,
        )

    def parse_events(self, meta: Mapping[str, Any], body: bytes) -> list[Event]:
        """Return the events that a webhook carries. Raises ``ParseError``.

        An event of several has its own part of the body, as equal JSON; a single one has it all,
        byte for byte.
        """
        try:
            parts = self.split(body)
            return [self.parse_event(meta, payload, part) for payload, part in parts]
        except ValueError as error:
            raise self.parse_error(f"The body can't be read: {error}.") from error
        except RecursionError:
            text = f"The body can't be read: {describe_recursion()}."
            raise self.parse_error(text) from None

    def split(self, body: bytes) -> list[tuple[Any, bytes]]:
        """Return of each event in a body what it says, and its own part of the body.

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
        """Return one event of several as a body of its own, which :meth:`decode` reads."""
        return dump_json(payload)

    def decode(self, body: bytes) -> Any:
        """Return the document that a body is, which is a JSON object. Raises ``ValueError``.

        Its numbers are int or Decimal.
        """
        return load_json(body)

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
        """Raise ``ParseError`` if a webhook has no event, or more than the settings allow."""
        if not paths:
            raise self.parse_error(f"The body has no list of events at {self.events_path}.")
        limit = settings.PAYMENT_WEBHOOKS_MAX_EVENTS
        if len(paths) > limit:
            allowed = f"{limit} (PAYMENT_WEBHOOKS_MAX_EVENTS)"
            raise self.parse_error(f"The body has {len(paths)} events, more than {allowed}.")

    def parse_event(self, meta: Mapping[str, Any], payload: Any, body: bytes) -> Event:
        """Return one event of a webhook, not saved. Raises ``ParseError``."""
        if not isinstance(payload, dict):
            raise self.parse_error("The event is not a JSON object.")
        event_type = self.read_identifier("type", meta, payload)
        return Event(
            provider_event_id=self.read_identifier("provider_event_id", meta, payload),
            type=self.types.get(event_type, event_type),
            occurred_at=read_time(self.read_field("occurred_at", meta, payload)),
            order_id=self.read_order_id(meta, payload),
            fingerprint=find_fingerprint(payload),
            body=body,
        )

    def read_order_id(self, meta: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
        """Return the id of an event's order, "" for an event that is not about one."""
        if self.read_field("order_id", meta, payload) in (None, ""):
            return ""
        return self.read_identifier("order_id", meta, payload)

    def read_identifier(
        self, name: str, meta: Mapping[str, Any], payload: Mapping[str, Any]
    ) -> str:
        """Return a field that is an identifier. Raises ``ParseError``, which names the field."""
        try:
            return read_text(self.read_field(name, meta, payload))
        except ValueError as error:
            raise self.parse_error(f"{self.fields.get(name, name)} {error}.") from error

    def read_field(self, name: str, meta: Mapping[str, Any], payload: Mapping[str, Any]) -> Any:
        """Return a field of an event that is being received, or None."""
        path = self.fields.get(name, "")
        if path.startswith(HEADER):
            return read_header(meta, path[len(HEADER) :]) or None
        return find(payload, path) if path else None

    def parse_error(self, message: str) -> ParseError:
        """Return the refusal of a body that can't be parsed."""
        return ParseError(self.parse_error_status, "unparsed", message)

    def payload(self, body: bytes) -> Any:
        """Return what an event says, from its stored body. Raises ``ValueError``.

        Of a pruned body it returns a dictionary that equals the event's payload, and has nothing of
        it.
        """
        if is_pruned(body):
            return read_pruned(body, self.parse_error_status)
        return self.decode(body)

    def read(self, payload: Any) -> dict[str, Any]:
        """Return what an event is about: the fields without a column, None for a missing one."""
        if isinstance(payload, PrunedPayload):
            return payload.data
        names = [name for name in self.fields if name not in ENVELOPE]
        return {name: find(payload, self.fields[name]) for name in names}

    def answer(self, events: Sequence[Event]) -> HttpResponse:
        """Return the 200 for a webhook whose events are stored.

        Raises ``ParseError`` if it could not be parsed.
        """
        if not events[0].type:
            raise self.parse_error(events[0].error)
        if self.answer_body is not None:
            return HttpResponse(self.answer_body, content_type="text/plain")
        answers = [describe(event) for event in events]
        return JsonResponse(answers[0] if len(answers) == 1 else {"events": answers})


def is_option(provider: type[Provider], name: str) -> bool:
    """Return whether an attribute of a class can be set: it is there, and it is data."""
    if name.startswith("_") or name in FLAGS:
        return False
    return hasattr(provider, name) and not callable(getattr(provider, name))


def describe(event: Event) -> dict[str, str]:
    """Return what the answer says about one event."""
    status = "accepted" if event.is_new else "duplicate"
    return {"status": status, "event_id": event.provider_event_id}
