"""What happened to an event, and to all events of its order, in the order in which it happened."""

from collections import namedtuple
from typing import Any, Iterable, List

from django.apps import apps

from ..models import Event

HISTORY = "django_payment_webhooks.contrib.history"
MAX_EVENTS = 50
MAX_STEPS = 500
FINAL = (Event.PROCESSED, Event.DUPLICATE, Event.IGNORED, Event.FAILED)

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
    return sorted(steps, key=lambda step: step.at)


def read_event(event: Event, entries: Iterable[Any]) -> Iterable[Step]:
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


def lay_out(steps: List[Step], current: Event, column: int = 92, row: int = 64) -> dict:
    """Return where each step is drawn: a lane for each event, a column for each step, in pixels.

    Columns are not to the scale of time: the steps of a minute and those of three days must both be seen.
    """
    left, top = 190, 34
    lanes = {event.pk: number for number, event in enumerate(first_seen(steps))}
    marks: List[dict] = []
    for number, step in enumerate(steps):
        y = top + lanes[step.event.pk] * row + row // 2
        mark = {"step": step, "x": left + number * column + column // 2, "y": y}
        if step.other and step.other.pk in lanes:
            mark["from_y"] = top + lanes[step.other.pk] * row + row // 2
        marks.append(mark)
    drawn = []
    for event in first_seen(steps):
        mine = [mark for mark in marks if mark["step"].event.pk == event.pk]
        line = {"event": event, "is_current": event.pk == current.pk, "y": mine[0]["y"]}
        drawn.append(dict(line, start=mine[0]["x"], end=mine[-1]["x"]))
    size = {"width": left + len(steps) * column + 10, "height": top + len(lanes) * row + 10}
    return dict(size, marks=marks, lanes=drawn)


def first_seen(steps: List[Step]) -> List[Event]:
    """Return the events of some steps, in the order of their first."""
    events: dict = {}
    for step in steps:
        events.setdefault(step.event.pk, step.event)
    return list(events.values())
