"""Probes, which find out whether a service answers that may be silent for ever."""

from __future__ import annotations

from contextlib import suppress
from threading import Thread
from typing import Any, Callable


class Trial(Thread):
    """Asks once, however long the answer takes."""

    is_answered = False
    answer: Any = None

    def __init__(self, ask: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.ask = ask

    def run(self) -> None:
        """Ask. An error is no answer."""
        with suppress(Exception):
            self.answer = self.ask()
            self.is_answered = True


class Probe:
    """Asks in a thread, so that the caller waits for a bounded time.

    Callers share a trial that is still waiting: a silent service costs one thread, not one for each
    call.
    """

    def __init__(self, ask: Callable[[], Any]) -> None:
        self.ask = ask
        self.trial = Trial(ask)

    def is_answered(self, timeout: float) -> bool:
        """Return whether the service answers within ``timeout`` seconds."""
        return self.await_trial(timeout).is_answered

    def await_trial(self, timeout: float) -> Trial:
        """Return a trial, which has the answer if there was one within ``timeout`` seconds."""
        trial = self.trial
        if not trial.is_alive():  # it has ended, was not started yet, or was left behind by a fork
            trial = self.trial = Trial(self.ask)
            with suppress(RuntimeError):  # no thread is left
                trial.start()
        if trial.is_alive():
            trial.join(timeout)
        return trial
