"""What the commands have in common that read a provider's lists."""

from __future__ import annotations

import re
import sys
import time
from argparse import ArgumentTypeError
from typing import Any, NoReturn

from django.db import Error

from ..operations.backfill.paging import RATE, Pace, Step
from ..operations.backfill.periods import DELAY, Period, make_period
from ..operations.backfill.sources import NoSourceError, SourceError
from ..operations.batches import Line
from .filters import read_moment
from .terminal import TerminalCommand

NOTHING, FOUND, FAILED = range(3)
AGE = re.compile(r"([0-9]{1,6})([mhdw])\Z")
UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class ListCommand(TerminalCommand):
    """Reads a list of a provider for a period. Its exit code says what came of it."""

    #: What may be done after a failure.
    advice = ""
    #: What the list has.
    noun = ""

    def add_list_arguments(self, parser: Any) -> None:
        """Add the options that say what is listed, and how quickly."""
        add = parser.add_argument
        add("--provider", required=True, metavar="NAME", help="whose list is read")
        text = "from when on: an age such as 90m, 12h, 3d or 2w, or a time"
        add("--since", required=True, type=read_since, metavar="AGE|TIME", help=text)
        text = "until when, likewise (default: "
        text += f"{DELAY // 60} minutes ago, as later webhooks may still be on their way)"
        add("--until", type=read_since, metavar="AGE|TIME", help=text)
        text = f"fetch at most N pages of the list a second (default: {RATE:g})"
        add("--rate", type=read_rate, default=RATE, metavar="N", help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the work, and exit with what came of it."""
        self.line = Line(self.stderr)
        try:
            period = make_period(options["since"], options["until"])
            pace = Pace(options["rate"], self.watch)
            code = self.work(period, pace, options)
        except (ValueError, NoSourceError) as error:
            self.fail(str(error))
        except SourceError as error:
            self.fail(f"{error} {self.advice}")
        except Error as error:
            self.fail(f"The database failed: {error!r}. {self.advice}")
        except KeyboardInterrupt:
            self.fail(f"Interrupted. {self.advice}")
        if code != NOTHING:
            sys.exit(code)

    def work(self, period: Period, pace: Pace, options: dict[str, Any]) -> int:
        """Do the work, print what it found, and return the exit code."""
        raise NotImplementedError

    def watch(self, step: Step) -> None:
        """Show how far it has come, and why it pauses."""
        if step.note:
            self.line.clear()
            self.stderr.write(step.note)
        else:
            self.line.draw(step.share, f"{step.checked} {self.noun}")

    def fail(self, text: str) -> NoReturn:
        """Print what went wrong, and exit."""
        self.line.clear()
        self.stderr.write(text.strip())
        sys.exit(FAILED)


def read_since(text: str) -> float:
    """Return the moment, in Unix seconds, that was given as an age or as a time.

    Raises ``ArgumentTypeError``.
    """
    age = AGE.match(text)
    if age:
        return time.time() - int(age.group(1)) * UNITS[age.group(2)]
    try:
        return read_moment(text).timestamp()
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"{text!r} is neither an age, such as 90m, 12h, 3d or 2w, nor a time, such as "
            f"2026-11-23 or 2026-11-23T10:00"
        ) from None


def read_rate(text: str) -> float:
    """Return how many pages a second may be fetched. Raises ``ArgumentTypeError``."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0
    if not 0.001 <= rate <= 1000:
        raise ArgumentTypeError(f"{text!r} is not a number of pages a second, from 0.001 to 1000")
    return rate
