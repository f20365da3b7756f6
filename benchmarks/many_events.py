"""What one webhook of a thousand events costs, beside a thousand webhooks of one event.

::

    python -m benchmarks.many_events [--events 1000]

The naive program inserts the events of a webhook one by one, each with its own part of the body.
The webhook is posted twice. Memory is how much more the largest process of the server had while it
answered than before, and how much the largest of the worker's had.
"""

from __future__ import annotations

import argparse
import http.client
import json
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple
from urllib.parse import urlsplit

from processes import sign

from . import meters
from .batches import Processed, process
from .generator import write_event
from .programs import APP, SQL, Program
from .report import Report, say
from .stage import PATIENCE, Stage, create_orders, set_stage

PROGRAMS = (SQL, APP)
EVENT_SIZE = 900


class Answered(NamedTuple):
    """What answers have cost: seconds, those of processors, megabytes of memory and tables."""

    seconds: float
    processors: float
    memory: float
    tables: float


class Measured(NamedTuple):
    """A webhook of many events, the same once more, webhooks of one event; and their processing."""

    many: Answered
    again: Answered
    many_processed: Processed
    single: Answered
    single_processed: Processed


def write_webhook(count: int) -> bytes:
    """Return a body with many events, and create their orders."""
    prefix = uuid.uuid4().hex[:8] + "-"
    create_orders(prefix, count)
    events = [write_event(prefix + str(number + 1), EVENT_SIZE) for number in range(count)]
    return json.dumps({"events": events}).encode()


def send(stage: Stage, program: Program, body: bytes) -> None:
    """Post a webhook of many events, and report if it is not accepted."""
    address = urlsplit(stage.server.base_url).netloc
    headers = {"Content-Type": "application/json", "X-Signature": sign(body)}
    with closing(http.client.HTTPConnection(address, timeout=PATIENCE)) as connection:
        try:
            connection.request("POST", program.many_path, body, headers)
            answer = connection.getresponse()
            answer.read()
        except OSError as error:
            say(f"{program.name}: no answer: {error!r}.")
        else:
            if answer.status != 200:
                say(f"{program.name}: the answer was {answer.status}.")


def measure_answers(stage: Stage, program: Program, post: Callable[[], object]) -> Answered:
    """Measure what it costs to answer what ``post`` sends."""
    tables = meters.measure_tables(program.prefix)
    meters.forget_peaks(stage.server)
    memory = meters.read_peak(stage.server)
    used = meters.ProcessorTime(server=stage.server, database=stage.postgres, broker=stage.broker)
    started = time.perf_counter()
    post()
    seconds = time.perf_counter() - started
    stage.settle()
    return Answered(
        seconds,
        sum(used.stop().values()),
        meters.read_peak(stage.server) - memory,
        (meters.measure_tables(program.prefix) - tables) / 1e6,
    )


def measure(stage: Stage, program: Program, count: int) -> Measured:
    """Measure a program."""
    answers = []

    def store_many() -> None:
        body = write_webhook(count)
        for _ in range(2):
            answers.append(measure_answers(stage, program, lambda: send(stage, program, body)))

    def store_single() -> None:
        stage.prepare(program, count)
        answers.append(measure_answers(stage, program, stage.post))

    many_processed = process(stage, program, store_many)
    single_processed = process(stage, program, store_single)
    many, again, single = answers
    return Measured(many, again, many_processed, single, single_processed)


def show(measured: dict[Program, Measured], count: int) -> None:
    """Print the lines of the table."""
    report = Report(*PROGRAMS)
    many = f"webhook of {count} events"
    single = f"{count} webhooks of one event"
    show_answers(report, many, {key: one.many for key, one in measured.items()})
    show_answers(report, f"{many}, again", {key: one.again for key, one in measured.items()})
    show_answers(report, single, {key: one.single for key, one in measured.items()})
    show_processed(report, many, {key: one.many_processed for key, one in measured.items()})
    show_processed(report, single, {key: one.single_processed for key, one in measured.items()})


def show_answers(report: Report, what: str, answers: dict[Program, Answered]) -> None:
    """Print the lines of what was answered."""
    report.show_values(f"{what}: answered [s]", answers, lambda one: one.seconds)
    report.show_values(f"{what}: all processors [s]", answers, lambda one: one.processors)
    report.show_values(f"{what}: more memory [MB]", answers, lambda one: one.memory)
    report.show_values(f"{what}: larger tables [MB]", answers, lambda one: one.tables)


def show_processed(report: Report, what: str, batches: dict[Program, Processed]) -> None:
    """Print the lines of what was processed."""
    report.show_values(f"{what}: events processed", batches, lambda one: one.finished)
    report.show_values(f"{what}: messages", batches, lambda one: one.messages)
    report.show_values(f"{what}: processed [s]", batches, lambda one: one.seconds)
    report.show_values(f"{what}: worker's processors [s]", batches, lambda one: one.worker)
    report.show_values(f"{what}: worker's memory [MB]", batches, lambda one: one.peak)


def main() -> None:
    """Measure, and print the lines of the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1000, help="in a webhook (default: 1000)")
    options = parser.parse_args()
    with set_stage() as stage, stage.serve():
        measured = {program: measure(stage, program, options.events) for program in PROGRAMS}
    show(measured, options.events)


if __name__ == "__main__":
    main()
