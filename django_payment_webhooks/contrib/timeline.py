"""What happened to an event, and to all events of its order, in the order in which it happened."""

from collections import namedtuple
from typing import Any, Iterable, Iterator, List

from django.apps import apps

from ..models import Event

HISTORY = "django_payment_webhooks.contrib.history"
MAX_EVENTS = 50
MAX_STEPS = 500

#: One step of an event: when, what (a verb, or ``due`` for what is still to come), why, who, and the other event of it.
Step = namedtuple("Step", "event at verb text by other")


def read_timeline(event: Event) -> List[Step]:
    """Return the steps of one event, the oldest first."""
    return read_steps([event])


def read_order_timeline(event: Event) -> List[Step]:
    """Return the steps of all events of an event's order, the oldest first; of the newest events if they are many."""
    if not event.order_id:
        return read_timeline(event)
    events = Event.objects.filter(order_key=event.order_key).defer("body").order_by("-pk")[:MAX_EVENTS]
    return read_steps(list(events))


def read_steps(events: Iterable[Event]) -> List[Step]:
    """Return the steps of some events: from the history if it is installed, and from their rows."""
    by_event: Any = {event.pk: [] for event in events}
    if apps.is_installed(HISTORY):
        entries = apps.get_model("payment_webhooks_history", "Entry").objects.filter(event_id__in=list(by_event))
        for entry in entries.select_related("other").defer("other__body").order_by("-pk")[:MAX_STEPS]:
            by_event[entry.event_id].insert(0, entry)
    steps = [step for event in events for step in read_event(event, by_event[event.pk])]
    # What is to come is last, even if it is due already.
    return sorted(steps, key=lambda step: (step.verb == "due", step.at))


def read_event(event: Event, entries: Iterable[Any]) -> Iterator[Step]:
    """Give the steps of one event. What its history does not have, its row may still tell."""
    proof = "by the key %s" % event.verified_by if event.verified_by else "not by a webhook"
    yield Step(event, event.received_at, "received", proof, "", None)
    told = set()
    for entry in entries:
        told.add(entry.verb)
        yield Step(event, entry.at, entry.verb, entry.text, entry.by, entry.other)
    if event.waiting_since and Event.WAITING not in told:
        yield Step(event, event.waiting_since, Event.WAITING, "", "", None)
    if event.finished_at and event.status not in told:
        yield Step(event, event.finished_at, event.status, event.error, "", None)
    if event.due_at:
        yield Step(event, event.due_at, "due", event.error, "", None)
