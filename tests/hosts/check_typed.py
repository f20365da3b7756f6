"""Checks the types of the host in ``typed/`` as its own developers do, by mypy and django-stubs.

The app is installed, not in the folder. What mypy reports must be what the comments
``# error: <code>`` expect, and nothing else.
"""

import os
import re
import subprocess
import sys

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "typed")
REPORTED = re.compile(r"^(\S+?):(\d+): error: .*\[([\w-]+)\]$", re.MULTILINE)
EXPECTED = re.compile(r"  # error: ([\w-]+)$")


def list_expected():
    """Yield file, line and code of each error that a comment expects."""
    for folder, _, names in os.walk(FOLDER):
        for name in names:
            if not name.endswith(".py"):
                continue
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as source:
                for number, line in enumerate(source, 1):
                    for code in EXPECTED.findall(line):
                        yield os.path.relpath(path, FOLDER), str(number), code


def run_mypy():
    """Return what mypy prints about the folder."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "."]
    done = subprocess.run(command, cwd=FOLDER, stdout=subprocess.PIPE, text=True)
    return done.stdout


def main():
    """End with what differs."""
    printed = run_mypy()
    expected, reported = set(list_expected()), set(REPORTED.findall(printed))
    if not expected or expected != reported:
        missing = sorted(expected - reported)
        sys.exit(f"{printed}\nNot reported: {missing}\nUnexpected: {sorted(reported - expected)}")
    sys.stdout.write(f"The types fit, and {len(expected)} mistakes are found.\n")


if __name__ == "__main__":
    main()
