"""How many messages a backlog costs: no worker takes anything for an hour, and the sweeper goes on.

::

    python -m benchmarks.sweeper [--events 10000] [--hours 1]

The clock is simulated, the rest is real: the app's sweeper, as often as a worker runs it and with
the app's own defaults, and a database, which is an SQLite file unless ``DATABASE_URL`` says
otherwise. Nothing is sent, only counted.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone
from django.utils.module_loading import import_string
from processes import QUICK, shop_environment


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.time = timezone.now()

    def now(self):
        """Return what the app takes for the present."""
        return self.time


def store(count, moment):
    """Store events that have just been received."""
    event, digest = (
        apps.get_model("payment_webhooks", "Event"),
        import_string("django_payment_webhooks.models.digest"),
    )
    common = {
        "provider": "default",
        "type": "charge.succeeded",
        "body": b"{}",
        "order_key": digest("A1"),
    }
    common.update(order_id="A1", occurred_at=moment, received_at=moment, due_at=moment)
    common.update(enqueue_at=moment + timedelta(seconds=settings.PAYMENT_WEBHOOKS_SWEEP_GRACE))
    names = ["benchmark-%d-%d" % (os.getpid(), number) for number in range(count)]
    rows = [
        event(provider_event_id=name, dedup_key=digest("default", name), **common) for name in names
    ]
    event.objects.bulk_create(rows, batch_size=50)


def simulate(count, hours):
    """Let the hours pass. Returns how often each event was enqueued, and how many messages each sweep sent."""
    sweep = import_string("django_payment_webhooks.sweeper.sweep")
    clock = Clock()
    timezone.now = clock.now
    store(count, clock.time)
    enqueued, sweeps, end = Counter(), [], clock.time + timedelta(hours=hours)
    while clock.time < end:
        clock.time += timedelta(seconds=settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL)
        sweeps.append(sweep(lambda pk: enqueued.update([pk])))
    return enqueued, sweeps


def main():
    """Simulate, and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--events", type=int, default=10000, help="how many events are due (default: 10000)"
    )
    parser.add_argument(
        "--hours", type=float, default=1, help="how long no worker takes them (default: 1)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        defaults = dict.fromkeys(QUICK)
        url = os.environ.get("DATABASE_URL") or None
        os.environ.update(
            shop_environment(folder, DATABASE_URL=url, LOG_LEVEL="WARNING", **defaults)
        )
        os.environ.update(DJANGO_SETTINGS_MODULE="testproject.settings")
        django.setup()
        call_command("migrate", verbosity=0)
        started = time.monotonic()
        enqueued, sweeps = simulate(options.events, options.hours)
        seconds = time.monotonic() - started
    lines = [
        "%d events, %g hours, %d sweeps, no worker" % (options.events, options.hours, len(sweeps)),
        "messages for each event: %.2f on average, %d at least, %d at most"
        % (sum(sweeps) / options.events, min(enqueued.values()), max(enqueued.values())),
        "one message for each event in each sweep would be: %d" % len(sweeps),
        "messages in one sweep: %d at most" % max(sweeps),
        "time for one message: %.2f ms, so the whole took %.0f s"
        % (seconds / sum(sweeps) * 1000, seconds),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
