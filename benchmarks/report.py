"""The lines that the programs print: each is a line of a table in README.md."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .programs import Program


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Report:
    """A table with a column for each program: ratios to the first, and the values themselves."""

    def __init__(self, *programs: Program) -> None:
        self.programs = programs
        names = [program.name for program in programs]
        self._write(["", *names, "middle half of the ratios"])
        self._write(["---"] * (len(programs) + 2))

    def show(
        self,
        what: str,
        measured: Mapping[Program, Sequence[Any]],
        read: Callable[[Any], float],
    ) -> None:
        """Print a line: the medians of all rounds, and the middle half of the last one's ratios."""
        values = [[read(one) for one in measured[program]] for program in self.programs]
        medians = [statistics.median(numbers) for numbers in values]
        cells = [f"{divide(median, medians[0])} ({write(median)})" for median in medians]
        ratios = sorted(last / first for first, last in zip(values[0], values[-1]) if first)
        self._write([what, *cells, write_middle(ratios)])

    def show_values(
        self, what: str, measured: Mapping[Program, Any], read: Callable[[Any], float]
    ) -> None:
        """Print a line without ratios, of what was measured once."""
        values = [read(measured[program]) for program in self.programs]
        self._write([what, *map(write, values), ""])

    def _write(self, cells: Sequence[str]) -> None:
        say("| " + " | ".join(cells) + " |")


def write_middle(ratios: Sequence[float]) -> str:
    """Return between what the middle half of some sorted ratios is; nothing if they are few."""
    if len(ratios) < 2:
        return ""
    quarter = len(ratios) // 4
    return f"{ratios[quarter]:.2f} to {ratios[-1 - quarter]:.2f}"


def divide(value: float, floor: float) -> str:
    """Return a ratio as text."""
    return f"{value / floor:.2f}" if floor else "-"


def write(value: float) -> str:
    """Return a number as text, with three digits that say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
