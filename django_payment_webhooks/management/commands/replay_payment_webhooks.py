"""``manage.py replay_payment_webhooks``."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections import Counter
from datetime import datetime
from typing import Any, Iterator, NamedTuple

from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from ...conf import settings
from ...models import Event, digest
from ...operations.batches import Progress, iterate
from ...operations.dry_run import dry_run
from ...operations.replay import REPLAYABLE, replay
from ...providers.subject import find_by_order, list_providers
from ...publisher import flush

FILTERS = ("status", "type", "provider", "order", "since", "until", "error")
# After how many events the messages get time to be sent.
FLUSH_EVERY = 500


class Choice(NamedTuple):
    """The events that are chosen, and the names of those that are not there."""

    events: QuerySet
    missing: list[str]


class Command(BaseCommand):
    """Replay the events that are chosen."""

    # They would hide what is to be looked at behind what they find.
    requires_system_checks = ()

    help = (
        "Put payment webhook events back on their way, once the cause of their failure is fixed. "
        "Name them by the provider's event ids, or choose them by the options, which all must "
        "match. Only failed, ignored and waiting events can be replayed, and no effect happens "
        "twice by it. Exits with 0 if all of them were replayed, and with 1 if some could not be, "
        "or were not found."
    )

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        add = parser.add_argument
        add("ids", nargs="*", metavar="ID", help="an event, by the id that its provider gave it")
        text = "an event, by its primary key"
        add("--key", type=int, action="append", default=[], metavar="N", help=text)
        text = "events of this status; may be repeated (default, unless events are named: failed)"
        add("--status", action="append", choices=sorted(REPLAYABLE), default=[], help=text)
        add("--type", help="events of this type")
        add("--provider", help="events of this provider")
        add("--order", metavar="ID", help="events of this order")
        text = "events that were received at this time or later"
        add("--since", type=read_moment, metavar="TIME", help=text)
        text = "events that were received before this time"
        add("--until", type=read_moment, metavar="TIME", help=text)
        add("--error", metavar="TEXT", help="events whose error contains this text")
        add("--limit", type=int, metavar="N", help="at most N events, the oldest first")
        text = "read N events at a time (default: 500)"
        add("--batch", type=int, default=500, metavar="N", help=text)
        add("--by", default="manage.py", metavar="NAME", help="who replays them, for the history")
        add("--reason", default="", metavar="TEXT", help="why, for the history")
        text = "replay nothing: run each handler in a transaction that is rolled back, and show "
        text += "what would become of the event; with -v 2 for each event"
        add("--dry-run", action="store_true", help=text)
        add("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay the events, and print what became of them."""
        check(options)
        work = self.dry_run if options["dry_run"] else self.replay
        try:
            choice = find_events(options)
            result = work(choice.events, options)
        except Error as error:
            text = "The database failed. What was replayed is replayed; run it again for the rest."
            raise CommandError(f"{text} {error!r}") from error
        result.update(not_found=choice.missing, dry_run=options["dry_run"])
        self.report(result, options)

    def iterate(self, events: QuerySet, options: dict[str, Any]) -> Iterator[Event]:
        """Give the chosen events, and show how far it has come."""
        progress = Progress(self.stderr, events)
        for count, event in enumerate(iterate(events, options["batch"]), 1):
            yield event
            progress.show(event.pk, count)
            if count == options["limit"]:
                break
        progress.clear()

    def replay(self, events: QuerySet, options: dict[str, Any]) -> dict[str, Any]:
        """Replay events. Returns how many were replayed and left, and the problems."""
        counts = Counter(replayed=0, left=0)
        problems: Counter[str] = Counter()
        is_sending = True
        for event in self.iterate(events, options):
            try:
                is_done = replay(event, options["by"], options["reason"])
            except Error:
                raise
            except Exception as error:
                # Its body still can't be parsed, or its provider can't be loaded.
                problems[f"{type(error).__name__}: {error}"] += 1
                is_done = False
            counts["replayed" if is_done else "left"] += 1
            if is_sending and counts["replayed"] % FLUSH_EVERY == 0:
                is_sending = flush()
        if is_sending:
            flush()
        return {**counts, "problems": problems}

    def dry_run(self, events: QuerySet, options: dict[str, Any]) -> dict[str, Any]:
        """Run events dry. Returns how many would get which outcome."""
        outcomes: Counter[str] = Counter()
        for event in self.iterate(events, options):
            run = dry_run(event)
            outcomes[run.outcome] += 1
            if options["verbosity"] > 1 and not options["json"]:
                line = f"{event.pk} {event}: {run.outcome}. {run.explanation}"
                # Whatever the provider wrote, it is one line.
                self.stdout.write(repr(line)[1:-1])
        return {"outcomes": outcomes}

    def report(self, result: dict[str, Any], options: dict[str, Any]) -> None:
        """Print the result. Raises ``CommandError`` if not every event could be replayed."""
        if options["json"]:
            self.stdout.write(json.dumps(result))
        elif options["verbosity"]:
            self.stdout.write(describe(result))
        wrong = list(list_wrong(result))
        if wrong:
            raise CommandError("\n".join(wrong))


def read_moment(text: str) -> datetime:
    """Return a moment that was given as a date, or as a date and a time.

    Raises ``ArgumentTypeError``.
    """
    try:
        date = parse_date(text)
        moment = datetime(date.year, date.month, date.day) if date else parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        example = "such as 2026-11-23T10:00"
        raise ArgumentTypeError(f"{text!r} is neither a date nor a date and a time, {example}")
    if settings.USE_TZ and timezone.is_naive(moment):
        return timezone.make_aware(moment)
    return moment


def check(options: dict[str, Any]) -> None:
    """Raise ``CommandError`` for options that make no sense."""
    is_named = options["ids"] or options["key"]
    if not is_named and not any(options[name] for name in FILTERS):
        raise CommandError(
            "Say which events: by their ids, or by an option. --status failed chooses all failed."
        )
    if options["batch"] < 1 or (options["limit"] is not None and options["limit"] < 1):
        raise CommandError("--batch and --limit must be at least 1.")


def find_events(options: dict[str, Any]) -> Choice:
    """Return the events that are chosen by their names and by the other options."""
    choice = find_named(options)
    statuses = options["status"]
    if not statuses and not options["ids"] and not options["key"]:
        statuses = [Event.FAILED]
    conditions = {
        "status__in": statuses,
        "type": options["type"],
        "provider": options["provider"],
        "received_at__gte": options["since"],
        "received_at__lt": options["until"],
        "error__contains": options["error"],
    }
    given = {name: value for name, value in conditions.items() if value}
    if options["order"]:
        given["pk__in"] = list(find_by_order(options["order"]).values_list("pk", flat=True))
    return choice._replace(events=choice.events.filter(**given))


def find_named(options: dict[str, Any]) -> Choice:
    """Return the events that are named, all events if none is."""
    if not options["ids"] and not options["key"]:
        return Choice(Event.objects.all(), [])
    accounts = {provider.account for provider in list_providers()}
    names = {digest(account, name): name for name in options["ids"] for account in accounts}
    found = dict(Event.objects.filter(pk__in=options["key"]).values_list("pk", "dedup_key"))
    found.update(Event.objects.filter(dedup_key__in=list(names)).values_list("pk", "dedup_key"))
    there = {names.get(dedup_key) for dedup_key in found.values()}
    missing = [name for name in options["ids"] if name not in there]
    missing += [str(key) for key in options["key"] if key not in found]
    return Choice(Event.objects.filter(pk__in=list(found)), missing)


def describe(result: dict[str, Any]) -> str:
    """Return in words what was done, or what would be."""
    if not result["dry_run"]:
        return f"{result['replayed']} events replayed, {result['left']} left as they are"
    outcomes = result["outcomes"]
    lines = [f"\n  {outcome}: {count}" for outcome, count in sorted(outcomes.items())]
    return f"{sum(outcomes.values())} events in a dry run{''.join(lines)}"


def list_wrong(result: dict[str, Any]) -> Iterator[str]:
    """Give a line for each thing that could not be done."""
    for name in result["not_found"]:
        yield f"{name} was not found."
    problems = result.get("problems", {})
    for text, count in problems.items():
        yield f"{count} events: {text}"
    if result.get("left", 0) > sum(problems.values()):
        yield (
            "Only failed, ignored and waiting events whose bodies are not pruned can be replayed."
        )
