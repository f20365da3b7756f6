"""How quickly a worker processes a backlog, and at what cost, beside two naive workers.

::

    python -m benchmarks.backlog [--events 1000] [--rounds 3]

The events of as many orders are stored, and their messages are held back; the app's are those that
its sweeper sends. Then a worker with two processes gets them all at once. There is no checkpoint
between storing and processing, so the log has next to no whole pages. Celery's share in the
worker's processor time is what as many messages of a task that does nothing cost in the same round.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from functools import partial
from typing import NamedTuple

from testproject import celery_app

from .batches import WARM_UP, Processed, measure, process
from .programs import APP, ORM, SQL, Program
from .report import Report, say
from .stage import Stage, set_stage, wait_for

PROGRAMS = (SQL, ORM, APP)


class Batch(NamedTuple):
    """What a batch has cost, and what each of its messages cost Celery: seconds of a processor."""

    cost: Processed
    celery: float

    @property
    def worker(self) -> float:
        """The worker's processor time for an event."""
        return self.cost.worker / self.cost.finished

    @property
    def own(self) -> float:
        """The same without Celery's."""
        return (self.cost.worker - self.celery * self.cost.messages) / self.cost.finished


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


def measure_all(stage: Stage, rounds: int, count: int) -> dict[Program, list[Batch]]:
    """Let each program process batches, in turn."""
    measured = defaultdict(list)
    with stage.serve():
        for _ in range(rounds):
            celery = measure_celery(stage, count)
            for program in PROGRAMS:
                cost = process(stage, program, partial(stage.store, program, count))
                if cost.finished < cost.events:
                    say(f"{program.name}: {cost.finished} of {cost.events} were processed.")
                measured[program].append(Batch(cost, celery))
    return measured


def show(measured: dict[Program, list[Batch]]) -> None:
    """Print the lines of the table."""
    costs = {program: [batch.cost for batch in batches] for program, batches in measured.items()}
    report = Report(*PROGRAMS)
    report.show("events a second of a backlog", costs, lambda one: one.finished / one.seconds)
    report.show(
        "worker's own processor time an event, without Celery's [ms]",
        measured,
        lambda one: one.own * 1000,
    )
    report.show("the same with Celery's [ms]", measured, lambda one: one.worker * 1000)
    report.show(
        "database's processor time an event [ms]",
        costs,
        lambda one: one.database / one.finished * 1000,
    )
    report.show(
        "log (WAL) an event processed [KB]", costs, lambda one: one.log / one.finished / 1000
    )
    report.show("share of the updates that are HOT", costs, lambda one: one.hot)
    report.show(
        "statements an event, beside the handler's",
        costs,
        lambda one: one.statements / one.finished,
    )
    report.show(
        "messages for 1 000 due events", costs, lambda one: one.messages / one.events * 1000
    )
    celery = statistics.median(batch.celery for batch in measured[APP])
    say(f"Celery's own processor time: {celery * 1000:.2f} ms a message.")


def main() -> None:
    """Measure, and print the lines of the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1000, help="in a batch (default: 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="for each program (default: 3)")
    options = parser.parse_args()
    with set_stage() as stage:
        measured = measure_all(stage, options.rounds, options.events)
    show(measured)


if __name__ == "__main__":
    main()
