"""Lets Ctrl-C and SIGTERM wait for the end of the current step of long work."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import Any, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The process must end. ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """The exit code of a program ended by this signal, as shells report it."""
        return 128 + self.number


class Interrupts:
    """Raises ``Interrupted`` on a signal, but not inside a block that must not be split.

    A second signal does not wait, as the block may hang.
    """

    def __init__(self) -> None:
        self.is_held = False
        self.waiting: int | None = None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch signals in the block, in the main thread, except those that the process ignores."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        heeded = [number for number in SIGNALS if before[number] not in (signal.SIG_IGN, None)]
        for number in heeded:
            signal.signal(number, self.receive)
        try:
            yield
        finally:
            for number in heeded:
                signal.signal(number, before[number])

    def receive(self, number: int, frame: Any) -> None:
        """Receive a signal."""
        if not self.is_held or self.waiting:
            raise Interrupted(number)
        self.waiting = number

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the block from being split. Raises ``Interrupted`` after it."""
        self.is_held, self.waiting = True, None
        try:
            yield
        finally:
            self.is_held = False
        if self.waiting:
            raise Interrupted(self.waiting)


#: Those of this process. Where signals are not caught, as in a web server, it has no effect.
interrupts = Interrupts()
