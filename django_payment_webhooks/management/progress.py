"""How far a long work has come, on a terminal."""

import time


class Progress:
    """One line that is drawn again and again. Where there is no terminal nothing is written.

    The work goes through events in the order of their primary keys: it has come so far as the key of the last one lies
    between the first and the last of all. That costs no counting.
    """

    def __init__(self, stream, first, last):
        self.stream, self.first, self.last = stream, first or 0, last or 0
        self.is_shown, self.drawn = stream.isatty(), 0.0

    def show(self, key, count):
        """Draw the line, a few times a second at most: the key of the event that was done, and how many were."""
        if self.is_shown and time.monotonic() - self.drawn >= 0.2:
            share = (key - self.first) / max(self.last - self.first, 1)
            width = 30
            done = int(width * min(max(share, 0), 1))
            bar = "\r[%s%s] %3d %%  %d events" % ("#" * done, "." * (width - done), 100 * share, count)
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
