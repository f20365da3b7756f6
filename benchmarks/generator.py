"""The provider: a process of its own that posts webhooks over connections that it keeps open.

It writes and signs everything before the clock starts, and serves all its connections in one
thread, since it shares the processor with what is measured.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from processes import make_event, sign

from . import ROOT

BODY_SIZE = 1024


class Task(NamedTuple):
    """A webhook for each of some orders, whose ids are the prefix and a number from 1."""

    address: str
    path: str
    prefix: str
    count: int
    clients: int


class Answers(NamedTuple):
    """How long all of it took, and each answer, in seconds."""

    seconds: float
    latencies: list[float]


class Generator:
    """Posts webhooks from another process. As a context manager it ends that process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.generator"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "universal_newlines": True}
        self.process = subprocess.Popen(command, cwd=ROOT, **pipes)

    def prepare(self, task: Task) -> None:
        """Write and sign all webhooks, so that :meth:`post` begins at once."""
        self._send(json.dumps(task))
        self._receive()

    def post(self) -> Answers:
        """Post what was prepared."""
        self._send("go")
        return Answers(*json.loads(self._receive()))

    def _send(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _receive(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            sys.exit("The generator of webhooks has ended.")
        return line

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(10)


def write_event(order_id: str, size: int = BODY_SIZE) -> dict:
    """Return an event about an order of N bytes as JSON, most of them padding."""
    event = make_event("charge.succeeded", order_id, "evt_" + order_id, charge_id="ch_" + order_id)
    event["data"]["note"] = ""
    length = size - len(json.dumps(event))
    # A text like no other, as a database compresses what repeats itself.
    event["data"]["note"] = f"{random.getrandbits(4 * length):0{length}x}"
    return event


def write_request(task: Task, body: bytes) -> bytes:
    """Return the bytes of a request."""
    lines = [
        f"POST {task.path} HTTP/1.1",
        f"Host: {urlsplit(task.address).netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"X-Signature: {sign(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


class Client:
    """A connection that posts one request after the other."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> None:
        """Send a request."""
        self.answer = b""
        self.started = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> float | None:
        """Read what has come. Returns the seconds of the answer, None if it is incomplete."""
        received = self.socket.recv(65536)
        self.answer += received
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if not received:
            sys.exit(f"The server closed a connection after {self.answer!r}.")
        if not end or len(body) < read_length(head):
            return None
        if b" 200 " not in head[:20]:
            sys.exit(f"A webhook was answered with {self.answer!r}.")
        return time.perf_counter() - self.started


def read_length(head: bytes) -> int:
    """Return how long the body of an answer is."""
    name = b"content-length:"
    start = head.lower().index(name) + len(name)
    return int(head[start:].split(b"\r\n")[0])


def post_all(clients: list[Client], requests: Iterator[bytes]) -> Iterator[float]:
    """Post the requests, each by the next client that is free. Gives the seconds of each answer."""
    with selectors.DefaultSelector() as selector:
        for client, request in zip(clients, requests):
            client.send(request)
            selector.register(client.socket, selectors.EVENT_READ, client)
        while selector.get_map():
            for key, _ in selector.select():
                seconds = key.data.receive()
                if seconds is None:
                    continue
                yield seconds
                request = next(requests, None)
                if request is None:
                    selector.unregister(key.fileobj)
                else:
                    key.data.send(request)


def serve(task: Task) -> None:
    """Prepare a task, wait for the word, post it, and print what was measured."""
    bodies = [
        json.dumps(write_event(task.prefix + str(number + 1))).encode()
        for number in range(task.count)
    ]
    requests = iter([write_request(task, body) for body in bodies])
    clients = [Client(task.address) for _ in range(task.clients)]
    say("ready")
    sys.stdin.readline()
    started = time.perf_counter()
    latencies = list(post_all(clients, requests))
    say(json.dumps([time.perf_counter() - started, latencies]))
    for client in clients:
        client.socket.close()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Do what the lines of the standard input task."""
    for line in iter(sys.stdin.readline, ""):
        serve(Task(*json.loads(line)))


if __name__ == "__main__":
    main()
