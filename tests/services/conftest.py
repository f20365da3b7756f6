"""The database's isolation levels, a queue that the test holds in its hands, and a warehouse."""

from __future__ import annotations

import time
from collections import deque

import pytest
from django.db import connection, router, transaction
from django.db.backends.signals import connection_created
from processes import shop_environment, start_downstream

from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import AHEAD, ThreadPublisher, process

# The isolation levels that a shop may have, by its database.
LEVELS = {
    "sqlite": ["serializable"],
    "mysql": ["read committed", "repeatable read"],
    "postgresql": ["read committed"],
}
STATEMENTS = {
    "mysql": "SET SESSION TRANSACTION ISOLATION LEVEL ",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL ",
}


@pytest.fixture(params=LEVELS[connection.vendor])
def isolation(request, transactional_db):
    """Run the test at each isolation level of the database: all connections of the test have it."""

    def set_level(connection, **_):
        if connection.vendor in STATEMENTS:
            with connection.cursor() as cursor:
                cursor.execute(STATEMENTS[connection.vendor] + request.param)

    connection.close()
    connection_created.connect(set_level)
    yield request.param
    connection_created.disconnect(set_level)
    connection.close()


class Nudges(deque):
    """The keys that were enqueued, instead of a broker. None is lost here, or comes by itself."""

    def publish(self, events):
        """Be the publisher: keep the keys of what is due, once it is committed."""
        now = time.time() + AHEAD
        keys = [event.pk for event in events if event.due_at is not None and event.due_at <= now]
        transaction.on_commit(lambda: self.extend(keys), using=router.db_for_write(Event))

    def send(self, keys):
        """Be the broker, to whom a sweep sends its messages."""
        self.extend(keys)

    def process(self):
        """Do a worker's work until the queue is empty."""
        while self:
            process([self.popleft()])


@pytest.fixture
def nudges(monkeypatch):
    """Hold the queue: what is enqueued is processed when the test says so."""
    nudges = Nudges()
    monkeypatch.setattr(ThreadPublisher, "publish", lambda self, events: nudges.publish(events))
    return nudges


@pytest.fixture(scope="session")
def downstream(tmp_path_factory):
    """The warehouse, a process of its own: a test that forks must have no threads."""
    with start_downstream(
        shop_environment(str(tmp_path_factory.mktemp("warehouse")))
    ) as downstream:
        yield downstream


@pytest.fixture
def warehouse(downstream, settings):
    """Tell the warehouse what to do. It is told of each paid order."""
    settings.DOWNSTREAM_URL = downstream.base_url
    downstream.control.reset()
    return downstream.control
