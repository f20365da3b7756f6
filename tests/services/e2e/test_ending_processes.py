"""Processes that end at once: scripts, commands, cron jobs. What they enqueue is sent all the same.

No worker runs here: what is in the queue is what was sent.
"""

import os
import subprocess
import sys

import pytest
from processes import FOLDER, manage

from .conftest import make_shop

# What each script begins with: it receives a number of events, in one transaction, so that all of
# their messages are to be sent at once.
RECEIVE = """
import json, multiprocessing, os, sys
import django
django.setup()
from django.db import connection, connections, transaction
from processes import make_event
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.receiving import receive_events

def receive(count):
    with transaction.atomic():
        for number in range(count):
            event = make_event("charge.succeeded", "A%d" % number, charge_id="ch_%d" % number)
            receive_events(get_provider("default"), {}, json.dumps(event).encode())
"""
ENDINGS = {
    "by sys.exit": "receive(30); sys.exit(3)",
    "by an exception": "receive(30); raise ValueError('broken')",
    "as a forked child": """
connection.close()
child = os.fork()
if child:
    os.waitpid(child, 0)
else:
    receive(30)
""",
    "as a child of multiprocessing": """
connections.close_all()
child = multiprocessing.get_context("fork").Process(target=receive, args=[30])
child.start()
child.join()
""",
}


def make(stack, folder):
    """Yield a shop with no running processes."""
    shop = make_shop(stack, folder)
    try:
        manage(shop.env, "migrate")
        yield shop
    finally:
        shop.queue.drop()
        shop.database.drop()


@pytest.fixture(scope="module", params=["rabbitmq-postgresql", "redis-mariadb"])
def shop(request, tmp_path_factory):
    """A shop on each broker."""
    yield from make(request.param, tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def embedded_shop(tmp_path_factory):
    """A shop on SQLite and the embedded broker."""
    yield from make("embedded", tmp_path_factory.mktemp("shop"))


def run(shop, script, **env):
    """Run a script of the shop to its end."""
    env = dict(shop.env, DJANGO_SETTINGS_MODULE="testproject.settings", **env)
    env["PYTHONPATH"] += os.pathsep + FOLDER
    command = [sys.executable, "-c", RECEIVE + script]
    return subprocess.run(command, cwd=FOLDER, env=env, capture_output=True, timeout=120)


def take_sent(shop):
    """Return how many events the messages in the queue name, and empty it."""
    keys = [key for keys in shop.queue.list_keys() for key in keys]
    shop.queue.purge()
    assert len(keys) == len(set(keys))
    return len(keys)


def test_a_script_and_a_command_send_a_thousand_messages_before_they_end(shop):
    assert run(shop, "receive(1000)").returncode == 0
    assert take_sent(shop) == 1000
    shop.database.execute(
        "UPDATE payment_webhooks_event SET status = 'failed', due_at = NULL, enqueue_at = NULL"
    )
    # More than the command sends at a time.
    command = ("replay_payment_webhooks", "--status=failed", "--limit=520")
    assert "520 events replayed" in manage(shop.env, *command)
    assert take_sent(shop) == 520


@pytest.mark.parametrize("ending", list(ENDINGS))
def test_a_process_sends_its_messages_however_it_ends(embedded_shop, ending):
    done = run(embedded_shop, ENDINGS[ending])
    assert take_sent(embedded_shop) == 30, done.stderr.decode()


def test_a_script_ends_although_the_broker_is_down_and_leaves_its_events_to_the_sweeper(
    embedded_shop,
):
    before = len(embedded_shop.events())
    done = run(embedded_shop, "receive(300)", CELERY_BROKER_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 0, done.stderr.decode()
    assert len(embedded_shop.events()) == before + 300
