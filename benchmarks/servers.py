"""A PostgreSQL and a Redis of our own, so that the figures have nothing of anybody else's.

The log and the processor time of a server can't be divided by database. Both servers are thrown
away at the end. They are looked for on the PATH, and PostgreSQL where Debian keeps it; the
environment variable ``POSTGRES_BIN`` says where else ``initdb`` and ``postgres`` are.
"""

from __future__ import annotations

import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from processes import Process, accepts, find_port

#: No checkpoint and no vacuum of its own: each program says when there is one.
POSTGRES_OPTIONS = {
    "autovacuum": "off",
    "checkpoint_timeout": "1d",
    "max_wal_size": "16GB",
    "shared_preload_libraries": "pg_stat_statements",
}


@contextmanager
def start_postgres(folder: str) -> Iterator[Process]:
    """Start a new PostgreSQL. Gives its process, whose ``url`` is an empty database."""
    data = os.path.join(folder, "postgres")
    os.mkdir(data, 0o700)
    become = become_postgres(data)
    initdb = [find_postgres("initdb"), "-D", data, "--username=postgres", "--auth=trust"]
    initdb += ["--encoding=UTF8", "--locale=C", "--no-sync"]
    subprocess.run([*become, *initdb], check=True, stdout=subprocess.DEVNULL, cwd=data)
    port = find_port()
    options = dict(POSTGRES_OPTIONS, port=port, unix_socket_directories=data)
    command = [*become, find_postgres("postgres"), "-D", data]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    server = Process("postgres", command, dict(os.environ, VAR_DIR=folder))
    server.wait_until(lambda: "ready to accept connections" in server.output())
    server.url = f"postgres://postgres@127.0.0.1:{port}/postgres"
    try:
        yield server
    finally:
        # At once: nothing of it is kept.
        server.popen.send_signal(signal.SIGQUIT)
        server.stop()


@contextmanager
def start_redis(folder: str) -> Iterator[Process]:
    """Start a new Redis. Gives its process, which has a ``url``."""
    command = [find_program("redis-server"), "--bind", "127.0.0.1", "--save", ""]
    port = find_port()
    command += ["--dir", folder, "--port", str(port)]
    with Process("redis", command, dict(os.environ, VAR_DIR=folder)) as server:
        server.wait_until(lambda: accepts(port))
        server.url = f"redis://127.0.0.1:{port}/0"
        yield server


def become_postgres(data: str) -> list[str]:
    """Return what a command begins with that root must not run itself, and give its folder away."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    os.chown(data, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def find_postgres(name: str) -> str:
    """Return the path of a program of PostgreSQL's server, the newest that is here."""
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    folders.sort(key=lambda folder: [int(part) for part in re.findall(r"\d+", folder)])
    folders.append(os.environ.get("POSTGRES_BIN", ""))
    places = [folder for folder in reversed(folders) if folder]
    return find_program(name, os.pathsep.join([*places, os.environ["PATH"]]))


def find_program(name: str, path: str | None = None) -> str:
    """Return the path of a program, or end this one."""
    found = shutil.which(name, path=path)
    if found is None:
        sys.exit(f"{name} is not here. The benchmarks start PostgreSQL and Redis by themselves.")
    return found
