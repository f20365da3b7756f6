"""The base of commands that read a provider's lists."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, NoReturn

from django.db import Error

from ..operations.backfill.paging import RATE, Pace, Step
from ..operations.backfill.periods import DELAY, Period, make_period
from ..operations.backfill.sources import NoSourceError, SourceError
from ..operations.interrupts import Interrupted
from .filters import MOMENT, read_moment
from .progress import Line
from .terminal import TerminalCommand, between, describe_database

NOTHING, FOUND, FAILED = range(3)


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
        text = f"from when on: {MOMENT}"
        add("--since", required=True, type=read_moment, metavar="AGE|TIME", help=text)
        text = "until when, likewise (default: "
        text += f"{DELAY // 60} minutes ago, as later webhooks may still be on their way)"
        add("--until", type=read_moment, metavar="AGE|TIME", help=text)
        text = f"fetch at most N pages of the list a second (default: {RATE:g})"
        add("--rate", type=between(0.001, 1000, float), default=RATE, metavar="N", help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the work, and exit with what came of it."""
        self.line = Line(self.stderr)
        pace = Pace(options["rate"], self.watch)
        try:
            period = make_period(options["since"].timestamp(), find_seconds(options["until"]))
            code = self.work(period, pace, options)
        except (ValueError, NoSourceError) as error:
            self.fail(str(error))
        except SourceError as error:
            self.fail(f"{error} {self.advice}")
        except Error as error:
            self.fail(describe_database(error, self.advice))
        except Interrupted as interrupted:
            text = f"Interrupted after {pace.checked} {self.noun}. {self.advice}"
            self.fail(text, interrupted.exit_code)
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

    def fail(self, text: str, code: int = FAILED) -> NoReturn:
        """Print what went wrong, and exit."""
        self.line.clear()
        self.stderr.write(text.strip())
        sys.exit(code)


def find_seconds(moment: datetime | None) -> float | None:
    """Return a moment in Unix seconds, None for none."""
    return moment.timestamp() if moment else None
