"""What plays a part in the tests: handlers that are written on the spot, a clock, a connection."""

from __future__ import annotations

import contextlib
import datetime
import sys
import threading
import time
from unittest import mock

from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from shop.models import LedgerEntry

from django_payment_webhooks.handlers import Handler
from django_payment_webhooks.models import Event
from django_payment_webhooks.payments import OrderPaidHandler


class WorkerKilled(BaseException):
    """What ends a worker in the middle of its work: no ``except Exception`` sees it."""


class DownstreamError(Exception):
    """An answer of another system, as the exceptions of requests and httpx carry it."""

    def __init__(self, status_code, retry_after=None):
        super().__init__(f"{status_code} from downstream")
        self.response = type("Response", (), {})()
        self.response.status_code = status_code
        self.response.headers = {} if retry_after is None else {"Retry-After": retry_after}


def effect(event):
    """Leave one entry in the ledger, as a handler's work does."""
    LedgerEntry.objects.create(kind="effect", order_id="A1", reference=event.provider_event_id)


class Effect(Handler):
    """A handler that leaves an entry in the ledger."""

    def apply(self, event):
        effect(event)


class OneEffect(Effect):
    """A handler whose effect an order has once."""

    def idempotency_key(self, event):
        return f"effect:{event.order_id}"


class ShopOrder:
    """What the handlers of payments ask, answered for the order A1 without looking at it."""

    def get_order(self, event):
        return event.order_id

    def get_price(self, order):
        return "10.00", "EUR"

    def get_refundable(self, order):
        return "10.00", "EUR"


class PaidInFull(ShopOrder, OrderPaidHandler):
    """A handler of payments that lacks what it does with one."""


def handle(settings, event_type="charge.succeeded", parent=Handler, **members):
    """Have a handler for a type of event, written as functions.

    ``handle(settings, apply=lambda self, event: …)``: what is not given does nothing. Returns the
    class.
    """
    if parent is Handler:
        members.setdefault("apply", lambda self, event: None)
    name = "Handler_" + event_type.replace(".", "_")
    handler = type(name, (parent,), members)
    setattr(sys.modules[__name__], name, handler)
    path = f"{__name__}.{name}"
    handlers = {**settings.PAYMENT_WEBHOOKS_HANDLERS, event_type: path}
    settings.PAYMENT_WEBHOOKS_HANDLERS = handlers
    return handler


class Clock:
    """The clock of the app, that goes on by itself and can be moved on by hand."""

    def __init__(self, monkeypatch):
        self.passed = 0
        real_now, real_time = timezone.now, time.time
        monkeypatch.setattr(
            timezone, "now", lambda: real_now() + datetime.timedelta(seconds=self.passed)
        )
        monkeypatch.setattr(time, "time", lambda: real_time() + self.passed)
        # The model has a reference of its own.
        received_at = Event._meta.get_field("received_at")
        monkeypatch.setattr(received_at, "_get_default", lambda: timezone.now())

    def advance(self, seconds):
        """Let a number of seconds pass."""
        self.passed += seconds


@contextlib.contextmanager
def another_connection(alias="another"):
    """Open a second connection to the same database, as another process has it, and close it at the
    end.
    """
    connection = connections["default"].copy(alias)
    # Before Django knows its alias, which it would not allow in a test.
    connection.ensure_connection()
    connections.databases[alias], connections[alias] = connection.settings_dict, connection
    try:
        yield connection
    finally:
        connection.close()
        del connections[alias], connections.databases[alias]


def at_once(*functions):
    """Call functions at the same time, each in a thread with a connection of its own. Returns what
    they return.
    """
    barrier, results = threading.Barrier(len(functions)), [None] * len(functions)

    def run(number, function):
        barrier.wait(10)
        try:
            results[number] = function()
        except Exception as error:
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


@contextlib.contextmanager
def recorded_statements():
    """Record what is sent to the databases, with placeholders for the values.

    Not by Django's own means: Django 1.11 does not see what PyMySQL executes.
    """
    statements, execute = [], CursorWrapper.execute

    def record(self, sql, params=None):
        if not sql.startswith("BEGIN"):  # only SQLite's is seen
            statements.append(sql)
        return execute(self, sql, params)

    with mock.patch.object(CursorWrapper, "execute", record):
        yield statements
