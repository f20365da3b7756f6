"""The warehouse: another system, which is called for each paid order, and can be made to misbehave.

``python downstream.py --port 0`` runs it, and prints its address first. Tests can start it in their
own process instead, with :class:`Downstream`. It answers every POST of JSON to another path than
these with 200, and counts it:

``POST /control``
    Adds a rule, a JSON object. What is left out of it has the default.

    - ``order_id``, ``key``: the rule holds for calls about this order, or with this
      ``Idempotency-Key`` (default: all)
    - ``times``: for how many calls the rule holds (default: 1)
    - ``status``: the status of the answer, such as 429, 500 or 503 (default: 200)
    - ``retry_after``: its header ``Retry-After``, seconds or an HTTP date (default: none)
    - ``hang``: how many seconds the answer takes (default: 0)
    - ``close``: true to close the connection without an answer (default: false)

    Of several rules that fit a call, the oldest is used until it is used up.
``DELETE /control``
    Forgets all rules and all calls.
``GET /calls``
    ``{"<Idempotency-Key>": <how many calls had it>}``, those without an answer included.
``GET /history``
    All calls in their order: ``[{"key": ..., "order_id": ..., "status": ..., "at": <Unix
    seconds>}]``. The status is null for a call without an answer.

To refuse connections, stop it. It can be started again at the same port.
"""

import argparse
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import ProxyHandler, Request, build_opener

RULE = {"order_id", "key", "times", "status", "retry_after", "hang", "close"}


class Control:
    """Says to a running downstream service what to do, and asks what it saw."""

    def __init__(self, url):
        self.url = url

    def add_rule(self, **rule):
        """Add a rule, for example ``add_rule(order_id="A1", status=503, times=2)``."""
        self.ask("POST", "control", rule)

    def reset(self):
        """Forget all rules and all calls."""
        self.ask("DELETE", "control")

    def calls(self):
        """Return how many calls there were, by ``Idempotency-Key``."""
        return self.ask("GET", "calls")

    def history(self, order_id=None):
        """Return all calls in their order, or those about one order."""
        return [call for call in self.ask("GET", "history") if order_id in (None, call["order_id"])]

    def ask(self, method, path, data=None):
        """Send a request to one of the control paths, and return the JSON of the answer."""
        body = None if data is None else json.dumps(data).encode()
        request = Request(self.url + path, data=body, method=method)
        with build_opener(ProxyHandler({})).open(request, timeout=10) as response:
            return json.loads(response.read().decode())


class Downstream(Control):
    """The service in threads of this process: ``with Downstream() as warehouse: ...``."""

    def __init__(self, host="127.0.0.1", port=0):
        self.address = (host, port)
        self.rules = []
        self.records = []
        self.lock = threading.Lock()
        self.stopped = threading.Event()

    def start(self):
        """Listen, at the same port as before if it was stopped. Returns itself."""
        self.stopped.clear()
        self.server = Server(self.address, Answer)
        self.server.downstream = self
        self.address = self.server.server_address
        host, port = self.address
        self.url = f"http://{host}:{port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        """Refuse connections from now on. Rules and calls are kept."""
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def record(self, key, order_id):
        """Note a call. Returns its record and the rule that it is answered by."""
        record = {"key": key, "order_id": order_id, "status": None, "at": time.time()}
        with self.lock:
            self.records.append(record)
            for rule in self.rules:
                if rule.get("order_id", order_id) == order_id and rule.get("key", key) == key:
                    rule["times"] = rule.get("times", 1) - 1
                    if rule["times"] <= 0:
                        self.rules.remove(rule)
                    return record, rule
        return record, {}


class Server(ThreadingHTTPServer):
    """Threads that do not keep the process alive, and room for a burst of connections."""

    daemon_threads = True
    request_queue_size = 128
    # A hanging answer must not keep stop() from returning.
    block_on_close = False


class Answer(BaseHTTPRequestHandler):
    """Answers one request."""

    def do_GET(self):
        """Answer with what was counted."""
        records = self.server.downstream.records
        if self.path == "/calls":
            self.send(200, Counter(record["key"] for record in records))
        elif self.path == "/history":
            self.send(200, records)
        else:
            self.send(404, {"error": "There is only /calls and /history to read."})

    def do_DELETE(self):
        """Forget everything."""
        downstream = self.server.downstream
        with downstream.lock:
            del downstream.rules[:], downstream.records[:]
        self.send(200, {})

    def do_POST(self):
        """Add a rule, or answer a call."""
        data = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self.path == "/control":
            self.add_rule(data)
        else:
            self.answer_call(data)

    def add_rule(self, rule):
        """Add a rule, if it is one."""
        if set(rule) - RULE:
            names = ", ".join(sorted(RULE))
            self.send(400, {"error": f"A rule has only these names: {names}."})
            return
        downstream = self.server.downstream
        with downstream.lock:
            downstream.rules.append(rule)
        self.send(200, {})

    def answer_call(self, data):
        """Answer a call as the rules say."""
        downstream = self.server.downstream
        record, rule = downstream.record(self.headers.get("Idempotency-Key"), data.get("order_id"))
        downstream.stopped.wait(rule.get("hang", 0))
        if rule.get("close") or downstream.stopped.is_set():
            self.close_connection = True
            return
        record["status"] = rule.get("status", 200)
        headers = {}
        if rule.get("retry_after") is not None:
            headers["Retry-After"] = str(rule["retry_after"])
        self.send(record["status"], {}, headers)

    def send(self, status, data, headers=()):
        """Send JSON, if the client is still there."""
        body = json.dumps(data).encode()
        try:
            self.send_response(status)
            for name, value in dict(headers, **{"Content-Type": "application/json"}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            pass

    def log_message(self, *args):
        """Print nothing: a call is in the history."""


def main():
    """Run the service until it is stopped."""
    parser = argparse.ArgumentParser(
        description="The warehouse, which can be made to misbehave: see the docstring."
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=8001, help="the port, 0 for any free one (default: %(default)s)"
    )
    options = parser.parse_args()
    with Downstream(options.host, options.port) as downstream:
        print(downstream.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
