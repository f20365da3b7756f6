"""Whatever comes over the socket of a real server gets the answer that is promised, and leaves what
is promised.

The server is the shop's own, on each database and with each broker. No worker runs: what is stored
and what is queued stays there to be counted.
"""

import glob
import gzip
import hashlib
import hmac
import html
import http.client
import json
import os
import re
import threading
import time
import uuid
from collections import Counter
from contextlib import ExitStack, closing, suppress

import pytest
import requests
from processes import (
    PATH,
    SECRET,
    TIMED_SECRET,
    make_event,
    manage,
    shop_environment,
    sign,
    start_server,
    wait_until,
)

from .conftest import NAMES, STACKS
from .sockets import PATIENCE, Proxy, connect, exchange, make_chunks, make_request, read_reply
from .stacks import Shop

LIMIT = 1024 * 1024
FLOOD = 2  # seconds
MEMORY = (
    300 * 1024
)  # KiB that a process of the server may have in the end; it starts with about 50 000
TIMED = PATH + "/timed"
PORTS = {"mysql": 3306, "postgres": 5432}


@pytest.fixture(scope="module", params=list(STACKS))
def shop(request, tmp_path_factory):
    """The shop without a worker, on one stack after the other. Its server has the database behind a
    proxy.
    """
    missing = [NAMES[name] for name in STACKS[request.param] if name and not os.environ.get(name)]
    if missing:
        pytest.skip("needs " + " and ".join(missing))
    shop = Shop(
        str(tmp_path_factory.mktemp("shop")),
        *[os.environ.get(name) for name in STACKS[request.param]],
    )
    with ExitStack() as stack:
        stack.callback(shop.stop)
        manage(shop.env, "migrate")
        env = dict(shop.env)
        shop.proxy = None
        if shop.database.url:
            parts = shop.database.parts
            shop.proxy = stack.enter_context(
                Proxy(parts.hostname, parts.port or PORTS[parts.scheme])
            )
            netloc = "%s@127.0.0.1:%d" % (parts.netloc.rpartition("@")[0], shop.proxy.port)
            env["DATABASE_URL"] = parts._replace(
                netloc=netloc, path="/" + shop.database.name
            ).geturl()
        shop.server = start_server(env)
        shop.published, shop.messages, shop.connection = 0, [], None
        shop.children = wait_until(
            lambda: len(shop.server.children()) == 2 and shop.server.children()
        )
        if shop.queue.url:
            shop.mailbox = stack.enter_context(shop.queue.open())
        yield shop
        if shop.connection:
            shop.connection.close()


@pytest.fixture(autouse=True)
def server_is_well(request):
    """Check after each test that no process of the server died, grew, or met an error that it did
    not expect.
    """
    yield
    if "shop" in request.fixturenames:
        shop = request.getfixturevalue("shop")
        assert "Traceback" not in shop.server.output()
        assert shop.server.children() == shop.children
        assert max(map(memory, shop.children)) < MEMORY


def memory(pid):
    """Return how many KiB of memory a process has."""
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1))


def look(shop, query):
    """Return the rows of a query. On one connection for all, as some hundred are asked."""
    shop.connection = shop.connection or shop.database.connect()
    with closing(shop.connection.cursor()) as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def statuses(shop):
    """Return the status of each event by its key."""
    return dict(look(shop, "SELECT id, status FROM payment_webhooks_event"))


def list_keys(shop):
    """Return the keys of the events that were published; of some more than once."""
    if not shop.queue.url:
        return sum(shop.queue.list_keys(), [])
    with suppress(shop.mailbox.Empty):
        while True:
            message = shop.mailbox.get(block=False)
            message.ack()
            shop.messages.append(message)
    return [key for message in shop.messages for key in message.payload[0][0]]


def check_published(shop, more):
    """Check that this many events were published since the last look, in any number of messages."""
    shop.published += more
    wait_until(lambda: len(list_keys(shop)) == shop.published, PATIENCE, 0.01)


def charge(event_id, **fields):
    """Return the body of an event."""
    event = {
        "event_id": event_id,
        "type": "charge.succeeded",
        "data": {"order_id": "e1", "amount": "10.00"},
    }
    return json.dumps(dict(event, **fields)).encode()


def padded(event_id, size):
    """Return the body of an event, of this many bytes."""
    body = charge(event_id)
    return body[:-1] + b" " * (size - len(body)) + b"}"


def timed(body, timestamp, shown=None, more=""):
    """Return a genuine request of the partner who signs the time as well."""
    shown = str(timestamp) if shown is None else shown
    mac = hmac.new(TIMED_SECRET.encode(), shown.encode() + b"." + body, hashlib.sha256).hexdigest()
    return make_request(body, "t=%s,v1=%s%s" % (shown, mac, more), path=TIMED)


def post(shop, body, **options):
    """Send a genuine webhook, and return the word of its answer."""
    reply = exchange(shop.server.port, make_request(body, **options))
    assert reply.status == 200, reply
    return json.loads(reply.body.decode())["status"]


# ---- nothing of a flood of forgeries reaches the database


def send_forgeries(port, end, answers):
    """Send the same forged request over one connection, as fast as it is answered."""
    request = make_request(charge("evt_forged"), "0" * 64)
    connection = connect(port)
    while time.monotonic() < end and len(answers) < 10000:
        try:
            connection.sendall(request)
            answers.append(read_reply(connection).status)
        except (
            ConnectionError,
            http.client.BadStatusLine,
        ):  # the server ends a connection now and then
            connection.close()
            connection = connect(port)
    connection.close()


def flood(port, seconds):
    """Send forged requests for some seconds, ten thousand at most. Returns the statuses of the
    answers.
    """
    answers, end = [], time.monotonic() + seconds
    threads = [threading.Thread(target=send_forgeries, args=(port, end, answers)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return answers


def connections(shop):
    """Return how many connections to the database the server ever opened, and has."""
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND datname = '%s'"
    )
    if shop.database.is_mysql:
        query = "SELECT count(*) FROM information_schema.processlist WHERE db = '%s'"
    return shop.proxy.accepted, shop.database.execute(query % shop.database.name, anywhere=True)[0][
        0
    ]


@pytest.mark.parametrize("shop", ["rabbitmq-postgresql", "redis-mariadb"], indirect=True)
def test_flood_of_forged_webhooks_opens_no_connection_to_the_database(shop, record_property):
    flood(shop.server.port, 1)  # what is loaded late is loaded by now, in every thread
    before = list(map(memory, shop.children))

    answers = flood(shop.server.port, FLOOD)

    grown = [now - then for now, then in zip(map(memory, shop.children), before)]
    record_property("forged webhooks in a second", round(len(answers) / FLOOD))
    record_property("KiB grown", grown)
    assert set(answers) == {401}
    assert len(answers) >= 100
    assert connections(shop) == (0, 0)
    assert max(grown) < 32 * 1024
    assert statuses(shop) == {}
    check_published(shop, 0)
    assert exchange(shop.server.port, make_request(charge("evt_after_the_flood"))).status == 200
    assert min(connections(shop)) > 0  # so they are counted right
    assert set(statuses(shop).values()) == {"received"}
    check_published(shop, 1)


# ---- one input, one answer

GENUINE = charge("evt_genuine")
MAC = sign(GENUINE)
FULL_WIDTH = {48 + digit: 0xFF10 + digit for digit in range(10)}


def at(seconds, **options):
    """Return a request whose signing time, when sent, is this many seconds from now."""
    return lambda: timed(charge("evt_timed_%d" % seconds), int(time.time()) + seconds, **options)


def at_odd_time(text):
    """Return a request whose time of signing is no time."""
    return timed(GENUINE, 0, shown=text)


def of_length(length, body=GENUINE):
    """Return a genuine request with a Content-Length that may be wrong."""
    return make_request(body, length=length)


def chunked(body, size=1000, end=b"0\r\n\r\n", **options):
    """Return a genuine request in chunks, without a length."""
    headers = [("Transfer-Encoding", "chunked")]
    request = make_request(body, length=None, headers=headers, **options)
    return request[: len(request) - len(body)] + make_chunks(body, size, end)


# What comes from the server before the app has seen anything; which of them depends on its version.
BY_SERVER = (400, 413, 431, 501)

REFUSED = {
    "GET": (405, make_request(GENUINE, method="GET")),
    "HEAD": (405, make_request(GENUINE, method="HEAD")),
    "PUT": (405, make_request(GENUINE, method="PUT")),
    "DELETE": (405, make_request(GENUINE, method="DELETE")),
    "OPTIONS": (405, make_request(GENUINE, method="OPTIONS")),
    "an unknown method": (405, make_request(GENUINE, method="BREW")),
    "unknown provider": (404, make_request(GENUINE, path=PATH + "/nobody")),
    "line breaks in the path": (404, make_request(GENUINE, path=PATH + "/%0d%0aX-Forged:%20yes")),
    "no HTTP": (
        400,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)) + b"\r\n\r\n",
    ),
    # signatures
    "no signature": (401, make_request(GENUINE, None)),
    "empty signature": (401, make_request(GENUINE, "")),
    "signature of 4 KiB": (401, make_request(GENUINE, MAC * 64)),
    "signature of 64 KiB": (BY_SERVER, make_request(GENUINE, "0" * 2**16)),
    "another header of 64 KiB": (
        BY_SERVER,
        make_request(GENUINE, headers=[("X-Other", "0" * 2**16)]),
    ),
    "signature of 1 MiB": (BY_SERVER, make_request(GENUINE, "0" * 2**20)),
    "a thousand headers": (
        BY_SERVER,
        make_request(GENUINE, headers=[("X-%d" % n, "x") for n in range(1000)]),
    ),
    "two genuine signatures": (401, make_request(GENUINE, headers=[("X-Signature", MAC)])),
    "a genuine signature after a forged one": (
        401,
        make_request(GENUINE, "0" * 64, [("X-Signature", MAC)]),
    ),
    "signature in UTF-8": (401, make_request(GENUINE, "\u00e9" * 64)),
    "signature in Latin-1": (401, make_request(GENUINE, b"\xe9" * 64)),
    "signature in full-width digits": (401, make_request(GENUINE, MAC.translate(FULL_WIDTH))),
    "signature with an odd number of digits": (401, make_request(GENUINE, MAC[:-1])),
    "signature with a space in it": (401, make_request(GENUINE, MAC[:32] + " " + MAC[32:])),
    "signature with its prefix": (401, make_request(GENUINE, "sha256=" + MAC)),
    "prefix of a signature only": (401, make_request(GENUINE, "sha256=")),
    "another algorithm": (
        401,
        make_request(GENUINE, hmac.new(SECRET.encode(), GENUINE, "sha3_256").hexdigest()),
    ),
    "md5": (
        401,
        make_request(GENUINE, "md5=" + hmac.new(SECRET.encode(), GENUINE, "md5").hexdigest()),
    ),
    "no algorithm": (401, make_request(GENUINE, "none")),
    "signature with a NUL": ((401, *BY_SERVER), make_request(GENUINE, b"\0" * 64)),
    "signature with an escape": ((401, *BY_SERVER), make_request(GENUINE, "\x1b[2J" + MAC)),
    "signature on two lines": (
        (401, *BY_SERVER),
        make_request(GENUINE, MAC[:32] + "\r\n " + MAC[32:]),
    ),
    "signature under another name": (401, make_request(GENUINE, None, [("X_Signature", MAC)])),
    "empty key": (401, make_request(GENUINE, sign(GENUINE, ""))),
    "another key": (401, make_request(GENUINE, sign(GENUINE, "a guess of a secret"))),
    "signature of another body": (401, make_request(GENUINE, sign(GENUINE + b" "))),
    # times of signing
    "no time": (401, make_request(GENUINE, "v1=" + sign(b"." + GENUINE), path=TIMED)),
    "time in milliseconds": (401, lambda: at_odd_time("%d" % (time.time() * 1000))),
    "time in full-width digits": (
        401,
        lambda: at_odd_time(("%d" % time.time()).translate(FULL_WIDTH)),
    ),
    "time of another scheme": (
        401,
        lambda: timed(GENUINE, int(time.time()), more=",v0=1").replace(b"v1=", b"v0="),
    ),
    "too old": (401, at(-305)),
    "too far ahead": (401, at(305)),
    "a sender whose clock is an hour late": (401, at(-3600)),
    "a sender whose clock is an hour early": (401, at(3600)),
    # sizes
    "empty body": (400, make_request(b"")),
    "no body": (400, make_request(b"", length=None)),
    "a length, no body": (400, make_request(b"", length=100)),
    "truncated body": (400, of_length(len(GENUINE) + 1)),
    "truncated body of a forgery": (400, make_request(GENUINE, "0" * 64, length=10**6)),
    "length of an exabyte": ((400, 413), of_length(10**18)),
    "length of 5000 digits": (BY_SERVER, of_length("9" * 5000)),
    "body longer than its length": (401, of_length(len(GENUINE) - 1)),
    "one byte over the limit": (413, make_request(padded("evt_1", LIMIT + 1))),
    "one byte over the limit, forged": (413, make_request(padded("evt_1", LIMIT + 1), "0" * 64)),
    "negative length": (400, of_length("-5")),
    "length in letters": (400, of_length("abc")),
    "length in hex": (400, of_length("0x10")),
    "length with an exponent": (400, of_length("1e2")),
    "length with a sign": ((400, 401), of_length("+%d" % len(GENUINE))),
    "two lengths": (400, make_request(GENUINE, headers=[("Content-Length", len(GENUINE) - 1)])),
    "chunked and empty": (400, chunked(b"")),
    "chunked and one byte over the limit": (413, chunked(padded("evt_1", LIMIT + 1), 65536)),
    "chunked and cut off": (400, chunked(GENUINE, end=b"")),
    "chunked and cut off in a chunk": (400, chunked(GENUINE)[:-20]),
    "chunk with a size that is none": (
        400,
        chunked(b"", end=b"xyz\r\n" + GENUINE + b"\r\n0\r\n\r\n"),
    ),
    "chunk of a negative size": (400, chunked(b"", end=b"-5\r\n" + GENUINE + b"\r\n0\r\n\r\n")),
    "chunk of 16 EiB": (400, chunked(b"", end=b"f" * 16 + b"\r\n" + GENUINE + b"\r\n0\r\n\r\n")),
    "chunked forgery": (401, chunked(GENUINE, signature="0" * 64)),
    # encodings
    "gzip": (415, make_request(gzip.compress(GENUINE), headers=[("Content-Encoding", "gzip")])),
    "a bomb in gzip": (
        415,
        make_request(gzip.compress(b"0" * 10**7), headers=[("Content-Encoding", "gzip")]),
    ),
    "deflate": (415, make_request(GENUINE, headers=[("Content-Encoding", "deflate")])),
    "gzip that is none": (415, make_request(GENUINE, headers=[("Content-Encoding", "gzip")])),
    "gzip, and says that it is not": (401, make_request(gzip.compress(GENUINE), MAC)),
}
REFUSED.update(
    ("time that is %r" % text, (401, at_odd_time(text)))
    for text in ["", "-1", "NaN", "inf", "1e9", "1e20", "1_700_000_000", "1" * 13, "0x6a", "now"]
)


def check_refusal(shop, statuses_, request):
    """Send a request that must be refused. Checks that nothing is left of it, and returns the
    reply.
    """
    before = statuses(shop)
    request = request() if callable(request) else request
    reply = exchange(shop.server.port, request, method=request.partition(b" ")[0].decode("latin-1"))
    assert reply.status in (statuses_ if isinstance(statuses_, tuple) else [statuses_]), reply
    assert statuses(shop) == before
    check_published(shop, 0)
    return reply


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_no_trace(shop, name):
    reply = check_refusal(shop, *REFUSED[name])
    if reply.status == 405:
        assert reply.headers["allow"] == "POST"
    if reply.status == 401:
        assert json.loads(reply.body.decode()) == {"error": "The signature does not match."}


def with_expect():
    """Return a request whose sender asks first whether it may send the body."""
    return make_request(charge("evt_expect"), headers=[("Expect", "100-continue")])


ACCEPTED = {
    "upper-case signature": lambda: make_request(
        charge("evt_upper"), sign(charge("evt_upper")).upper()
    ),
    "one byte under the limit": lambda: make_request(padded("evt_limit_1", LIMIT - 1)),
    "exactly the limit": lambda: make_request(padded("evt_limit", LIMIT)),
    "chunked": lambda: chunked(charge("evt_chunked")),
    "chunked, byte by byte": lambda: chunked(charge("evt_bytes"), 1),
    "chunked and exactly the limit": lambda: chunked(padded("evt_chunked_limit", LIMIT), 65536),
    "identity": lambda: make_request(
        charge("evt_identity"), headers=[("Content-Encoding", "identity")]
    ),
    "text": lambda: make_request(charge("evt_text"), headers=[("Content-Type", "text/plain")]),
    "says that it is a form": lambda: make_request(
        charge("evt_form"), headers=[("Content-Type", "application/x-www-form-urlencoded")]
    ),
    "says that it is multipart": lambda: make_request(
        charge("evt_multipart"), headers=[("Content-Type", "multipart/form-data; boundary=x")]
    ),
    "content type that is none": lambda: make_request(
        charge("evt_type"), headers=[("Content-Type", b"\xff/\xfe;=")]
    ),
    "sender who asks first": with_expect,
    "signed almost too long ago": at(-290),
    "signed almost too far ahead": at(290),
    "genuine signature beside odd ones": lambda: timed(
        charge("evt_beside"), int(time.time()), more=",v1=%s,v0=x,v2=" % ("0" * 64)
    ),
    "the same name twice": lambda: make_request(
        b'{"event_id": "evt_first", "event_id": "evt_last", "type": "t"}'
    ),
    "NUL beside the point": lambda: make_request(charge("evt_nul", note="\0")),
    "lone surrogate beside the point": lambda: make_request(charge("evt_surrogate", note="\ud800")),
    "unknown fields": lambda: make_request(
        charge("evt_unknown", extra=[{"deep": {}}, None, True, -1.5])
    ),
    "31 levels": lambda: make_request(charge("evt_levels", note=json.loads("[" * 30 + "]" * 30))),
    "4300 digits": lambda: make_request(charge("evt_digits").replace(b'"10.00"', b"1" * 4300)),
    "id that is a number": lambda: make_request(charge(17)),
    "id that is zero": lambda: make_request(charge(0)),
    "id of 255 characters": lambda: make_request(charge("\U0001f600" * 255)),
    "line break in the id": lambda: make_request(charge("evt_\r\nforged webhook received")),
    "escape in the type": lambda: make_request(charge("evt_escape", type="\x1b[2J\u2028forged")),
    "markup in the order": lambda: make_request(
        charge("evt_html", data={"order_id": "<script>alert(1)</script>"})
    ),
    "formula in the order": lambda: make_request(charge("evt_formula", data={"order_id": "=1+1"})),
    "unknown type": lambda: make_request(charge("evt_payout", type="payout.paid")),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_genuine_is_stored_and_published_however_odd(shop, name):
    before = statuses(shop)

    reply = exchange(shop.server.port, ACCEPTED[name]())

    assert (reply.status, json.loads(reply.body.decode())["status"]) == (200, "accepted"), reply
    (key,) = set(statuses(shop)) - set(before)
    assert statuses(shop)[key] == "received"
    check_published(shop, 1)
    assert not [
        line for line in shop.server.output().split("\n") if re.search("^forged|\x1b|\u2028", line)
    ]


FORM = b'--x\r\nContent-Disposition: form-data; name="event_id"\r\n\r\nevt_1\r\n--x--\r\n'
KEPT = {
    "no JSON": b"hello",
    "a form": b"event_id=evt_1&type=charge.succeeded",
    "multipart": FORM,
    "list": b"[%s]" % GENUINE,
    "scalar": b"17",
    "null": b"null",
    "no id": b'{"type": "t"}',
    "id that is null": b'{"event_id": null, "type": "t"}',
    "id that is a list": b'{"event_id": ["e"], "type": "t"}',
    "id that is a fraction": b'{"event_id": 1.5, "type": "t"}',
    "id that is true": b'{"event_id": true, "type": "t"}',
    "blank id": b'{"event_id": "  ", "type": "t"}',
    "empty id": b'{"event_id": "", "type": "t"}',
    "id of 256 characters": charge("x" * 256),
    "id of 10 000 characters": charge("x" * 10000),
    "NUL in the id": charge("e\0"),
    "lone surrogate in the id": charge("\ud800"),
    "no type": b'{"event_id": "evt_1"}',
    "type that is an object": charge("evt_1", type={}),
    "type of 256 characters": charge("evt_1", type="x" * 256),
    "not UTF-8": GENUINE.replace(b"e1", b"\xff"),
    "Latin-1": GENUINE.replace(b"e1", b"\xe9"),
    "UTF-16": GENUINE.decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + GENUINE,
    "NaN": GENUINE.replace(b'"10.00"', b"NaN"),
    "Infinity": GENUINE.replace(b'"10.00"', b"-Infinity"),
    "32 levels": charge("evt_1", note=json.loads("[" * 31 + "]" * 31)),
    "500 levels": GENUINE.replace(b'"10.00"', b"[" * 498 + b"]" * 498),
    "100 000 levels": GENUINE.replace(b'"10.00"', b"[" * 100000 + b"]" * 100000),
    "a megabyte of open brackets": b"[" * LIMIT,
    "a megabyte of lists": GENUINE.replace(b'"10.00"', b"[" + b",".join([b"[]"] * 340000) + b"]"),
    "50 001 values": GENUINE.replace(b'"10.00"', b"[" + b",".join([b"0"] * 50000) + b"]"),
    "100 000 names": GENUINE.replace(
        b'"10.00"', json.dumps(dict.fromkeys(map(str, range(60000)), 0)).encode()
    ),
    "4301 digits": GENUINE.replace(b'"10.00"', b"1" * 4301),
    "a million digits": GENUINE.replace(b'"10.00"', b"1" * 10**6),
    "1e400": GENUINE.replace(b'"10.00"', b"1e400"),
    "1e1000000": GENUINE.replace(b'"10.00"', b"1e1000000"),
    "1e99999999999999999999": GENUINE.replace(b'"10.00"', b"1e99999999999999999999"),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_genuine_and_not_understood_is_kept_as_failed(shop, name):
    body, before = KEPT[name], statuses(shop)

    replies = [exchange(shop.server.port, make_request(body)) for _ in range(2)]

    assert [reply.status for reply in replies] == [400, 400], replies
    (key,) = set(statuses(shop)) - set(before)  # once, though it came twice
    query = "SELECT status, type, error, body FROM payment_webhooks_event WHERE id = %d" % key
    ((status, event_type, error, kept),) = look(shop, query)
    assert (status, event_type, bytes(kept)) == ("failed", "", body)
    assert {json.loads(reply.body.decode())["error"] for reply in replies} == {error}
    check_published(shop, 0)


@pytest.mark.parametrize("order", [[1], {}, False, 1234.5, "  ", "x" * 300], ids=repr)
def test_order_that_can_be_none_does_not_refuse_the_event(shop, order):
    """Only a handler can know whether an event needs an order."""
    before = statuses(shop)
    name = hashlib.sha256(repr(order).encode()).hexdigest()

    assert post(shop, charge(name, data={"order_id": order})) == "accepted"

    (key,) = set(statuses(shop)) - set(before)
    query = "SELECT status, order_id FROM payment_webhooks_event WHERE id = %d" % key
    assert [tuple(row) for row in look(shop, query)] == [("received", "")]
    check_published(shop, 1)


# ---- bodies that take their time, and what comes with them


@pytest.mark.parametrize("make", [make_request, chunked], ids=["with a length", "chunked"])
def test_a_dribbled_body_is_waited_for_and_delays_no_other_request(shop, make):
    slow, quick = make(charge("evt_slow_" + make.__name__)), charge("evt_quick_" + make.__name__)
    middle = slow.index(b"\r\n\r\n") + 10
    with closing(connect(shop.server.port)) as connection:
        connection.sendall(slow[:middle])
        assert [post(shop, quick) for _ in range(20)] == ["accepted"] + ["duplicate"] * 19
        for start in range(middle, len(slow), 10):
            connection.sendall(slow[start : start + 10])
            time.sleep(0.05)
        assert read_reply(connection).status == 200
    check_published(shop, 21)


def test_clients_that_hang_up_in_the_middle_of_everything_are_no_error(shop):
    request, before = make_request(charge("evt_hung_up")), statuses(shop)
    for sent in range(1, len(request) - 1, len(request) // 20):
        with closing(connect(shop.server.port)) as connection:
            connection.sendall(request[:sent])

    assert exchange(shop.server.port, request).status == 200
    assert len(statuses(shop)) == len(before) + 1
    check_published(shop, 1)


def test_requests_on_one_connection_are_answered_each(shop):
    forged, genuine = make_request(charge("evt_kept"), "0" * 64), make_request(charge("evt_kept"))
    with closing(connect(shop.server.port)) as connection:
        replies = []
        for request in (forged, genuine, forged, genuine):
            connection.sendall(request)
            replies.append(read_reply(connection))
    words = [(reply.status, json.loads(reply.body.decode()).get("status")) for reply in replies]
    assert words == [(401, None), (200, "accepted"), (401, None), (200, "duplicate")]
    check_published(shop, 2)  # no worker has taken it yet, so the duplicate is published again


def test_request_behind_a_body_that_is_longer_than_its_length_is_not_taken_for_genuine(shop):
    """What follows a body is a request of its own, with a signature of its own."""
    smuggled = make_request(charge("evt_smuggled"), None)
    outer = make_request(charge("evt_outer")) + smuggled

    assert exchange(shop.server.port, outer).status == 200

    stored = [row[0] for row in look(shop, "SELECT provider_event_id FROM payment_webhooks_event")]
    assert "evt_outer" in stored and "evt_smuggled" not in stored
    check_published(shop, 1)


# ---- the same again


PAIRS = [
    ("evt_A", "evt_a"),
    ("evt_x", "evt_x "),
    ("evt_e", "evt_\u00e9"),
    ("evt_\U0001f600", "evt_\U0001f601"),
]


@pytest.mark.parametrize("pair", PAIRS, ids=ascii)
def test_ids_that_only_look_alike_are_different_events(shop, pair):
    assert [post(shop, charge(event_id)) for event_id in pair * 2] == ["accepted"] * 2 + [
        "duplicate"
    ] * 2
    check_published(shop, 4)


def test_captured_request_that_is_sent_again_is_a_duplicate_whatever_else_is_changed_in_it(shop):
    body, before = charge("evt_captured"), len(statuses(shop))
    assert post(shop, body) == "accepted"
    assert post(shop, body) == "duplicate"
    assert (
        post(shop, body, headers=[("Webhook-Id", "evt_2"), ("X-Event-Id", "evt_2")]) == "duplicate"
    )
    assert post(shop, body, path=PATH + "/default?event_id=evt_2") == "duplicate"
    assert len(statuses(shop)) == before + 1
    check_published(shop, 4)


def test_same_id_with_another_body_is_a_duplicate_and_the_conflict_is_logged(shop):
    assert post(shop, charge("evt_conflict")) == "accepted"
    assert (
        post(shop, charge("evt_conflict", data={"order_id": "e1", "amount": "9999.00"}))
        == "duplicate"
    )
    query = "SELECT body FROM payment_webhooks_event WHERE provider_event_id = 'evt_conflict'"
    ((body,),) = look(shop, query)
    assert bytes(body) == charge("evt_conflict")
    wait_until(lambda: "event conflicted" in shop.server.output())
    check_published(shop, 2)


def test_same_id_from_another_provider_is_another_event(shop):
    assert post(shop, charge("evt_of_two")) == "accepted"
    reply = exchange(shop.server.port, timed(charge("evt_of_two"), int(time.time())))
    assert (reply.status, json.loads(reply.body.decode())["status"]) == (200, "accepted")
    check_published(shop, 2)


# ---- what becomes of it

CANARIES = ["4111111111111111", "cvv-737", "jane@example.org"]


def test_what_a_body_has_of_a_person_is_in_the_row_and_nowhere_else(shop):
    """Nor is the secret, or a signature. All events that the tests above stored come to their ends
    by the way, or wait for an order that the shop does not have.
    """
    event = make_event("charge.succeeded", "no-such-order", card=CANARIES[0], cvv=CANARIES[1])
    event["email"] = CANARIES[2]
    assert post(shop, json.dumps(event).encode()) == "accepted"

    check_published(shop, 1)
    shown = [file_text(path) for path in glob.glob(os.path.join(shop.queue.folder, "*.msg"))]
    shown += [repr((each.payload, each.headers, each.properties)) for each in shop.messages]
    assert shown
    time.sleep(1.1)  # the sweeper's grace
    shown.append(manage(shop.env, "sweep_payment_webhooks", "--process", "-v", "2"))
    shown.append(shop.server.output())
    shown.append(repr(look(shop, "SELECT error, order_id, status FROM payment_webhooks_event")))

    shown = "\n".join(shown)
    assert (
        event["event_id"] in shown and "no-such-order" in shown
    )  # so this looks at the right things
    assert [canary for canary in [*CANARIES, SECRET, MAC] if canary in shown] == []
    ends = Counter(look(shop, "SELECT status, type FROM payment_webhooks_event"))
    assert {status for status, _ in ends} == {"failed", "ignored", "waiting"}
    assert ends["ignored", "payout.paid"] == 1
    assert {kind for status, kind in ends if status == "waiting"} == {"charge.succeeded"}
    assert ends["waiting", "charge.succeeded"] > 10


def file_text(path):
    """Return what is in a file."""
    with open(path, errors="replace") as file:
        return file.read()


@pytest.mark.parametrize("shop", ["embedded"], indirect=True)
def test_admin_opens_whatever_was_stored(shop):
    """Nothing of it runs there, either."""
    password, name = uuid.uuid4().hex, "operator"
    env = dict(shop.env, DJANGO_SUPERUSER_PASSWORD=password)
    code = (
        "from django.contrib.auth import get_user_model as u; "
        "u().objects.create_superuser(%r, '', %r)"
    )
    manage(env, "shell", "-c", code % (name, password))
    session = requests.Session()
    session.trust_env = False
    events = shop.server.base_url + "/admin/payment_webhooks/event/"
    login = session.get(events)
    session.post(
        login.url,
        data={
            "username": name,
            "password": password,
            "csrfmiddlewaretoken": session.cookies["csrftoken"],
        },
    )

    pages = [session.get(events, params={"q": ""})]
    pages += [session.get("%s%d/change/" % (events, key)) for key in statuses(shop)]

    assert {page.status_code for page in pages} == {200}
    assert {page.url.startswith(events) for page in pages} == {True}
    assert not [page.url for page in pages if "<script>alert(1)" in page.text]
    assert [page.url for page in pages if html.escape("<script>alert(1)") in page.text]


# ---- secrets, in an environment of their own


def start_with_secrets(env, secrets):
    """Start a server with these secrets of the default partner."""
    return start_server(dict(env, PAYMENT_WEBHOOKS_SECRETS=secrets))


@pytest.fixture(scope="module")
def bare_env(tmp_path_factory):
    """The environment of a shop on SQLite."""
    env = shop_environment(str(tmp_path_factory.mktemp("secrets")))
    manage(env, "migrate")
    return env


@pytest.mark.parametrize("secret", ["", "   ", "fifteen-bytes-x"], ids=["empty", "blank", "short"])
def test_without_a_usable_secret_everything_is_answered_with_503(bare_env, secret):
    with start_with_secrets(bare_env, secret) as server:
        for key in ("", " ", secret, "None", "[]"):
            reply = exchange(server.port, make_request(charge("evt_no_secret"), secret=key))
            assert reply.status == 503, reply
        now = int(time.time())
        reply = exchange(server.port, timed(charge("evt_of_other"), now))
        assert (
            json.loads(reply.body.decode())["event_id"] == "evt_of_other"
        )  # the others' webhooks are accepted
        assert "Traceback" not in server.output()


def test_both_secrets_are_accepted_during_a_rotation_and_the_old_one_not_after_it(bare_env):
    new, old = "the-new-secret-of-the-partner", "the-old-secret-of-the-partner"

    def send(server, secret):
        return exchange(
            server.port, make_request(charge("evt_rotated_" + uuid.uuid4().hex), secret=secret)
        ).status

    with start_with_secrets(bare_env, new + "," + old) as server:
        assert [send(server, secret) for secret in (new, old)] == [200, 200]
    with start_with_secrets(bare_env, new) as server:
        assert [send(server, secret) for secret in (new, old)] == [200, 401]
