"""What looks like a terminal."""

import io


class Terminal(io.StringIO):
    """A terminal with a person at it."""

    def isatty(self):
        """Say so."""
        return True
