"""What an event costs when a million others are stored, beside an empty table.

::

    python -m benchmarks.growth [--rows 1000000] [--events 400]

Receiving and processing are measured twice: right after a checkpoint, when the first change of each
page writes the whole page into the log, and as they are long after one, which is what remains if
whole pages are left out. The rows are copies of one, with keys of their own and short bodies.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from contextlib import nullcontext
from operator import itemgetter

from .batches import process, receive
from .filling import fill
from .meters import make_checkpoint, no_page_images
from .programs import APP, SQL, Program
from .report import Report, say
from .stage import Stage, set_stage

PROGRAMS = (SQL, APP)
STATES = {"after a checkpoint": nullcontext, "steady": no_page_images}


def measure(stage: Stage, program: Program, count: int) -> dict[str, float]:
    """Receive and process events, both after a checkpoint. Returns what an event has cost."""
    received = []

    def store() -> None:
        received.append(receive(stage, program, count, 8, before=make_checkpoint))
        stage.settle()

    stage.purge()
    processed = process(stage, program, store, before=make_checkpoint)
    return {
        "received, all processors [ms]": received[0].processors * 1000,
        "received, log (WAL) [KB]": received[0].log / 1000,
        "processed, worker [ms]": processed.worker / count * 1000,
        "processed, database [ms]": processed.database / count * 1000,
        "processed, log (WAL) [KB]": processed.log / count / 1000,
    }


def show(stage: Stage, size: str, count: int) -> None:
    """Measure both programs, and print their lines."""
    report = Report(*PROGRAMS)
    for state, prepare in STATES.items():
        measured = defaultdict(list)
        with prepare():
            for program in PROGRAMS:
                measured[program].append(measure(stage, program, count))
        for what in measured[APP][0]:
            report.show(f"{size}, {state}: {what}", measured, itemgetter(what))


def main() -> None:
    """Measure with an empty table and with a full one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1000000, help="in the table (default: 1000000)")
    parser.add_argument("--events", type=int, default=400, help="that are measured (default: 400)")
    options = parser.parse_args()
    with set_stage() as stage, stage.serve():
        show(stage, "empty", options.events)
        for program in PROGRAMS:
            seconds = fill(program, options.rows)
            say(f"{options.rows} rows in {program.table} after {seconds:.0f} s")
        show(stage, f"{options.rows} rows", options.events)


if __name__ == "__main__":
    main()
