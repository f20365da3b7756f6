"""The database's isolation levels, a queue that the test holds in its hands, and a warehouse."""

from collections import deque

import pytest
from django.db import connection
from django.db.backends.signals import connection_created
from processes import shop_environment, start_downstream

from django_payment_webhooks import processing
from django_payment_webhooks.contrib import replay

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
    """The keys that were enqueued, instead of a broker. No nudge is lost here, and none comes by
    itself.
    """

    def process(self):
        """Do a worker's work until the queue is empty."""
        while self:
            processing.process(self.popleft())


@pytest.fixture
def nudges(monkeypatch):
    """Hold the queue: what is enqueued is processed when the test says so."""
    nudges = Nudges()
    for module in (processing, replay):
        monkeypatch.setattr(module, "enqueue", nudges.append)
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
