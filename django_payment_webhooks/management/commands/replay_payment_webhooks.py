"""``manage.py replay_payment_webhooks``."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Iterator

from django.db.models import QuerySet

from ...models import Event
from ...monitoring.problems import RETRYING
from ...operations.dry_run import dry_run
from ...operations.replay import REPLAYABLE, replay
from ...providers.escaping import escape
from ...providers.personal import hide_personal
from ...publisher import flush
from ..filters import (
    add_batch,
    add_filters,
    add_limit,
    add_names,
    check_choice,
    choose,
    describe_missing,
    describe_nothing,
    is_named,
)
from ..operating import OperatingCommand, list_problems
from ..terminal import add_by, between, count_events

# After how many events the messages get time to be sent.
FLUSH_EVERY = 500


class Command(OperatingCommand):
    """Replay the events that are chosen."""

    after_failure = "What was replayed is replayed; run it again for the rest."
    help = (
        "Process payment webhook events again, once the cause of their failure is fixed. Name "
        "them by the provider's event ids, or select them with options, all of which must match. "
        "Failed, ignored and waiting events can be replayed, and those that are being retried: "
        "their next attempt then follows at once. No effect happens twice. Exits with 0 if all of "
        "them were replayed or none matched, with 1 if some could not be replayed or were not "
        "found, and with 2 if an option has an unknown name."
    )

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        add_names(parser)
        text = "default, unless events are named: failed, and with --cause also retrying"
        add_filters(parser, {*REPLAYABLE, RETRYING}, text)
        add = parser.add_argument
        add_limit(parser)
        add_batch(parser)
        text = "at most N events a second, to spare what the handlers call (default: no limit)"
        add("--rate", type=between(0.001, 10000, float), metavar="N", help=text)
        add_by(parser, "replays them")
        text = "replay nothing: run each handler in a transaction that is rolled back, and show "
        text += "what would happen to the events; with -v 2, to each one"
        add("--dry-run", action="store_true", help=text)
        add("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay the events, and print what became of them."""
        check_choice(options)
        work = self.dry_run if options["dry_run"] else self.replay
        if options["cause"] and not options["status"] and not is_named(options):
            options["status"] = [Event.FAILED, RETRYING]
        choice = choose(options)
        result = work(choice.events, options)
        result.update(not_found=choice.missing, dry_run=options["dry_run"])
        self.report(result, options)

    def replay(self, events: QuerySet, options: dict[str, Any]) -> dict[str, Any]:
        """Replay events. Returns how many were replayed and left, and the problems."""
        give_time = Flusher()

        def run(event: Event) -> bool:
            is_done = replay(event, options["by"], options["reason"])
            give_time(is_done)
            return is_done

        tally = self.operate(events, run, options)
        give_time.flush()
        return {"replayed": tally.done, "left": tally.not_done, "problems": tally.problems}

    def dry_run(self, events: QuerySet, options: dict[str, Any]) -> dict[str, Any]:
        """Run events dry. Returns how many would get which outcome."""
        outcomes: Counter[str] = Counter()
        for event in self.walk(events, options):
            run = dry_run(event)
            outcomes[run.outcome] += 1
            if options["verbosity"] > 1 and not options["json"]:
                # Whatever the provider wrote, it is one line.
                explanation = escape(hide_personal(event, run.explanation))
                self.stdout.write(f"{event.pk} {event}: {run.outcome}. {explanation}")
        return {"outcomes": outcomes}

    def report(self, result: dict[str, Any], options: dict[str, Any]) -> None:
        """Print the result. Raises ``CommandError`` if not every event could be replayed."""
        is_told = is_any(result) or is_named(options) or self.stopped_by
        nothing = "" if is_told else describe_nothing(options)
        if options["json"]:
            self.stdout.write(json.dumps(result))
        elif options["verbosity"]:
            self.stdout.write(nothing or describe(result))
        self.finish(list(list_wrong(result)))


class Flusher:
    """Gives the messages of many events time to be sent."""

    def __init__(self) -> None:
        self.unsent = 0
        # Once the broker fails the sweeper has the rest.
        self.is_sending = True

    def __call__(self, is_enqueued: bool) -> None:
        """Count an event, and wait for the messages of many."""
        self.unsent += is_enqueued
        if self.unsent >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Wait, for a bounded time, until all messages are sent."""
        self.unsent = 0
        self.is_sending = self.is_sending and flush()


def is_any(result: dict[str, Any]) -> bool:
    """Return whether any event was chosen."""
    return any(result.get(name) for name in ("replayed", "left", "outcomes"))


def describe(result: dict[str, Any]) -> str:
    """Return in words what was done, or what would be."""
    if not result["dry_run"]:
        return f"{count_events(result['replayed'])} replayed, {result['left']} left as they are"
    outcomes = result["outcomes"]
    lines = [f"\n  {outcome}: {count}" for outcome, count in sorted(outcomes.items())]
    return f"{count_events(sum(outcomes.values()))} in a dry run{''.join(lines)}"


def list_wrong(result: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each thing that could not be done."""
    for name in result["not_found"]:
        yield describe_missing(name)
    problems = result.get("problems", {})
    yield from list_problems(problems)
    if result.get("left", 0) > sum(problems.values()):
        yield (
            "Only failed, ignored and waiting events, and retrying ones that no worker has, can be "
            "replayed; not if their bodies are pruned, or if they have just changed."
        )
