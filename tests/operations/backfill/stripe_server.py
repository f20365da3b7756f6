"""A provider that is asked over HTTP: it lists as Stripe does, and has the faults of networks."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from urllib.parse import parse_qs, urlsplit


class Server(ThreadingMixIn, HTTPServer):
    """Answers each request by a thread of its own."""

    daemon_threads = True


class StripeServer:
    """Lists ``events`` and ``payments``, the newest first, in pages of ``page_size``.

    ``faults`` has what goes wrong with the next answers, each once: a function that is given the
    request's handler and the answer that would be sent, and returns whether it is dealt with.
    ``asked`` has the parameters of each request that came.
    """

    def __init__(self):
        self.events, self.payments, self.faults, self.asked = [], [], [], []
        self.page_size = 2
        self.repeats = 0
        server = self.server = Server(("127.0.0.1", 0), self.make_handler())
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        """Answer nothing more."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def make_handler(stripe):
        """Return the class that answers requests."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                asked = {name: value for name, (value,) in parse_qs(parts.query).items()}
                stripe.asked.append(asked)
                items = stripe.events if parts.path == "/v1/events" else stripe.payments
                body = json.dumps(stripe.list_page(items, asked)).encode()
                fault = stripe.faults.pop(0) if stripe.faults else None
                if fault is None or not fault(self, body):
                    send(self, 200, body)

            def log_message(self, *args):
                pass

        return Handler

    def list_page(self, items, asked):
        """Return a page of a list: with ``repeats`` it begins with what the last page had."""
        after, before = int(asked["created[gte]"]), int(asked["created[lt]"])
        found = [item for item in items if after <= item["created"] < before]
        found.sort(key=lambda item: -item["created"])
        ids = [item["id"] for item in found]
        start = 0
        if "starting_after" in asked:
            start = ids.index(asked["starting_after"]) + 1
        end = start + min(int(asked["limit"]), self.page_size)
        page = found[max(start - self.repeats, 0) : end]
        return {"object": "list", "data": page, "has_more": end < len(found)}


def send(handler, status, body, **headers):
    """Send an answer."""
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    if "Content_Length" not in headers:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


# ---- what can go wrong


def limit(retry_after):
    """Return a fault: too many requests."""

    def fault(handler, body):
        send(handler, 429, b"{}", Retry_After=str(retry_after))
        return True

    return fault


def refuse(status):
    """Return a fault: an answer of this status."""

    def fault(handler, body):
        send(handler, status, b"{}")
        return True

    return fault


def break_off(handler, body):
    """Break the connection in the middle of a page."""
    send(handler, 200, body[: len(body) // 2], Content_Length=str(len(body)))
    handler.close_connection = True
    return True


def be_slow(handler, body):
    """Answer late, and correctly."""
    time.sleep(0.3)


# ---- what it has


def make_event(number, created, type="payment_intent.succeeded", amount=1000, **fields):
    """Return an event as Stripe's API has it, of an order of the same number."""
    intent = make_payment(number, created, amount)
    event = {"id": f"evt_{number}", "object": "event", "type": type, "created": int(created)}
    event.update(api_version="2024-06-20", livemode=True, pending_webhooks=0)
    event.update(request={"id": None, "idempotency_key": None}, data={"object": intent}, **fields)
    return event


def make_payment(number, created, amount=1000, status="succeeded", **fields):
    """Return a payment intent as Stripe's API has it."""
    intent = {"id": f"pi_{number}", "object": "payment_intent", "created": int(created)}
    intent.update(amount=amount, amount_received=amount, currency="eur", status=status)
    intent.update(metadata={"order_id": f"A{number}"}, **fields)
    return intent
