"""How a command ends in a real terminal: quietly, without a traceback, if its reader is gone."""

import os
import signal
import subprocess
import sys

import pytest

from django_payment_webhooks.management import terminal

SCRIPT = """
import sys
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db"}},
                   INSTALLED_APPS=["django_payment_webhooks"], SECRET_KEY="x")
import django
django.setup()
from django_payment_webhooks.management.terminal import TerminalCommand


class Command(TerminalCommand):
    def handle(self, **options):
        self.stdout.write("ready")
        sys.stdout.flush()  # not of the command: for Django 2.0 to 3.0 that does nothing
        sys.stdin.readline()
        for number in range(int(sys.argv[1])):
            self.stdout.write("x" * 1000)
        for text in sys.argv[2:]:
            self.stdout.write(text)
        sys.exit(2)


Command().run_from_argv(["manage.py", "command"])
"""


@pytest.fixture
def start(tmp_path):
    """Start the command. At the end of its input it prints some lines, and exits with 2."""
    environ = dict(os.environ)
    # Without a buffer every line would break the pipe at once.
    for name in ("DJANGO_SETTINGS_MODULE", "PYTHONUNBUFFERED"):
        environ.pop(name, None)

    def start(lines, *texts, encoding="utf-8"):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, lines, *texts],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=str(tmp_path),
            env=dict(environ, PYTHONUTF8="1", PYTHONIOENCODING=encoding),
        )
        assert process.stdout.readline() == b"ready\n"
        return process

    return start


# Many lines break the pipe in the middle, few only when the buffer is written at the end.
@pytest.mark.parametrize("lines", ["1000", "3"])
def test_a_reader_that_stops_reading_ends_it_quietly(start, lines):
    process = start(lines)
    process.stdout.close()
    process.stdin.close()
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait(30) == terminal.BROKEN_PIPE


def test_its_exit_status_is_kept_if_all_is_read(start):
    process = start("3")
    printed, errors = process.communicate(timeout=30)
    assert (len(printed), errors, process.returncode) == (3 * 1001, b"", 2)


def test_what_the_encoding_does_not_have_is_written_out(start):
    process = start("0", "no order …", encoding="ascii")
    assert process.communicate(timeout=30) == (b"no order \\u2026\n", b"")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_end_it_without_a_traceback(start, number, code):
    process = start("0")
    process.send_signal(number)
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == code


QUESTION = """
class Command(TerminalCommand):
    def handle(self, **options):
        self.confirm("Go on?", "Nothing was done.", {"interactive": True})


Command().run_from_argv(["manage.py", "command"])
"""


def ask(tmp_path, prepare):
    """Run a command that asks, in a process that is prepared first."""
    environ = {
        name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"
    }
    script = SCRIPT.split("class Command")[0] + QUESTION
    options = {"cwd": str(tmp_path), "env": environ, "preexec_fn": prepare}
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, **options)
    return process.communicate(timeout=30)[1].decode(), process.returncode


@pytest.mark.parametrize("closed", [(0,), (0, 1)])
def test_without_standard_streams_nothing_is_done_and_there_is_no_traceback(tmp_path, closed):
    text, code = ask(tmp_path, lambda: [os.close(number) for number in closed])
    assert (
        text
        == "CommandError: Nothing was done. Go on? To go ahead without being asked: --no-input.\n"
    )
    assert code == 1


def test_the_end_of_the_input_is_no_yes(tmp_path):
    main, other = os.openpty()
    os.write(main, b"\x04")
    text, code = ask(tmp_path, lambda: os.dup2(other, 0))
    assert text.endswith("CommandError: Nothing was done. The answer was not yes.\n")
    assert code == 1


def test_a_user_without_a_name_is_known_by_a_number(monkeypatch):
    def fail():
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(terminal.getpass, "getuser", fail)
    assert terminal.find_user().startswith(f"uid {os.getuid()}@")
