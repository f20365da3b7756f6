"""What Prometheus and a load balancer see of a real server and a real worker."""

import json
import os
import re
from urllib.request import urlopen

import pytest
from processes import wait_until

from .stacks import Shop


@pytest.fixture
def measured_shop(tmp_path):
    """The shop, whose processes count into one folder."""
    shop = Shop(str(tmp_path), None, None)
    folder = tmp_path / "prometheus"
    os.mkdir(str(folder))
    shop.env.update(METRICS="1", PROMETHEUS_MULTIPROC_DIR=str(folder))
    try:
        yield shop.start()
    finally:
        shop.stop()


def get(shop, path):
    """Open an address of the shop, and return what it says."""
    with urlopen(shop.server.base_url + path, timeout=20) as answer:
        return answer.read().decode()


def test_one_scrape_has_the_answers_of_the_server_and_the_attempts_of_the_worker(measured_shop):
    shop = measured_shop
    events = [shop.charge(shop.next_order()) for _ in range(5)]
    for event in events:
        assert shop.post(event).status == 200
    assert shop.post(events[0], secret="not the provider's own secret").status == 401
    shop.wait_for("processed", *events)

    def sample(name, **labels):
        values = [
            float(value)
            for found, value in re.findall(
                r"^payment_webhooks_%s(?:\{(.*)\})? (\S+)$" % name, get(shop, "/metrics"), re.M
            )
            if all('%s="%s"' % label in found for label in labels.items())
        ]
        return sum(values)

    assert sample("answer_seconds_count", status="200", provider="default") == 5
    assert sample("answer_seconds_count", status="401", reason="mismatch") == 1
    # The worker tells of an event after its row is committed.
    wait_until(
        lambda: sample("event_attempts_total", outcome="processed", type="charge.succeeded") == 5,
        30,
    )
    assert sample("events", status="processed") == 5
    assert sample("backlog_readable") == 1
    assert "e1" not in re.findall(r'"([^"]*)"', get(shop, "/metrics"))


def test_a_load_balancer_learns_that_the_server_can_store_webhooks(measured_shop):
    measured_shop.worker.kill()  # that is not the server's fault
    assert json.loads(get(measured_shop, "/health"))["status"] == "ok"
