"""What the commands have in common: who runs them, what they ask, and how they end."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.utils import translation

# As the shell reports a program that a signal has ended: SIGPIPE, and Ctrl-C.
BROKEN_PIPE = 128 + 13
INTERRUPTED = 128 + 2
ENGLISH = "en-us"


class TerminalCommand(BaseCommand):
    """A command that runs whatever is wrong, and ends without a traceback."""

    # They would hide what is to be looked at behind what they find.
    requires_system_checks = ()

    #: What holds if the database fails in the middle.
    after_failure = "Check that it can be reached, and that migrate has been run."

    def run_from_argv(self, argv: list[str]) -> None:
        """Run from the command line. Whoever reads the output may stop reading it.

        What the terminal's encoding does not have is written out: a cron job's may be ASCII.
        """
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a test's need not be a file
                stream.reconfigure(errors="backslashreplace")
        try:
            run_and_flush(super().run_from_argv, argv)
        except BrokenPipeError:
            leave_pipe()
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run, in English as Django's own commands. Raises ``CommandError`` if the database fails.

        What scripts and cron mails look for must not depend on the site's language.
        """
        try:
            with translation.override(ENGLISH):
                return super().execute(*args, **options)
        except Error as error:
            text = f"The database failed. {self.after_failure} {error!r}"
            raise CommandError(text) from error

    def confirm(self, question: str, refusal: str, options: dict[str, Any]) -> None:
        """Go on if whoever runs the command is sure. Raises ``CommandError`` if not.

        ``refusal`` says what was not done.
        """
        if not options["interactive"]:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{refusal} {question} To go ahead without a question: --no-input.")
        self.stderr.write(f"{question} Type yes to go on: ", lambda plain: plain, ending="")
        self.stderr.flush()
        if input() != "yes":
            raise CommandError(refusal)


def run_and_flush(run: Any, argv: list[str]) -> None:
    """Run a command, and write out what it printed, however it ends.

    Left to the end of the process, a broken pipe could not be caught any more.
    """
    try:
        run(argv)
    finally:
        sys.stdout.flush()


def leave_pipe() -> NoReturn:
    """End quietly, as a program does that SIGPIPE ends. Nothing more is written to the pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    sys.exit(BROKEN_PIPE)


def add_no_input(parser: Any) -> None:
    """Add the option that answers the question beforehand."""
    text = "go ahead without a question, as a cron job must"
    parser.add_argument("--no-input", action="store_false", dest="interactive", help=text)


def mix_words(parser: Any) -> None:
    """Let the words of a command stand before, between and after its options."""
    # Otherwise argparse takes those before the first option, and refuses the rest.
    vars(parser).update(parse_args=parser.parse_intermixed_args)


def add_by(parser: Any, deed: str) -> None:
    """Add the options that say who does it and why. ``deed`` is such as "replays them"."""
    user = find_user()
    text = f"who {deed}, for the history (default: {user})".replace("%", "%%")
    parser.add_argument("--by", default=user, metavar="NAME", help=text)
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the history")


def count_events(number: int) -> str:
    """Return a number of events in words."""
    return f"{number} event" if number == 1 else f"{number} events"


def find_user() -> str:
    """Return who runs this process, as the operating system says: a user and a host."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may have a number without a name
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"
