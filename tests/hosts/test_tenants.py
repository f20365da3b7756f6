"""A schema for each tenant: what is received for one is processed there, and nowhere else."""

import os
import signal
import subprocess
import sys
import uuid

import kombu
import pytest

SETTINGS = """
DATABASES = {{"default": {database!r}}}
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django_payment_webhooks.history", *INSTALLED_APPS]
MIDDLEWARE = ["tenants.TenantMiddleware"]
CELERY_BROKER_URL = {broker!r}
CELERY_TASK_DEFAULT_QUEUE = {queue!r}
PAYMENT_WEBHOOKS_TENANTS = "tenants.Schemas"
PAYMENT_WEBHOOKS_SWEEP_INTERVAL = 0.5
PAYMENT_WEBHOOKS_SWEEP_GRACE = 0.5
"""
PREPARE = """
from django.core.management import call_command
from django.db import connection
from shop.models import Order
from tenants import NAMES, Schemas

for name in NAMES:
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA " + name)
    with Schemas().enter(name):
        call_command("migrate", run_syncdb=True, verbosity=0)
        for number in ("A1", "A2"):
            Order.objects.create(number=number)
tell(None)
"""
ACTORS = """
import hashlib, hmac, time
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from django_payment_webhooks import publisher
from django_payment_webhooks.history import hours
from django_payment_webhooks.history.models import CountedHour
from django_payment_webhooks.models import Event
from django_payment_webhooks.monitoring.overview import read_overview
from shop.models import Order
from tenants import NAMES, Schemas

def post(tenant, number):
    data = {"order_id": "A%d" % number, "charge_id": "ch", "amount": "10.00", "currency": "EUR"}
    event = {"event_id": "evt_%d" % number, "type": "charge.succeeded", "data": data}
    body = json.dumps(dict(event, created_at="2026-11-28T10:00:00Z"))
    signature = hmac.new(b"a-secret-of-the-default-partner!", body.encode(), hashlib.sha256)
    address = {"HTTP_HOST": tenant + ".example", "HTTP_X_SIGNATURE": signature.hexdigest()}
    type = "application/json"
    answer = Client().post("/hooks/payment", body, content_type=type, **address)
    assert answer.json()["status"] == "accepted", answer.content

def look():
    found = {}
    for name in NAMES:
        with Schemas().enter(name):
            events = Event.objects.order_by("pk").values_list("pk", "provider_event_id", "status")
            payments = Order.objects.order_by("number").values_list("payments", flat=True)
            found[name] = [[list(event) for event in events], list(payments)]
    return found

def wait_for(count):
    for _ in range(300):
        found = look()
        ends = [event[2] for events, _ in found.values() for event in events]
        if ends.count("processed") == count:
            break
        time.sleep(0.1)
    return found
"""
PLAY = """
found = {}
post("red", 1)
found["one tenant's event"] = wait_for(1)
post("blue", 1)
found["the same ids in both"] = wait_for(2)

publish, publisher.ThreadPublisher.publish = publisher.ThreadPublisher.publish, lambda *_: None
post("red", 2)
post("blue", 2)
publisher.ThreadPublisher.publish = publish
found["messages that were lost"] = wait_for(4)

for name in NAMES:
    with Schemas().enter(name):
        Event.objects.filter(provider_event_id="evt_2").update(
            status="failed", idempotency_key=None, due_at=None, enqueue_at=None
        )
        Order.objects.update(payments=0)
call_command(*"payment_webhooks_in_tenant blue replay_payment_webhooks --status failed".split())
found["a replay in blue"] = wait_for(3)

hours.KEPT = 6 * hours.HOUR
earlier = timezone.now() - 3 * hours.HOUR
for name in NAMES:
    with Schemas().enter(name):
        Event.objects.update(received_at=earlier)
        CountedHour.objects.all().delete()
        while hours.count_next_hour():
            pass
found["counted hours"] = {}
for name in NAMES:
    with Schemas().enter(name):
        counted = CountedHour.objects.get(start__lte=earlier, start__gt=earlier - hours.HOUR)
        seen = [hour.statuses for hour in read_overview(6).hours if hour.received]
        found["counted hours"][name] = [counted.number, seen]
tell(found)
"""


def read_code(caption):
    """Return the code that the how-to shows under a caption."""
    path = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "howto", "tenants.md")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    return page.partition(f":caption: {caption}\n")[2].partition("```")[0]


def delete_queue(broker, name):
    """Leave nothing at the broker."""
    with kombu.Connection(broker) as connection:
        channel = connection.channel()
        channel.queue_delete(name)
        channel.exchange_delete(name)


@pytest.fixture
def host(make_host, postgres):
    """A project with two tenants, and a worker."""
    broker = os.environ.get("TEST_RABBITMQ_URL")
    if not broker:
        pytest.skip("needs RabbitMQ: TEST_RABBITMQ_URL")
    queue = f"host_{uuid.uuid4().hex}"
    settings = SETTINGS.format(database=postgres, broker=broker, queue=queue)
    host = make_host(settings=settings, tenants=read_code("tenants.py"))
    host.play(PREPARE)
    command = "-m celery -A celery_app worker --concurrency 1 --without-gossip --without-mingle"
    with open(os.path.join(host.folder, "worker.log"), "wb") as log:
        worker = subprocess.Popen(
            [sys.executable, *command.split(), "--hostname", queue],
            cwd=host.folder,
            env=host.environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    yield host
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    delete_queue(broker, queue)


def test_events_of_each_tenant_are_processed_in_its_own_schema(host):
    found = host.play(ACTORS + PLAY)
    first, second = [1, "evt_1", "processed"], [2, "evt_2", "processed"]
    assert found["one tenant's event"] == {"red": [[first], [1, 0]], "blue": [[], [0, 0]]}
    assert found["the same ids in both"] == {"red": [[first], [1, 0]], "blue": [[first], [1, 0]]}
    both = [[first, second], [1, 1]]
    assert found["messages that were lost"] == {"red": both, "blue": both}
    assert found["a replay in blue"] == {
        "red": [[first, [2, "evt_2", "failed"]], [0, 0]],
        "blue": [[first, second], [0, 1]],
    }
    assert found["counted hours"] == {
        "red": [2, [{"processed": 1, "failed": 1}]],
        "blue": [2, [{"processed": 2}]],
    }
