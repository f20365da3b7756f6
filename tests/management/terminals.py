"""What looks like a terminal."""

import io


class Terminal(io.StringIO):
    """A stream of somebody who sits there."""

    def isatty(self):
        """Say so."""
        return True
