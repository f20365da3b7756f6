"""What all tests share: the shop's provider, its queue, its worker and its clock."""

import json
import os
from collections import namedtuple
from signal import SIGINT, default_int_handler
from signal import signal as handle_signal
from unittest import mock

import pytest
from celery.signals import setup_logging
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.commands import flush
from django.db import connection, connections
from django.dispatch import Signal
from hypothesis import settings as hypothesis_settings
from shop.models import Dispute, LedgerEntry, Order, Refund

from django_payment_webhooks import publisher, signals, testing
from django_payment_webhooks.conf import get_provider, load
from django_payment_webhooks.history.receivers import rejections
from django_payment_webhooks.receiving import receive_events

from . import VAR_DIR
from .doubles import Effect, handle
from .factories import EventFactory, OrderFactory, PayloadFactory, sign

# A worker that runs in a thread of a test must leave the loggers alone. Celery sets them up, and so
# does Django, which Celery sets up once more: pytest's handlers would be gone.
setup_logging.connect(lambda **_: None, weak=False)
django_settings.LOGGING_CONFIG = None
# A job in the background is started without Ctrl-C, and so is what it starts.
handle_signal(SIGINT, default_int_handler)

hypothesis_settings.register_profile("tests", deadline=None, max_examples=50)
hypothesis_settings.load_profile("tests")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings):
    """Keep SQLite's test database in a file: one in memory can't be shared by threads."""
    connection = connections["default"]
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = os.path.join(VAR_DIR.name, "test.sqlite3")


@pytest.fixture(scope="session", autouse=True)
def quick_flush():
    """Empty the tables after a test without what Django does beyond that.

    It would write all permissions anew, which took a third of the time of all tests, and truncate
    each table, which costs PostgreSQL ten times as much as to delete the rows of a test.
    """
    with mock.patch.multiple(
        flush, sql_flush=list_deletions, emit_post_migrate_signal=lambda *args, **kwargs: None
    ):
        yield


def list_deletions(style, connection, **options):
    """Return the statements that empty all tables, but those of the permissions."""
    tables = set(connection.introspection.django_table_names(only_existing=True))
    tables -= {Permission._meta.db_table, ContentType._meta.db_table}
    deletions = [f"DELETE FROM {connection.ops.quote_name(name)}" for name in sorted(tables)]
    if connection.vendor == "mysql":
        # Its constraints can't be deferred.
        return ["SET FOREIGN_KEY_CHECKS = 0", *deletions, "SET FOREIGN_KEY_CHECKS = 1"]
    return deletions


# ---- the provider


@pytest.fixture
def post(client):
    """Post a body to the address of a provider: ``post(body, "timed", HTTP_X_SIGNATURE="...")``."""

    def post(body, provider=None, content_type="application/json", **extra):
        path = "/v1/webhooks/payment" + ("/" + provider if provider else "")
        return client.post(path, data=body, content_type=content_type, **extra)

    return post


@pytest.fixture
def webhook(post):
    """Send a webhook of the default partner, and return the answer.

    It is written and signed without the code that is tested:
    ``webhook(type="refund.created", order_id="A1", refund_id="re_1", amount="2.50")``. The event's
    own fields are ``event_id``, ``type`` and ``created_at``; every other name is a field of its
    data. ``body`` replaces it all. ``signature`` replaces the genuine one, None leaves it out.
    ``headers`` are given as in ``request.META``.
    """
    own = ("event_id", "type", "created_at")

    def webhook(body=None, provider=None, signature="genuine", headers=(), **fields):
        if body is None:
            payload = PayloadFactory(
                **{name if name in own else "data__" + name: fields[name] for name in fields}
            )
            body = json.dumps(payload).encode()
        headers = dict(headers)
        if signature is not None:
            headers["HTTP_X_SIGNATURE"] = sign(body) if signature == "genuine" else signature
        return post(body, provider, **headers)

    return webhook


@pytest.fixture
def body():
    """Return the body of a webhook of the default partner."""
    return lambda **fields: json.dumps(PayloadFactory(**fields)).encode()


@pytest.fixture
def receive(body):
    """Receive an event on another road than the view's, and return it."""

    def receive(**fields):
        (event,) = receive_events(get_provider("default"), {}, body(**fields), "by-test")
        return event

    return receive


# ---- the queue


def get_publisher():
    """Return what sends this process's messages."""
    return load("django_payment_webhooks.publisher.ThreadPublisher")


class Queue:
    """What was sent to the broker, seen by a consumer of its own."""

    app = publisher.process.app

    def messages(self):
        """Take the messages from the queue: for each the task's name and its arguments."""
        assert get_publisher().flush(10), "the publisher still has something to send"
        taken = []
        with self.app.connection_for_read() as connection:
            mailbox = connection.SimpleQueue(self.app.conf.task_default_queue)
            while True:
                try:
                    message = mailbox.get(block=False)
                except mailbox.Empty:
                    return taken
                message.ack()
                taken.append((message.headers["task"], message.payload[0]))

    def __call__(self):
        """Take the messages from the queue: the keys of the events that they name."""
        messages = self.messages()
        assert {task for task, _ in messages} <= {publisher.process.name}, messages
        return [key for _, (keys,) in messages for key in keys]


@pytest.fixture
def published():
    """Return what was published since the last call: ``assert published() == [event.pk]``."""
    return Queue()


@pytest.fixture(autouse=True)
def nothing_left_over(settings):
    """Let no message, and no thread that sends one, outlive its test."""
    settings.PAYMENT_WEBHOOKS_PUBLISH_PAUSE = 0.05
    # A slow machine must not divide the messages of a test.
    settings.PAYMENT_WEBHOOKS_TASK_TIME = 600
    yield
    Queue().messages()


# ---- the worker and its clock


@pytest.fixture
def run_due():
    """Process every event that is due, and what becomes due by that. Returns their keys."""
    return lambda: [event.pk for event in testing.run_due()]


@pytest.fixture
def pass_time():
    """Let a number of seconds pass for every event that is not finished."""
    return testing.pass_time


@pytest.fixture
def quick_lock_wait(transactional_db):
    """Let this connection wait for a lock for as short as its database can."""
    statements = {
        "mysql": "SET innodb_lock_wait_timeout = %d",
        "postgresql": "SET lock_timeout = %d",
        "sqlite": "PRAGMA busy_timeout = %d",
    }
    shortest = {"mysql": (1, 20), "postgresql": (50, 0), "sqlite": (0, 20000)}
    with connection.cursor() as cursor:
        short, usual = shortest[connection.vendor]
        cursor.execute(statements[connection.vendor] % short)
        yield
        cursor.execute(statements[connection.vendor] % usual)


# ---- handlers


@pytest.fixture
def steps(settings, order):
    """Three types of event for an order, each of which requires the previous one."""
    handle(settings, "first", parent=Effect)
    handle(settings, "second", parent=Effect, requires=("first",))
    handle(settings, "third", parent=Effect, requires=("first", "second"))
    return lambda name, **fields: EventFactory(type=name, provider_event_id=name, **fields)


# ---- the history


@pytest.fixture(autouse=True)
def quiet_history(request):
    """Keep the history's receivers quiet: only the tests that ask for ``history`` want to see what
    it writes.
    """
    quiet = {}
    for signal in [value for value in vars(signals).values() if isinstance(value, Signal)]:
        listening = [
            each
            for each in signal.receivers
            if str(each[0][0]).startswith("payment_webhooks.history.")
        ]
        if "history" not in request.fixturenames:
            quiet[signal] = listening
            signal.receivers = [each for each in signal.receivers if each not in listening]
            signal.sender_receivers_cache.clear()
    yield
    for signal, listening in quiet.items():
        # At their place: before what follows from an event's end.
        signal.receivers = listening + signal.receivers
        signal.sender_receivers_cache.clear()


@pytest.fixture
def history(monkeypatch):
    """Let the history listen. Rejected webhooks are counted in memory until ``rejections.write()``
    is called.
    """
    monkeypatch.setattr(rejections, "start", lambda: None)
    rejections.counts.clear()


# ---- what was told

Told = namedtuple("Told", "name facts")


class ReceivedSignals(list):
    """Every signal that was sent, in order, each with its name and its facts."""

    def names(self):
        """Return the names of the signals."""
        return [told.name for told in self]

    def of(self, name):
        """Return the facts of each signal of this name."""
        return [told.facts for told in self if told.name == name]


@pytest.fixture
def received_signals():
    """Record every signal of the app.

    ``assert received_signals.names() == ["webhook_rejected"]``.
    """
    all_told, connected = ReceivedSignals(), []

    def connect(name, signal):
        def record(signal, **facts):
            all_told.append(Told(name, facts))

        signal.connect(record)
        connected.append((signal, record))

    for name, signal in vars(signals).items():
        if isinstance(signal, Signal):
            connect(name, signal)
    yield all_told
    for signal, record in connected:
        signal.disconnect(record)


# ---- the shop


@pytest.fixture
def order(transactional_db):
    """An order ``A1`` of 10.00 EUR that is not paid."""
    return OrderFactory(id="A1")


@pytest.fixture
def shop_state():
    """Return what the shop knows, as plain values: its orders, refunds, disputes and the effects in
    its ledger.
    """

    def shop_state():
        return {
            "orders": dict(Order.objects.values_list("pk", "status")),
            "refunds": sorted(Refund.objects.values_list("order_id", "refund_id")),
            "disputes": sorted(Dispute.objects.values_list("order_id", "dispute_id")),
            "ledger": sorted(LedgerEntry.objects.values_list("kind", "order_id")),
        }

    return shop_state
