#!/usr/bin/env python3
"""Runs tox where there is nothing but Python and pip.

``python3 dev.py demo [options]``
    Plays the story of the shop: see ``demo --help``.
``python3 dev.py test``
    Runs the tests on SQLite and on each database and broker that is there, and shows what they
    cover.
``python3 dev.py test <tests and options of pytest>``
    Runs what is named, on SQLite.
``python3 dev.py faults [options]``
    Runs the fault campaign: see ``faults --help``.
``python3 dev.py tox <arguments>``
    Runs tox.

tox is installed into ``.tox``, in the version that tox.ini asks for. Everything else is in tox.ini:
the environments, and the addresses of the services.
"""

import configparser
import hashlib
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
CONSTRAINTS = os.path.join(ROOT, "constraints")
# The line of tox.ini that runs a command with its arguments.
LINES = {"demo": "demo", "test": "sqlite", "faults": "campaign"}


def read_requirements():
    """Return what tox.ini requires to be installed beside tox, and what ``DEV_REQUIRES`` adds."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(os.path.join(ROOT, "tox.ini"), encoding="utf-8")
    requirements = config["tox"]["requires"].strip().splitlines()
    return requirements + os.environ.get("DEV_REQUIRES", "").split()


def install_tox():
    """Return a folder that has tox, and install it there if it has not."""
    requirements = read_requirements()
    digest = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()
    folder = os.path.join(ROOT, ".tox", "tools", digest[:8])
    if not os.path.exists(folder):
        print("Installing tox into .tox ...", flush=True)
        # Not a virtual environment: a distribution can have split off what creates them. Under
        # another name until it is complete.
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder + ".new"]
        if subprocess.call([*pip, "--upgrade", *requirements]):
            sys.exit("tox could not be installed.")
        os.rename(folder + ".new", folder)
    return folder


def find_constraints():
    """Return the versions that were tested together on this Python, or on the nearest older one."""
    found = [re.fullmatch(r"py3(\d+)\.txt", name) for name in os.listdir(CONSTRAINTS)]
    minors = [int(match.group(1)) for match in found if match]
    nearest = max(minor for minor in minors if minor <= sys.version_info.minor)
    return f"constraints/py3{nearest}.txt constraints/django.txt"


def run_tox(arguments):
    """Run tox. Returns its exit status."""
    folders = [install_tox(), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(folders))
    # The lines for a Python of their own have other ones.
    environment["PIP_CONSTRAINT"] = environment["UV_CONSTRAINT"] = find_constraints()
    return subprocess.call([sys.executable, "-m", "tox", *arguments], cwd=ROOT, env=environment)


def find_arguments(command, arguments):
    """Return what tox is called with for a command. Ends the program if that is unknown."""
    if command == "tox":
        return arguments
    if command == "test" and not arguments:
        return ["run-parallel", "--parallel", "all", "-m", "test"]
    if command in LINES:
        return ["run", "-q", "-e", LINES[command], "--", *arguments]
    sys.exit(__doc__)


def main():
    """Run the command that is asked for. Returns the exit status."""
    command = "".join(sys.argv[1:2])
    return run_tox(find_arguments(command, sys.argv[2:]))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
