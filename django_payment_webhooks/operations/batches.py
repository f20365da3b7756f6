"""Runs an operation on many events, one by one, at a bounded rate, and counts the outcomes."""

from __future__ import annotations

import time
from collections import Counter
from typing import Callable, Iterable, Iterator

from django.db import InterfaceError, OperationalError, models

from ..models import Event
from .interrupts import interrupts
from .transactions import OperationError

# The most events that are counted before asking for confirmation.
BOUND = 10000


def iterate(events: models.QuerySet, batch: int) -> Iterator[Event]:
    """Yield events one by one, the oldest first. They are read in batches, as needed.

    Nothing is kept open in between, so this may take hours. What happens to one event does not
    affect the next.
    """
    last = 0
    while True:
        found = list(events.filter(pk__gt=last).order_by("pk")[:batch])
        yield from found
        if len(found) < batch:
            return
        last = found[-1].pk


def pace(events: Iterator[Event], rate: float | None) -> Iterator[Event]:
    """Yield events, at most ``rate`` per second; without a rate, as fast as they are consumed."""
    started = time.monotonic()
    for count, event in enumerate(events):
        if rate:
            time.sleep(max(started + count / rate - time.monotonic(), 0))
        yield event


class Tally:
    """Counts the events of an operation: done, left as they are, and refused.

    ``problems`` has the number refused for each reason.
    """

    def __init__(self, done: int = 0, left: int = 0, refused: int = 0) -> None:
        self.done, self.left, self.refused = done, left, refused
        self.problems: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many events were operated on."""
        return self.done + self.left + self.refused

    @property
    def not_done(self) -> int:
        """How many events are as they were: left, or refused."""
        return self.left + self.refused

    def count(self, is_done: bool) -> None:
        """Count an event that was done, or was left as it is."""
        if is_done:
            self.done += 1
        else:
            self.left += 1

    def refuse(self, event: Event, error: Exception) -> None:
        """Count an event that could not be operated on."""
        self.refused += 1
        self.problems[describe(error)] += 1


def operate(events: Iterable[Event], run: Callable[[Event], bool], tally: Tally) -> Iterator[Event]:
    """Run an operation on each event, count the outcome, and yield the event.

    ``run`` returns whether it was done. A problem with one event, such as its provider, does not
    affect the others. A database failure ends the run, and so does a signal, between two events.
    """
    for event in events:
        with interrupts.held():
            try:
                tally.count(run(event))
            except (InterfaceError, OperationalError):
                raise
            except Exception as error:
                tally.refuse(event, error)
        yield event


def describe(error: Exception) -> str:
    """Return the reason why an event was refused."""
    return str(error) if isinstance(error, OperationError) else f"{type(error).__name__}: {error}"


def count_some(events: models.QuerySet) -> tuple[int, bool]:
    """Return the number of events, up to a bound, and whether there are more."""
    number = events.values("pk")[: BOUND + 1].count()
    return min(number, BOUND), number > BOUND
