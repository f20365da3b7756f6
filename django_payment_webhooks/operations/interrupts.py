"""Ctrl-C and SIGTERM in the middle of long work: they wait for the end of what is under way."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import Any, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The process is to end. ``number`` is that of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What the shell reports of a program that this signal has ended."""
        return 128 + self.number


class Interrupts:
    """Raises ``Interrupted`` at a signal, but not while something is held together.

    A second signal does not wait: what is under way may hang.
    """

    def __init__(self) -> None:
        self.is_held = False
        self.waiting: int | None = None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch the signals meanwhile, in the main thread; not those that the process ignores."""
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
        """Hold together what happens meanwhile. Raises ``Interrupted`` afterwards."""
        self.is_held, self.waiting = True, None
        try:
            yield
        finally:
            self.is_held = False
        if self.waiting:
            raise Interrupted(self.waiting)


#: Those of this process. Where nobody catches signals, as in a web server, it changes nothing.
interrupts = Interrupts()
