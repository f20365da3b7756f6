"""What happened to an event and to all events of its order, in chronological order."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Iterable, Iterator, NamedTuple, Sequence

from django.utils import timezone
from django.utils.translation import gettext

from .. import history
from ..conf import settings
from ..models import Event
from ..providers.personal import prepare, show_about
from ..providers.subject import find_related

MAX_EVENTS = 50
MAX_STEPS = 500
# The steps whose text the page writes, in the reader's language.
WORDED = ("received", "lost", "taken")


class Step(NamedTuple):
    """One step of an event: when, what, why, by whom, and the other event involved.

    ``verb`` is one of the history's, ``lost`` for attempts without an end, ``taken`` for the
    attempt in progress, or ``due`` for the next one.
    """

    event: Event
    at: datetime
    verb: str
    text: str = ""
    by: str = ""
    other: Event | None = None

    @property
    def is_english(self) -> bool:
        """Whether its text was stored by the app, not by a person, who writes in any language."""
        return not self.by and self.verb not in WORDED


def find_moment(seconds: float) -> datetime:
    """Return a Unix time as a datetime: aware, or naive and local, as Django is configured."""
    return datetime.fromtimestamp(seconds, timezone.now().tzinfo)


def read_timeline(event: Event) -> list[Step]:
    """Return an event's steps, the oldest first."""
    return read_steps([event])


def read_order_timeline(event: Event) -> list[Step]:
    """Return the steps of all events of an event's order or payment, the oldest first.

    If there are many events, only the newest are included.
    """
    events = find_related(event).defer("body", "confirmation").order_by("-pk")
    return read_steps(list(events[:MAX_EVENTS]) or [event])


def read_steps(events: Sequence[Event]) -> list[Step]:
    """Return the steps of some events: from the history, and from their rows."""
    prepare(event for event in events if "body" in event.get_deferred_fields())
    entries: dict[int, list[Any]] = {event.pk: [] for event in events}
    for entry in history.read_entries(events, MAX_STEPS):
        entries[entry.event_id].append(entry)
    steps = [step for event in events for step in read_event(event, entries[event.pk])]
    # The next attempt is last, even if it is already due.
    return sorted(steps, key=lambda step: (step.verb == "due", step.at))


def read_event(event: Event, entries: Sequence[Any]) -> Iterator[Step]:
    """Yield an event's steps. Its row may show some that its history lacks."""
    known_by = gettext("verified by {key}").format(key=event.verified_by)
    proof = known_by if event.verified_by else gettext("not by a webhook")
    yield Step(event, event.received_at, "received", proof)
    yield from read_entries(event, entries)
    known = {entry.verb for entry in entries}
    if event.waiting_since and Event.WAITING not in known:
        yield Step(event, find_moment(event.waiting_since), Event.WAITING)
    if event.finished_at and event.status not in known:
        yield Step(event, event.finished_at, event.status, show_about(event, event.error))
    if event.due_at:
        yield from read_taken(event, entries[-1].attempts if entries else 0)
        yield Step(event, find_moment(event.due_at), "due", show_about(event, event.error))


def read_entries(event: Event, entries: Iterable[Any]) -> Iterator[Step]:
    """Yield the steps in the history, and between them the attempts that have no end there."""
    ended = 0
    for entry in entries:
        yield from find_lost(event, entry.at, ended + 1, entry.attempts)
        text = show_about(event, entry.text)
        yield Step(event, entry.at, entry.verb, text, entry.by, entry.other)
        ended = entry.attempts


def find_lost(event: Event, at: datetime, first: int, after: int) -> Iterator[Step]:
    """Yield a step for the attempts from ``first`` to before ``after``, if there are any."""
    if first >= after:
        return
    last = after - 1
    if first == last:
        text = gettext("Attempt {first}: no end was recorded. The worker was killed, or too slow.")
    else:
        text = gettext(
            "Attempts {first} to {last}: no end was recorded. The worker was killed, or too slow."
        )
    yield Step(event, at, "lost", text.format(first=first, last=last))


def read_taken(event: Event, ended: int) -> Iterator[Step]:
    """Yield the step of the attempt that a worker is at, if the history knows that there is one."""
    if not history.is_installed() or event.attempts <= ended:
        return
    # While an event is taken, it is due when its lease ends.
    taken_at = find_moment(event.due_at - settings.PAYMENT_WEBHOOKS_LEASE)
    yield from find_lost(event, taken_at, ended + 1, event.attempts)
    text = gettext("Attempt {number}: a worker has it, or was killed.")
    yield Step(event, taken_at, "taken", text.format(number=event.attempts))
