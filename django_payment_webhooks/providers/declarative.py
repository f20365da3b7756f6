"""A provider described by attributes."""

from typing import Any, Dict, List, Mapping, Sequence

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from ..models import Event, digest
from ..receiving import BaseProvider
from .comparison import find_fingerprint
from .payloads import ParseError, dump_json, find, load_json, read_text, read_time
from .pruned import PrunedPayload, is_pruned, read_pruned
from .requests import read_body
from .signatures import HMACSignature, read_header

# The fields that become columns of the event's row. Only they can come in a header.
ENVELOPE = ("provider_event_id", "type", "order_id", "occurred_at")


class Provider(HMACSignature, BaseProvider):
    """How a provider signs, where it puts what, and how it is answered. As it is, this is the default partner.

    ``PAYMENT_WEBHOOKS_PROVIDERS`` sets any attribute of this class by its name in upper case; an option that is
    no attribute raises ``ImproperlyConfigured``.
    """

    #: Where each field is: a dotted path into the event. The id, the type, the order and the time can also come in a
    #: header, given as ``header:`` and its name; trust only a header that ``content`` has signed.
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
    #: What the provider's types are called in ``PAYMENT_WEBHOOKS_HANDLERS``; others keep their names.
    types: Mapping[str, str] = {}
    #: Where the events are if a webhook can carry several, with a star for the index: ``items.*.event``.
    events_path = ""
    #: The status that answers a signed body which can't be parsed. Some providers stop sending after errors.
    parse_error_status = 400
    #: The text that the provider wants to read, such as ``[accepted]``; None for a JSON object.
    answer_body: Any = None

    def __init__(self, name: str, **options: Any):
        self.name = name
        for option, value in options.items():
            if not hasattr(type(self), option.lower()):
                raise ImproperlyConfigured(
                    "%s is not an option of the provider %s." % (option, name)
                )
            setattr(self, option.lower(), value)
        self.fields = dict(type(self).fields, **self.fields)

    def read_body(self, request: HttpRequest) -> bytes:
        """Return the raw body of a request. Raises ``WebhookRefused``."""
        return read_body(request)

    def parse(self, meta: Mapping[str, Any], body: bytes) -> List[Event]:
        """Return the events that a webhook carries, not saved; a failed one if it makes no sense."""
        try:
            return self.parse_events(meta, body)
        except ParseError as error:
            now = timezone.now()
            return [
                Event(
                    provider_event_id="unparsed:" + digest(body.hex()),
                    body=body,
                    status=Event.FAILED,
                    error=str(error),
                    occurred_at=now,
                    finished_at=now,
                )
            ]

    def parse_events(self, meta: Mapping[str, Any], body: bytes) -> List[Event]:
        """Return the events that a webhook carries. Raises ``ParseError``."""
        try:
            document = load_json(body)
        except ValueError as error:
            raise self.parse_error("The body can't be read: %s." % error) from error
        paths = self.find_events(document)
        if not paths:
            raise self.parse_error("The body has no list of events at %s." % self.events_path)
        return [self.parse_event(meta, find(document, path), body) for path in paths]

    def find_events(self, document: dict) -> List[str]:
        """Return the path of each event in a webhook's document."""
        before, star, after = self.events_path.partition("*")
        items = find(document, before.strip(".")) if star else None
        if isinstance(items, list):
            return [before + str(index) + after for index in range(len(items))]
        return [] if star else [self.events_path]

    def parse_event(self, meta: Mapping[str, Any], payload: Any, body: bytes) -> Event:
        """Return one event."""
        if not isinstance(payload, dict):
            raise self.parse_error("The event is not a JSON object.")
        values = {name: self.read_field(name, meta, payload) for name in ENVELOPE}
        event_type = self.read_identifier(values, "type")
        return Event(
            provider_event_id=self.read_identifier(values, "provider_event_id"),
            type=self.types.get(event_type, event_type),
            # Not every event is about an order.
            order_id=""
            if values["order_id"] in (None, "")
            else self.read_identifier(values, "order_id"),
            occurred_at=read_time(values["occurred_at"]),
            fingerprint=find_fingerprint(payload),
            body=dump_json(payload) if self.events_path else body,
        )

    def payload(self, body: bytes) -> Any:
        """Return what an event says: a JSON object with its numbers as int or Decimal."""
        if is_pruned(body):
            return read_pruned(body, self.parse_error_status)
        return load_json(body)

    def read(self, payload: Mapping) -> Dict[str, Any]:
        """Return what an event is about: the fields that its row has no column for, None for a missing one."""
        if isinstance(payload, PrunedPayload):
            return payload.data
        return {
            name: find(payload, path) for name, path in self.fields.items() if name not in ENVELOPE
        }

    def read_field(self, name: str, meta: Mapping[str, Any], payload: Mapping) -> Any:
        """Return a field of an event that is being received, or None."""
        body_path, is_header, header = self.fields.get(name, "").partition("header:")
        if is_header:
            return read_header(meta, header) or None
        return find(payload, body_path) if body_path else None

    def read_identifier(self, values: Mapping[str, Any], name: str) -> str:
        """Return an identifier among the fields."""
        try:
            return read_text(values[name])
        except ValueError as error:
            raise self.parse_error("%s %s." % (self.fields.get(name, name), error)) from error

    def parse_error(self, message: str) -> ParseError:
        """Return the refusal of a body that can't be parsed."""
        return ParseError(self.parse_error_status, "unparsed", message)

    def answer(self, events: Sequence[Event]) -> HttpResponse:
        """Return the 200 for a webhook whose events are stored."""
        if events and not events[0].type:
            raise self.parse_error(events[0].error)
        if self.answer_body is not None:
            return HttpResponse(self.answer_body, content_type="text/plain")
        answers = [
            {
                "status": "accepted" if event.is_new else "duplicate",
                "event_id": event.provider_event_id,
            }
            for event in events
        ]
        return JsonResponse(answers[0] if len(answers) == 1 else {"events": answers})
