"""The base of commands that run an operation on many events."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import Any, Callable, Generator, Mapping, Sequence

from django.core.management.base import CommandError
from django.db import Error
from django.db.models import QuerySet

from ..models import Event
from ..operations.batches import Tally, iterate, operate, pace
from .progress import Progress
from .terminal import TerminalCommand, count_events


class OperatingCommand(TerminalCommand):
    """Goes through events. If something stops it, it reports what it has done."""

    stopped_by: BaseException | None = None

    def walk(self, events: QuerySet, options: dict[str, Any]) -> Generator[Event, None, None]:
        """Yield the events that are chosen, the oldest first, and show how far it has come."""
        progress = Progress(self.stderr, events)
        paced = pace(iterate(events, options["batch"]), options.get("rate"))
        try:
            for count, event in enumerate(islice(paced, options.get("limit")), 1):
                yield event
                progress.show(event.pk, count)
        finally:
            progress.clear()

    def operate(
        self, events: QuerySet, run: Callable[[Event], bool], options: dict[str, Any]
    ) -> Tally:
        """Do the same with each event that is chosen, and return what became of them."""
        tally = Tally()
        with closing(self.walk(events, options)) as chosen:
            try:
                for _ in operate(chosen, run, tally):
                    pass
            except (Error, KeyboardInterrupt) as error:
                self.stopped_by = error
        return tally

    def finish(self, wrong: Sequence[str]) -> None:
        """End, once the result is printed, with what could not be done, or what has stopped it.

        Raises ``CommandError``, or what has stopped it.
        """
        if self.stopped_by is None:
            if wrong:
                raise CommandError("\n".join(wrong))
            return
        for line in wrong:
            self.stderr.write(line)
        if isinstance(self.stopped_by, KeyboardInterrupt):
            self.stderr.write(f"Interrupted. {self.after_failure}")
        raise self.stopped_by


def describe_tally(tally: Tally, done: str, is_dry_run: bool) -> str:
    """Return in words how many events were done, or would be, and how many were left."""
    text = f"{count_events(tally.done)} {'would be ' if is_dry_run else ''}{done}"
    return f"{text}, {tally.not_done} left as they are" if tally.not_done else text


def list_problems(problems: Mapping[str, int]) -> list[str]:
    """Return a line for each problem for which events were refused."""
    return [f"{count_events(count)}: {text}" for text, count in problems.items()]
