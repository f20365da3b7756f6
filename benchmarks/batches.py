"""Receive or process a batch of events, and measure what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from processes import Process

from . import meters
from .generator import Answers
from .programs import Program
from .stage import Stage, count_unfinished, find_newest, wait_for

WARM_UP = 200  # events that a new worker processes before it is measured


class Received(NamedTuple):
    """What each webhook of a batch has cost: seconds of processors, bytes of log."""

    answers: Answers
    server: float
    database: float
    broker: float
    log: float

    @property
    def processors(self) -> float:
        """The processor time of all."""
        return self.server + self.database + self.broker


def receive(
    stage: Stage,
    program: Program,
    count: int,
    clients: int,
    before: Callable[[], Any] = list,
) -> Received:
    """Post a batch of webhooks. ``before`` is called just before the first."""
    stage.prepare(program, count, clients)
    before()
    log = meters.read_log_position()
    used = meters.ProcessorTime(server=stage.server, database=stage.postgres, broker=stage.broker)
    answers = stage.post()
    # What is sent after the answer is a part of its cost.
    time.sleep(0.3)
    times = {name: value / count for name, value in used.stop().items()}
    return Received(answers, log=(meters.read_log_position() - log) / count, **times)


class Processed(NamedTuple):
    """What a batch has cost: seconds, those of processors, megabytes, bytes of log."""

    events: int
    finished: int
    messages: int
    seconds: float
    worker: float
    database: float
    peak: float
    log: int
    statements: int
    hot: float = 0


def process(
    stage: Stage,
    program: Program,
    store: Callable[[], Any],
    before: Callable[[], Any] = list,
) -> Processed:
    """Store a batch of events, and let a new worker process it.

    ``store`` leaves messages that wait to be handed over. ``before`` is called just before that.
    """
    updates = meters.count_updates(program.table)
    with stage.work() as worker:
        warm_up(stage, program)
        newest = find_newest(program)
        store()
        before()
        processed = measure(stage, worker, lambda: count_unfinished(program, newest))
    return processed._replace(hot=find_hot_share(program, updates))


def warm_up(stage: Stage, program: Program) -> None:
    """Let a new worker process some events that are not measured."""
    newest = find_newest(program)
    stage.store(program, WARM_UP)
    stage.hand_over()
    wait_for(lambda: not count_unfinished(program, newest))


def measure(stage: Stage, worker: Process, count: Callable[[], int]) -> Processed:
    """Hand messages over to a worker, and measure until ``count`` finds nothing left to do."""
    events = count()
    messages = stage.count_messages()
    meters.forget_peaks(worker)
    meters.forget_statements()
    log = meters.read_log_position()
    used = meters.ProcessorTime(worker=worker, database=stage.postgres)
    started = time.perf_counter()
    stage.hand_over()
    wait_for(lambda: not count())
    seconds = time.perf_counter() - started
    return Processed(
        events=events,
        finished=events - count(),
        messages=messages,
        seconds=seconds,
        peak=meters.read_peak(worker),
        log=meters.read_log_position() - log,
        statements=meters.count_statements(),
        **used.stop(),
    )


def find_hot_share(program: Program, before: meters.Updates) -> float:
    """Return the share of a table's updates since then that were HOT."""
    after = meters.count_updates(program.table)
    return (after.hot - before.hot) / max(after.all - before.all, 1)
