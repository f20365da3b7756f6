"""The same with many events: one by one, at a rate, and what became of them is counted."""

from __future__ import annotations

import time
from collections import Counter
from typing import Callable, Iterable, Iterator

from django.db import InterfaceError, OperationalError, models

from ..models import Event
from .interrupts import interrupts
from .transactions import OperationError

# How many events are counted before the user is asked.
BOUND = 10000


def iterate(events: models.QuerySet, batch: int) -> Iterator[Event]:
    """Give events one by one, the oldest first. They are read in batches, each when it is needed.

    Nothing is kept open in between, so that it may take hours. What becomes of an event does not
    matter to the next.
    """
    last = 0
    while True:
        found = list(events.filter(pk__gt=last).order_by("pk")[:batch])
        yield from found
        if len(found) < batch:
            return
        last = found[-1].pk


def pace(events: Iterator[Event], rate: float | None) -> Iterator[Event]:
    """Give events, at most ``rate`` a second; without a rate as quickly as they are asked for."""
    started = time.monotonic()
    for count, event in enumerate(events):
        if rate:
            time.sleep(max(started + count / rate - time.monotonic(), 0))
        yield event


class Tally:
    """How many events were operated on: done, left as they are, and refused for some problem.

    ``problems`` has how many were refused for each.
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
    """Do the same with each of some events, count it, and give the event.

    ``run`` returns whether it was done. What is wrong with one event, such as its provider, does
    not keep it from the others. A database that fails ends it, and so does a signal, between two
    events.
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
    """Return in words why an event could not be operated on."""
    return str(error) if isinstance(error, OperationError) else f"{type(error).__name__}: {error}"


def count_some(events: models.QuerySet) -> tuple[int, bool]:
    """Return how many events there are, up to a bound, and whether there are more."""
    number = events.values("pk")[: BOUND + 1].count()
    return min(number, BOUND), number > BOUND
