"""``manage.py show_payment_webhook``."""

from __future__ import annotations

import json
from typing import Any, Iterator

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet

from ... import history
from ...conf import get_provider, settings
from ...history.timeline import Step, find_moment, read_timeline
from ...models import Event
from ...monitoring.problems import find_state
from ...providers.escaping import escape
from ...providers.personal import hide_personal, list_known
from ...providers.pruned import is_pruned
from ...providers.redaction import redact, redact_text
from ...providers.subject import find_by_order
from ..filters import add_names, check_order, describe_missing, find_named, is_named
from ..tables import describe_money, write_moment
from ..terminal import TerminalCommand, add_by, read_text, unable

MAX_SHOWN = 20
MAX_BODY = 4000


class Command(TerminalCommand):
    """Show single events."""

    help = (
        "Show everything that is known about payment webhook events: the row, the timeline, the "
        "traceback of the last failed attempt, and the payload. Personal data is redacted; with "
        "--payload, the payload is not, and who looked at it is recorded. Name the events by the "
        "ids that their provider gave them, by their primary keys, or by their order. Exits with 0 "
        "if all were found and shown, and with 1 if not."
    )

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        add_names(parser)
        add = parser.add_argument
        add(
            "--order",
            type=read_text,
            metavar="ID",
            help=f"the events of this order, the oldest first, at most {MAX_SHOWN}",
        )
        text = "show the payload as it was sent, with personal data"
        add("--payload", action="store_true", help=text)
        add_by(parser, "looks at the payload")
        add("--json", action="store_true", help="print a JSON list")

    def handle(self, *args: Any, **options: Any) -> None:
        """Show them."""
        if is_named(options) == (options["order"] is not None):
            raise unable("Say which events: by their ids, by --key, or by --order.")
        events, missing = find(options)
        if options["payload"]:
            write_looks(events, options)
        found = [describe(event, options["payload"]) for event in events]
        if options["json"]:
            self.stdout.write(json.dumps(found, cls=DjangoJSONEncoder))
        elif found:
            self.stdout.write("\n\n".join("\n".join(write_text(facts)) for facts in found))
        if missing:
            raise CommandError("\n".join(missing))


def find(options: dict[str, Any]) -> tuple[list[Event], list[str]]:
    """Return the events, and a sentence for each that is not there."""
    if options["order"] is None:
        choice = find_named(options, Event.objects.all())
        events, more = take_shown(choice.events)
        return events, [*map(describe_missing, choice.missing), *more]
    check_order(options["order"])
    events, more = take_shown(find_by_order(options["order"]))
    return events, more if events else [f"No event is of the order {options['order']!a}."]


def take_shown(chosen: QuerySet) -> tuple[list[Event], list[str]]:
    """Return the events that are shown, the oldest first, and a sentence if there are more."""
    events = list(chosen.order_by("pk")[: MAX_SHOWN + 1])
    if len(events) <= MAX_SHOWN:
        return events, []
    more = f"There are more than these {MAX_SHOWN} events: list_payment_webhooks has them all."
    return events[:MAX_SHOWN], [more]


def write_looks(events: list[Event], options: dict[str, Any]) -> None:
    """Write down who looked at which payloads, before they are shown."""
    for event in events:
        history.write_look(event, options["by"], options["reason"])


def describe(event: Event, shows_payload: bool) -> dict[str, Any]:
    """Return what is known of an event, as plain JSON."""
    due = None if event.due_at is None else find_moment(event.due_at)
    return {
        "key": event.pk,
        "event_id": event.provider_event_id,
        "provider": event.provider,
        "provider_problem": find_provider_problem(event),
        "type": event.type,
        "status": find_state(event),
        "attempts": event.attempts,
        "order_id": event.order_id,
        "payment_id": event.payment_id,
        "money": describe_money(event),
        "occurred_at": write_moment(event.occurred_at),
        "received_at": write_moment(event.received_at),
        "verified_by": event.verified_by,
        "due_at": write_moment(due),
        "finished_at": write_moment(event.finished_at),
        "cause": event.cause_key or "",
        "error": hide_personal(event, event.error),
        "timeline": [describe_step(step) for step in read_timeline(event)],
        "traceback": hide_personal(event, history.read_traceback(event)),
        "payload": read_payload(event, shows_payload),
    }


def find_provider_problem(event: Event) -> str:
    """Return why an event's provider can't read it; "" if it can."""
    if event.provider not in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        return "It is not in PAYMENT_WEBHOOKS_PROVIDERS."
    try:
        get_provider(event.provider)
    except Exception as error:
        return f"It can't be loaded: {error!r}. Fix PAYMENT_WEBHOOKS_PROVIDERS."
    return ""


def describe_step(step: Step) -> dict[str, str]:
    """Return a step of an event's history."""
    return {
        "at": write_moment(step.at),
        "verb": step.verb,
        "text": hide_personal(step.event, step.text),
        "by": step.by,
        "other": str(step.other or ""),
    }


def read_payload(event: Event, is_whole: bool) -> Any:
    """Return what an event says, redacted or whole; as text if it could not be parsed."""
    if is_pruned(event.body):
        return "It was pruned."
    try:
        return event.payload if is_whole else redact(event.payload, list_known(event))
    except Exception:
        text = bytes(event.body[:MAX_BODY]).decode("utf-8", "backslashreplace")
        return text if is_whole else redact_text(text, list_known(event))


def write_text(facts: dict[str, Any]) -> Iterator[str]:
    """Yield the lines about an event."""
    for name, value in facts.items():
        if name not in ("timeline", "traceback", "payload") and value != "":
            yield f"{name:16}  {escape(value)}"
    yield "timeline"
    for step in facts["timeline"]:
        details = [step["text"], step["by"] and f"by {step['by']}", step["other"]]
        yield escape("  ".join(["", step["at"], step["verb"], *filter(None, details)]))
    for name in ("traceback", "payload"):
        if facts[name]:
            yield name
            yield from indent(facts[name])


def indent(value: Any) -> Iterator[str]:
    """Yield the lines of a text, or of a document."""
    text = value
    if not isinstance(value, str):
        text = json.dumps(value, indent=2, cls=DjangoJSONEncoder)
    for line in text.splitlines():
        yield f"  {escape(line)}"
