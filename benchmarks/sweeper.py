"""How many messages a backlog costs: no worker takes anything for an hour, and the sweeper goes on.

::

    python -m benchmarks.sweeper [--events 2000] [--hours 1]

Time passes by moving the events' schedule into the past. The rest is real: the app's sweeper, as
often as a worker runs it and with the app's own defaults, PostgreSQL and Redis.
"""

from __future__ import annotations

import argparse
import base64
import json
import time
from collections import Counter
from typing import NamedTuple

from django.conf import settings

from .filling import copy_newest
from .programs import APP, COPIES, let_time_pass, receive_event, sweep
from .report import say
from .stage import QUEUE, Stage, set_stage


class Simulation(NamedTuple):
    """How often each event was sent, the messages of each sweep, the seconds of all sweeps."""

    sent: Counter
    messages: list[int]
    seconds: float


def store(stage: Stage, count: int) -> None:
    """Store events that have just been received, and whose messages are lost."""
    receive_event()
    stage.settle()
    stage.purge()
    copy_newest(APP.table, COPIES[APP.table], f"generate_series(1, {count - 1}) AS n")


def simulate(stage: Stage, hours: float) -> Simulation:
    """Let the hours pass."""
    interval = settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL
    sent: Counter = Counter()
    messages = []
    seconds = 0.0
    for _ in range(int(hours * 3600 / interval)):
        started = time.monotonic()
        sweep()
        seconds += time.monotonic() - started
        found = stage.redis.lrange(QUEUE, 0, -1)
        stage.purge()
        messages.append(len(found))
        for message in found:
            sent.update(read_keys(message))
        let_time_pass(interval)
    return Simulation(sent, messages, seconds)


def read_keys(message: bytes) -> list[int]:
    """Return the keys of the events that a message is about."""
    body = base64.b64decode(json.loads(message)["body"])
    arguments, _, _ = json.loads(body)
    keys = arguments[0]
    return keys if isinstance(keys, list) else [keys]


def main() -> None:
    """Simulate, and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--events", type=int, default=2000, help="how many events are due (default: 2000)"
    )
    parser.add_argument(
        "--hours", type=float, default=1, help="how long no worker takes them (default: 1)"
    )
    options = parser.parse_args()
    with set_stage(DJANGO_SETTINGS_MODULE="testproject.settings") as stage:
        store(stage, options.events)
        simulation = simulate(stage, options.hours)
    show(simulation, options.events, options.hours)


def show(simulation: Simulation, events: int, hours: float) -> None:
    """Print what was counted."""
    times = simulation.sent.values()
    messages = sum(simulation.messages)
    sweeps = len(simulation.messages)
    each = simulation.seconds / sum(times) * 1000
    say(f"{events} events, {hours:g} hours, {sweeps} sweeps, no worker")
    say(
        f"times that an event was sent: {sum(times) / events:.2f} on average,"
        f" {min(times)} at least, {max(times)} at most"
    )
    say(f"in each sweep it would be: {sweeps}")
    say(f"messages: {messages}, at most {max(simulation.messages)} in a sweep")
    say(f"all sweeps took {simulation.seconds:.0f} s, {each:.2f} ms for an event")


if __name__ == "__main__":
    main()
