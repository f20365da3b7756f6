"""Shows the progress of long work on a terminal."""

from __future__ import annotations

import time
from typing import Any

from django.db.models import Max, Min, QuerySet

BAR_WIDTH = 30
# How often the line is drawn, in seconds.
INTERVAL = 0.2


def draw_bar(share: float) -> str:
    """Return a bar for a share between 0 and 1."""
    done = int(BAR_WIDTH * min(max(share, 0), 1))
    return f"[{'#' * done}{'.' * (BAR_WIDTH - done)}] {100 * share:3.0f} %"


class Line:
    """One line that is drawn again and again. Where there is no terminal nothing is written."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.is_shown = stream.isatty()
        self.drawn_at = 0.0

    def draw(self, share: float | None, text: str) -> None:
        """Draw a text, a few times a second at most.

        Before it is a bar for a share between 0 and 1, if that is known.
        """
        if not self.is_shown or time.monotonic() - self.drawn_at < INTERVAL:
            return
        bar = "" if share is None else f"{draw_bar(share)}  "
        self.write(f"\r{bar}{text}")
        self.drawn_at = time.monotonic()

    def clear(self) -> None:
        """Remove the line."""
        if self.drawn_at:
            self.write("\r\x1b[K")

    def write(self, text: str) -> None:
        """Write at once, without a new line and without a colour."""
        self.stream.write(text, lambda plain: plain, ending="")
        self.stream.flush()


class Progress(Line):
    """Shows how far a work has come that goes through events in the order of their primary keys.

    It has come so far as the key of the last one lies between the first and the last of all. That
    costs no counting.
    """

    def __init__(self, stream: Any, events: QuerySet) -> None:
        super().__init__(stream)
        ends = events.aggregate(first=Min("pk"), last=Max("pk")) if self.is_shown else {}
        self.first = ends.get("first") or 0
        self.last = ends.get("last") or 0

    def show(self, key: int, count: int) -> None:
        """Draw the line: ``key`` is that of the event that was done, ``count`` how many were."""
        self.draw((key - self.first) / max(self.last - self.first, 1), f"{count} events")
