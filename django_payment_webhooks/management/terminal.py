"""The base of the commands: who runs them, what they ask, and how they end."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from argparse import ArgumentTypeError
from math import inf
from shutil import get_terminal_size
from typing import Any, Callable, NoReturn

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connections, router
from django.db.migrations.executor import MigrationExecutor
from django.utils import translation

from ..models import Event
from ..operations.interrupts import Interrupted, interrupts

# The exit code of what could not be done at all. argparse has the same for an option that is wrong.
UNABLE = 2
# As the shell reports a program that SIGPIPE has ended.
BROKEN_PIPE = 128 + 13
ENGLISH = "en-us"
PACKAGE = __package__.rpartition(".")[0]


class TerminalCommand(BaseCommand):
    """A command that runs even if something is wrong, and ends without a traceback."""

    # They would hide what is to be looked at behind what they find.
    requires_system_checks = ()

    #: What holds if the database fails in the middle.
    after_failure = ""

    def run_from_argv(self, argv: list[str]) -> None:
        """Run from the command line. Whoever reads the output may stop reading it.

        What the terminal's encoding does not have is written out: a cron job's may be ASCII.
        """
        open_streams()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a test's need not be a file
                stream.reconfigure(errors="backslashreplace")
        try:
            with interrupts.caught():
                run_and_flush(super().run_from_argv, argv)
        except SystemExit as end:
            # Before Django 3.1 every CommandError ends with 1.
            sys.exit(getattr(end.__context__, "returncode", end.code))
        except BrokenPipeError:
            leave_pipe()
        except Interrupted as interrupted:
            sys.exit(interrupted.exit_code)

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run, in English as Django's own commands. Raises ``CommandError`` if the database fails.

        What scripts and cron mails look for must not depend on the site's language.
        """
        try:
            with translation.override(ENGLISH):
                return super().execute(*args, **options)
        except Error as error:
            raise unable(describe_database(error, self.after_failure)) from error

    def confirm(self, question: str, refusal: str, options: dict[str, Any]) -> None:
        """Ask whether to continue. Raises ``CommandError`` if not.

        ``refusal`` says what was not done.
        """
        if not options["interactive"]:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{refusal} {question} To go ahead without being asked: --no-input.")
        self.stderr.write(f"{question} Type yes to go on: ", lambda plain: plain, ending="")
        self.stderr.flush()
        if read_answer().strip().lower() != "yes":
            raise CommandError(f"{refusal} The answer was not yes.")


def read_answer() -> str:
    """Return the line that is typed, "" if there is none: Ctrl-D."""
    try:
        return input()
    except EOFError:
        return ""


def unable(text: str) -> CommandError:
    """Return the error of a command that can't do what it was asked for."""
    error = CommandError(text)
    error.returncode = UNABLE
    return error


def describe_database(error: Error, after: str = "") -> str:
    """Return in a line that the database failed, what to do, and what holds after it."""
    advice = "Check that it can be reached."
    if needs_migrate():
        advice = "Its tables are missing or out of date: run manage.py migrate."
    return " ".join(filter(None, ["The database failed.", advice, after, repr(error)]))


def needs_migrate() -> bool:
    """Return whether a migration of these apps has not been run; False if that is not known."""
    ours = {config.label for config in apps.get_app_configs() if is_ours(config.name)}
    try:
        executor = MigrationExecutor(connections[router.db_for_write(Event)])
        leaves = [key for key in executor.loader.graph.leaf_nodes() if key[0] in ours]
        return bool(executor.migration_plan(leaves))
    except Error:
        return False


def is_ours(name: str) -> bool:
    """Return whether an app is this one, or one of those inside it."""
    return f"{name}.".startswith(f"{PACKAGE}.")


def open_streams() -> None:
    """Give a process that was started without them its streams: they lead nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


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


def between(least: float, most: float, read: Callable[[str], Any] = int) -> Callable[[str], Any]:
    """Return what reads an option whose value is a number, which is checked."""

    def read_number(text: str) -> Any:
        try:
            number = read(text)
        except ValueError:
            kind = "a whole number" if read is int else "a number"
            raise ArgumentTypeError(f"{text!a} is not {kind}") from None
        if number > most:
            raise ArgumentTypeError(f"{text!a} is more than {most}")
        if not number >= least:  # or not comparable: nan
            raise ArgumentTypeError(f"{text!a} is less than {least}")
        return number

    return read_number


def read_text(text: str) -> str:
    """Return the value of an option. Raises ``ArgumentTypeError`` if it is blank.

    A variable of the shell that is not set must not choose all events.
    """
    if not text.strip():
        raise ArgumentTypeError("it is empty")
    return text


def read_file(path: str) -> bytes:
    """Return the bytes of a file, or of the standard input. Raises ``OSError``."""
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()


def add_no_input(parser: Any) -> None:
    """Add the option that answers the question beforehand."""
    text = "go ahead without asking, as a cron job must"
    parser.add_argument("--no-input", action="store_false", dest="interactive", help=text)


def mix_words(parser: Any) -> None:
    """Let the words of a command stand before, between and after its options."""
    # Otherwise argparse takes those before the first option, and refuses the rest.
    vars(parser).update(parse_args=parser.parse_intermixed_args)


def add_by(parser: Any, deed: str) -> None:
    """Add the options that say who does it and why. ``deed`` is such as "replays them"."""
    user = find_user()
    text = f"who {deed}, for the history (default: {user})".replace("%", "%%")
    parser.add_argument("--by", type=read_text, default=user, metavar="NAME", help=text)
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the history")


def find_width(stream: Any) -> float:
    """Return how many columns a terminal has; without end what is no terminal."""
    return get_terminal_size().columns if stream.isatty() else inf


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
