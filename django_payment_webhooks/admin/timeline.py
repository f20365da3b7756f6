"""What happened to an event, and to all events of its order, in the order in which it happened."""

from collections import namedtuple
from datetime import datetime, timedelta
from typing import Any, Iterable, Iterator, List

from django.apps import apps

from .. import history
from ..conf import settings
from ..models import Event

MAX_EVENTS = 50
MAX_STEPS = 500

#: One step of an event: when, what, why, who, and the other event of it. What: a verb of the history, ``lost`` for
#: attempts without an end, ``taken`` for the attempt that a worker is at, or ``due`` for what is still to come.
Step = namedtuple("Step", "event at verb text by other")


def read_timeline(event: Event) -> List[Step]:
    """Return the steps of one event, the oldest first."""
    return read_steps([event])


def read_order_timeline(event: Event) -> List[Step]:
    """Return the steps of all events of an event's order, the oldest first; of the newest events if they are many."""
    if not event.order_id:
        return read_timeline(event)
    events = (
        Event.objects.filter(order_key=event.order_key).defer("body").order_by("-pk")[:MAX_EVENTS]
    )
    return read_steps(list(events))


def read_steps(events: Iterable[Event]) -> List[Step]:
    """Return the steps of some events: from the history if it is installed, and from their rows."""
    by_event: Any = {event.pk: [] for event in events}
    if apps.is_installed(history.__name__):
        entries = apps.get_model("payment_webhooks_history", "Entry").objects.filter(
            event_id__in=list(by_event)
        )
        for entry in (
            entries.select_related("other").defer("other__body").order_by("-pk")[:MAX_STEPS]
        ):
            by_event[entry.event_id].insert(0, entry)
    steps = [step for event in events for step in read_event(event, by_event[event.pk])]
    # What is to come is last, even if it is due already.
    return sorted(steps, key=lambda step: (step.verb == "due", step.at))


def read_event(event: Event, entries: Iterable[Any]) -> Iterator[Step]:
    """Give the steps of one event. What its history does not have, its row may still tell."""
    proof = "by the key %s" % event.verified_by if event.verified_by else "not by a webhook"
    yield Step(event, event.received_at, "received", proof, "", None)
    told, ended = set(), 0
    for entry in entries:
        yield from read_lost(event, entry.at, ended + 1, entry.attempts)
        yield Step(event, entry.at, entry.verb, entry.text, entry.by, entry.other)
        told.add(entry.verb)
        ended = entry.attempts
    if event.waiting_since and Event.WAITING not in told:
        yield Step(event, event.waiting_since, Event.WAITING, "", "", None)
    if event.finished_at and event.status not in told:
        yield Step(event, event.finished_at, event.status, event.error, "", None)
    if event.due_at:
        yield from read_taken(event, ended)
        yield Step(event, event.due_at, "due", event.error, "", None)


def read_lost(event: Event, at: datetime, first: int, after: int) -> Iterator[Step]:
    """Give a step for the attempts from ``first`` on, before ``after``, of which no end was written down."""
    if first < after:
        which = (
            "Attempt %d" % first if first == after - 1 else "Attempts %d to %d" % (first, after - 1)
        )
        yield Step(
            event,
            at,
            "lost",
            which + ": no end was written. The worker was killed, or too slow.",
            "",
            None,
        )


def read_taken(event: Event, ended: int) -> Iterator[Step]:
    """Give the step of the attempt that a worker is at, if the history knows that there is one."""
    if apps.is_installed(history.__name__) and event.attempts > ended:
        # While it is taken, an event is due when its lease ends.
        taken_at = event.due_at - timedelta(seconds=settings.PAYMENT_WEBHOOKS_LEASE)
        yield from read_lost(event, taken_at, ended + 1, event.attempts)
        yield Step(
            event,
            taken_at,
            "taken",
            "Attempt %d: a worker has it, or was killed." % event.attempts,
            "",
            None,
        )
