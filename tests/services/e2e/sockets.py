"""Sockets under the tests' own hand: requests byte by byte, and a port in front of a database that
can fail.
"""

import http.client
import re
import select
import socket
import struct
import threading
from contextlib import closing, contextmanager, suppress
from typing import Dict, NamedTuple

import django
from processes import PATH, sign

# What stores an event, as PostgreSQL and MariaDB are asked for it, and what commits that. An event
# that came alone is stored in autocommit, but Django 2.1 and older put a transaction around it.
STORE = re.compile(rb"INSERT INTO .payment_webhooks_event\b")
COMMIT = STORE if django.VERSION >= (2, 2) else re.compile(rb"(?<!AUTO)COMMIT")
PATIENCE = 30  # seconds: how long an answer may take before a test gives it up


class Reply(NamedTuple):
    """What a request was answered with. The names of the headers are in lower case."""

    status: int
    headers: Dict[str, str]
    body: bytes


def make_request(
    body, signature="genuine", headers=(), method="POST", path=PATH, length="right", secret=None
):
    """Return the bytes of a request. Every part of it can be wrong; None leaves a header out.

    ``length`` is the ``Content-Length``, ``headers`` are pairs of a name and a text or bytes.
    """
    signature = (
        sign(body, *([secret] if secret is not None else []))
        if signature == "genuine"
        else signature
    )
    length = len(body) if length == "right" else length
    lines = [("%s %s HTTP/1.1" % (method, path)).encode(), b"Host: localhost"]
    for name, value in [("Content-Length", length), ("X-Signature", signature), *headers]:
        if value is not None:
            value = value if isinstance(value, bytes) else str(value).encode()
            lines.append(name.encode() + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def make_chunks(body, size, end=b"0\r\n\r\n"):
    """Return a body in chunks of a size."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


def connect(port):
    """Return a connection to a server of this machine."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_reply(connection, method="POST"):
    """Return the next reply of a connection."""
    response = http.client.HTTPResponse(connection, method=method)
    with closing(response):
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, response.read())


def exchange(port, request, method="POST"):
    """Send a request, and say that no more will come. Returns the reply.

    A server may answer, and hang up, before it has read everything.
    """
    with closing(connect(port)) as connection:
        with suppress(ConnectionError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        return read_reply(connection, method)


@contextmanager
def resetting_listener():
    """Listen at a port, and reset each connection at once. Gives the port."""

    def reset():
        with suppress(OSError):
            while True:
                client = listener.accept()[0]
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        threading.Thread(target=reset, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


class Proxy:
    """A port in front of a database: it counts the connections, can refuse them, and can cut one as
    it stores an event.

    ``cut`` is "before" or "after": the next INSERT of an event never reaches the database, or the
    answer to its commit never reaches the client. It is None again once that has happened.
    """

    def __init__(self, host, port):
        self.target, self.port, self.accepted, self.cut = (host, port), None, 0, None
        self.open, self.listener = set(), None

    def __enter__(self):
        self.listen()
        return self

    def __exit__(self, *_):
        self.refuse()

    def listen(self):
        """Take connections, at the same port as before."""
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port or 0))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def refuse(self):
        """End all connections, and refuse new ones."""
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def accept(self, listener):
        """Serve each connection in a thread of its own."""
        with suppress(OSError):
            while True:
                client = listener.accept()[0]
                self.accepted += 1
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        """Pass everything on until one side ends, or the connection is to be cut."""
        with closing(client), suppress(OSError), closing(
            socket.create_connection(self.target)
        ) as server:
            pair = {client: server, server: client}
            self.open.update(pair)
            try:
                self.pass_on(pair, client, server)
            finally:
                self.open.difference_update(pair)

    def find_cut(self, data):
        """Return where the connection is to be cut, if it is by what the client says here."""
        last = {"before": STORE, "after": COMMIT}.get(self.cut)
        return self.cut if last and last.search(data) else None

    def pass_on(self, pair, client, server):
        """Pass on what each side says to the other."""
        while True:
            for source in select.select(list(pair), [], [])[0]:
                data = source.recv(65536)
                if not data:
                    return
                cut = self.find_cut(data) if source is client else None
                if cut != "before":
                    pair[source].sendall(data)
                if cut:
                    self.cut = None
                    if cut == "after":
                        server.recv(65536)  # so it has committed
                    return
