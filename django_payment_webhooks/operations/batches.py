"""A long work: it goes through many events, and shows on a terminal how far it has come."""

import time

from django.db.models import Max, Min


def walk(events, batch):
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


class Progress:
    """One line that is drawn again and again. Where there is no terminal nothing is written.

    The work goes through events in the order of their primary keys: it has come so far as the key
    of the last one lies between the first and the last of all. That costs no counting.
    """

    def __init__(self, stream, events):
        self.stream, self.is_shown, self.drawn = stream, stream.isatty(), 0.0
        ends = events.aggregate(first=Min("pk"), last=Max("pk")) if self.is_shown else {}
        self.first, self.last = ends.get("first") or 0, ends.get("last") or 0

    def show(self, key, count):
        """Draw the line, a few times a second at most: the key of the event that was done, and how many were."""
        if self.is_shown and time.monotonic() - self.drawn >= 0.2:
            share = (key - self.first) / max(self.last - self.first, 1)
            width = 30
            done = int(width * min(max(share, 0), 1))
            bar = "\r[%s%s] %3d %%  %d events" % (
                "#" * done,
                "." * (width - done),
                100 * share,
                count,
            )
            self.write(bar)
            self.drawn = time.monotonic()

    def clear(self):
        """Remove the line."""
        if self.drawn:
            self.write("\r\x1b[K")

    def write(self, text):
        """Write at once, without a new line and without a colour."""
        self.stream.write(text, lambda plain: plain, ending="")
        self.stream.flush()
