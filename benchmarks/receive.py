"""What it costs to receive a webhook, beside the least that an endpoint can do.

::

    python -m benchmarks.receive [--rounds 12] [--webhooks 400]

A real server (gunicorn), PostgreSQL and Redis. Webhooks of one event are posted to the naive
program and to the app in turn, by 8 clients and then by 1, over connections that stay open.
Processor time is that of the server, of PostgreSQL and of Redis; the client is not counted.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict

from .batches import Received, receive
from .programs import APP, SQL, Program
from .report import Report
from .stage import Stage, set_stage

PROGRAMS = (SQL, APP)
CLIENTS = 8


def measure_all(
    stage: Stage, rounds: int, count: int, clients: int
) -> dict[Program, list[Received]]:
    """Let both programs receive webhooks, in turn."""
    measured = defaultdict(list)
    for program in PROGRAMS:
        receive(stage, program, count, clients)
    for _ in range(rounds):
        for program in PROGRAMS:
            measured[program].append(receive(stage, program, count, clients))
            stage.purge()
    return measured


def read_median(one: Received) -> float:
    """Return the median of the answers, in milliseconds."""
    return statistics.median(one.answers.latencies) * 1000


def read_rate(one: Received) -> float:
    """Return how many answers there were in a second."""
    return len(one.answers.latencies) / one.answers.seconds


def show(busy: dict[Program, list[Received]], calm: dict[Program, list[Received]]) -> None:
    """Print the lines of the table."""
    report = Report(*PROGRAMS)
    report.show(
        f"answer, all processors' time a webhook, {CLIENTS} clients [ms]",
        busy,
        lambda one: one.processors * 1000,
    )
    report.show("of it the server's [ms]", busy, lambda one: one.server * 1000)
    report.show("of it the database's [ms]", busy, lambda one: one.database * 1000)
    report.show("of it the broker's [ms]", busy, lambda one: one.broker * 1000)
    report.show(f"answers a second, {CLIENTS} clients", busy, read_rate)
    report.show("answer, median, 1 client [ms]", calm, read_median)
    report.show(f"answer, median, {CLIENTS} clients [ms]", busy, read_median)
    report.show("log (WAL) a webhook [KB]", busy, lambda one: one.log / 1000)


def main() -> None:
    """Measure, and print the lines of the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=12, help="for each program (default: 12)")
    parser.add_argument(
        "--webhooks", type=int, default=400, help=f"with {CLIENTS} clients (default: 400)"
    )
    options = parser.parse_args()
    with set_stage() as stage, stage.serve():
        busy = measure_all(stage, options.rounds, options.webhooks, CLIENTS)
        calm = measure_all(stage, options.rounds, options.webhooks // 4, 1)
    show(busy, calm)


if __name__ == "__main__":
    main()
