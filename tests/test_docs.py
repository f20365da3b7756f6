"""The documentation: the tutorial's files and commands work as they stand, and the reference has every public name."""

import ast
import fnmatch
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from collections import namedtuple

import django
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCS = os.path.join(ROOT, "docs")
BLOCK = re.compile(r"^```\{code-block\} (\w+)\n((?::[a-z]+: [^\n]*\n)*)(.*?)^```$", re.M | re.S)
IN_PLACE_OF_FIRST_LINE, AT_THE_END, ON_OLD_DJANGO = ", in place of the first line", ", at the end", " on Django 1.11"

Block = namedtuple("Block", "language caption text")


def read(*path):
    """Return a page of the documentation."""
    with open(os.path.join(DOCS, *path), encoding="utf-8") as page:
        return page.read()


def read_blocks(*path):
    """Return the blocks of code of a page."""
    return [
        Block(language, "".join(re.findall(r":caption: (.*)\n", options)).strip('"'), text)
        for language, options, text in BLOCK.findall(read(*path))
    ]


class Reader:
    """Somebody who does what a page says, in a folder of their own."""

    def __init__(self, folder):
        self.folder, self.started, self.port = str(folder), [], find_port()
        self.environ = {name: os.environ[name] for name in ("LANG", "PATH", "PYTHONPATH", "TMPDIR") if name in os.environ}
        programs = os.path.join(self.folder, "bin")
        os.mkdir(programs)
        python = os.path.join(programs, "python")
        with open(python, "w", encoding="utf-8") as script:
            script.write('#!/bin/sh\nexec %s "$@"\n' % shlex.quote(sys.executable))
        os.chmod(python, stat.S_IRWXU)
        path = os.pathsep.join([programs, self.environ["PATH"]])
        libraries = os.pathsep.join(filter(None, [self.environ.get("PYTHONPATH"), ROOT]))
        self.environ.update(PATH=path, PYTHONPATH=libraries, PYTHONUNBUFFERED="1", HOME=self.folder)

    def follow(self, block):
        """Do what one block says."""
        text = block.text.replace("8000", str(self.port))
        if block.caption.startswith("Not run"):
            return
        if block.language == "python":
            self.write(block.caption, text)
            return
        assert block.language == "console", block
        if block.caption.startswith("After Ctrl-C"):
            self.stop()
        for command, expected in read_commands(text):
            self.run(block.caption, command, expected)

    def write(self, caption, text):
        """Write a file, or change it, as the caption says."""
        name = caption.split(",")[0].split(" ")[0]
        path = os.path.join(self.folder, name)
        if caption.endswith(ON_OLD_DJANGO) and django.VERSION >= (2, 0):
            return
        if caption.endswith(AT_THE_END):
            text = self.read(path) + text
        elif caption.endswith(IN_PLACE_OF_FIRST_LINE):
            text += self.read(path).split("\n", 1)[1]
        else:
            assert caption in (name, name + ON_OLD_DJANGO), caption
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, path):
        """Return the content of a file."""
        with open(path, encoding="utf-8") as file:
            return file.read()

    def run(self, caption, command, expected):
        """Run a command, and compare what it prints with what the page shows."""
        if caption.endswith("terminal"):
            self.start(command)
            return
        if command.startswith("export "):
            name, _, value = command[len("export ") :].partition("=")
            self.environ[name] = value
            return
        patience = time.time() + (60 if caption == "A moment later" else 0)
        while True:
            code, printed = self.call(command)
            if not expected or code == 0 and matches(printed, expected) or time.time() > patience:
                break
            time.sleep(0.5)
        shown = "$ %s\n%s\n%s" % (command, printed, self.logs())
        if expected:
            assert matches(printed, expected), "%s\nexpected:\n%s" % (shown, expected)
        assert code == 0 or "ERROR" in expected or "E004" in expected, shown

    def call(self, command):
        """Run a command to its end."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=120,
        )
        return done.returncode, done.stdout

    def start(self, command):
        """Start a command that goes on, and wait until it is of use."""
        log = os.path.join(self.folder, "terminal%d.log" % len(self.started))
        with open(log, "w", encoding="utf-8") as output:
            process = subprocess.Popen(
                command,
                shell=True,
                cwd=self.folder,
                env=self.environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append((process, log))
        sign = "ready." if "worker" in command else "Quit the server"
        patience = time.time() + 60
        while sign not in self.read(log):
            assert process.poll() is None and time.time() < patience, self.logs()
            time.sleep(0.2)

    def logs(self):
        """Return what the commands that go on have printed."""
        return "\n".join("%s:\n%s" % (log, self.read(log)) for _, log in self.started)

    def stop(self):
        """Stop what was started."""
        for process, _ in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        for process, _ in self.started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                pass
            finally:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()
        self.started = []


def find_port():
    """Return a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read_commands(text):
    """Return each command of a console block, and what it prints."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected.strip()


def matches(printed, expected):
    """Return whether every line is as expected; ``...`` is for any lines."""
    lines = [line.rstrip() for line in printed.strip().splitlines()]
    pattern = [re.escape(line.rstrip()) + "\n" if line != "..." else "(?:.*\n)*" for line in expected.splitlines()]
    return bool(re.match("".join(pattern) + r"\Z", "".join(line + "\n" for line in lines)))


@pytest.fixture
def reader(tmp_path):
    """Somebody who follows a page."""
    reader = Reader(tmp_path)
    yield reader
    reader.stop()


def test_tutorial_leads_to_a_paid_order(reader):
    for block in read_blocks("tutorial.md"):
        reader.follow(block)
