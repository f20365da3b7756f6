"""How quickly a worker processes a backlog, and at what cost, beside two naive workers.

::

    python -m benchmarks.backlog [--events 2000] [--rounds 2]

The events of as many orders are stored, and their messages are held back; the app's are those that
its sweeper sends. Then a worker with two processes gets them all at once. There is no checkpoint
between storing and processing, so the log has next to no whole pages. Celery's share in the
worker's processor time is what as many messages of a task that does nothing cost.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from functools import partial

from testproject import celery_app

from .batches import WARM_UP, Processed, measure, process
from .programs import APP, ORM, SQL, Program
from .report import Report, say
from .stage import Stage, set_stage, wait_for

PROGRAMS = (SQL, ORM, APP)


def measure_celery(stage: Stage, count: int) -> float:
    """Return the worker's processor time for a message of a task that does nothing, in seconds."""
    with stage.work() as worker:
        send_nothing(WARM_UP)
        stage.hand_over()
        wait_for(lambda: not stage.count_at_hand())
        send_nothing(count)
        return measure(stage, worker, stage.count_at_hand).worker / count


def send_nothing(count: int) -> None:
    """Send messages of a task that does nothing."""
    for number in range(count):
        celery_app.send_task("benchmarks.naive.tasks.do_nothing", [number])


def measure_all(stage: Stage, rounds: int, count: int) -> dict[Program, list[Processed]]:
    """Let each program process a batch, in turn."""
    measured = defaultdict(list)
    with stage.serve():
        for _ in range(rounds):
            for program in PROGRAMS:
                batch = process(stage, program, partial(stage.store, program, count))
                if batch.finished < batch.events:
                    say(f"{program.name}: {batch.finished} of {batch.events} were processed.")
                measured[program].append(batch)
    return measured


def show(measured: dict[Program, list[Processed]], celery: float) -> None:
    """Print the lines of the table."""
    report = Report(*PROGRAMS)
    report.show("events a second of a backlog", measured, lambda one: one.finished / one.seconds)
    report.show(
        "worker's own processor time an event, without Celery's [ms]",
        measured,
        lambda one: (one.worker - celery * one.messages) / one.finished * 1000,
    )
    report.show(
        "the same with Celery's [ms]", measured, lambda one: one.worker / one.finished * 1000
    )
    report.show(
        "database's processor time an event [ms]",
        measured,
        lambda one: one.database / one.finished * 1000,
    )
    report.show(
        "log (WAL) an event processed [KB]", measured, lambda one: one.log / one.finished / 1000
    )
    report.show("share of the updates that are HOT", measured, lambda one: one.hot)
    report.show(
        "statements an event, beside the handler's",
        measured,
        lambda one: one.statements / one.finished,
    )
    report.show(
        "messages for 1 000 due events", measured, lambda one: one.messages / one.events * 1000
    )


def main() -> None:
    """Measure, and print the lines of the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=2000, help="in a batch (default: 2000)")
    parser.add_argument("--rounds", type=int, default=2, help="for each program (default: 2)")
    options = parser.parse_args()
    with set_stage() as stage:
        measured = measure_all(stage, options.rounds, options.events)
        celery = measure_celery(stage, options.events)
    show(measured, celery)
    say(f"Celery's own processor time: {celery * 1000:.2f} ms a message.")


if __name__ == "__main__":
    main()
