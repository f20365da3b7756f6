"""A backfill that is killed, as a real process: the next one continues where it stopped."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from ... import ROOT
from .conftest import SECRET
from .stripe_server import StripeServer, make_event


@pytest.fixture
def stripe():
    """A provider that lists events over HTTP."""
    server = StripeServer()
    yield server
    server.close()


class Shop:
    """A shop of its own, with a database in a folder."""

    def __init__(self, folder, url):
        self.database = os.path.join(folder, "shop.sqlite3")
        self.environ = {
            **os.environ,
            "DATABASE_URL": f"sqlite:///{self.database}",
            "VAR_DIR": folder,
            "CELERY_BROKER_URL": "filesystem://localhost",
            "PRESETS": f'{{"stripe": {{"PRESET": "stripe", "SECRETS": ["{SECRET}"]}}}}',
            "STRIPE_URL": url,
            "LOG_LEVEL": "ERROR",
        }
        self.run("migrate", "-v", "0").check_returncode()

    def start(self, *args):
        """Start a command of the shop."""
        manage = os.path.join(ROOT, "testproject", "manage.py")
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", manage, *args],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )

    def run(self, *args):
        """Run a command of the shop to its end."""
        process = self.start(*args)
        output, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, output, errors)

    def query(self, sql):
        """Return what is in the database."""
        with sqlite3.connect(self.database) as connection:
            return connection.execute(sql).fetchall()


BACKFILL = ("backfill_payment_webhooks", "--provider=stripe", "--since=1d", "--rate=1000")


def test_killed_in_the_middle_and_run_again_nothing_is_lost_and_nothing_doubled(tmp_path, stripe):
    shop = Shop(str(tmp_path), stripe.url)
    now = time.time() - 3600
    stripe.events = [make_event(number, now - number) for number in range(7)]
    reached, goes_on = threading.Event(), threading.Event()

    def hang(handler, body):
        reached.set()
        goes_on.wait(60)
        return True

    stripe.faults = [None, None, hang]
    process = shop.start(*BACKFILL)
    try:
        assert reached.wait(60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        goes_on.set()
    assert len(shop.query("SELECT 1 FROM payment_webhooks_event")) == 4
    del stripe.asked[:]
    done = shop.run(*BACKFILL)
    assert (done.returncode, done.stderr.count("after 4 events")) == (1, 1), done
    assert "missed 7 of 7 events" in done.stdout
    assert stripe.asked[0]["starting_after"] == "evt_3"
    assert len(shop.query("SELECT 1 FROM payment_webhooks_event")) == 7
    # Its messages were sent before it ended.
    assert len(os.listdir(str(tmp_path / "queue"))) >= 4
    again = shop.run(*BACKFILL)
    assert (again.returncode, "missed 0 of 7" in again.stdout) == (0, True), again
