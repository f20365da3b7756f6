"""``manage.py replay_payment_webhooks``."""

import json
import time
from argparse import ArgumentTypeError
from collections import Counter
from datetime import datetime

from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from ...conf import load, settings
from ...models import Event, digest
from ...operations.batches import Progress, walk
from ...operations.dry_run import dry_run
from ...operations.replay import REPLAYABLE, replay

FILTERS = ("status", "type", "provider", "order", "since", "until", "error")


def read_moment(text):
    """Return a moment that was given as a date or as a date and a time. Raises ``ArgumentTypeError``."""
    try:
        date = parse_date(text)
        moment = datetime(date.year, date.month, date.day) if date else parse_datetime(text)
        if moment and settings.USE_TZ and timezone.is_naive(moment):
            moment = timezone.make_aware(moment)
    except ValueError:
        moment = None
    if moment is None:
        raise ArgumentTypeError(
            "%r is neither a date nor a date and a time, such as 2026-11-23T10:00" % text
        )
    return moment


class Command(BaseCommand):
    """Replay the events that are chosen."""

    help = (
        "Put payment webhook events back on their way, once the cause of their failure is mended. Name them by the "
        "provider's event ids, or choose them by the options, which all must fit. Only failed, ignored and waiting "
        "events can be replayed, and no effect is doubled by it. Exits with 0 if all of them were replayed, and with 1 "
        "if some could not be, or were not found."
    )

    def add_arguments(self, parser):
        """Add the options."""
        add = parser.add_argument
        add("ids", nargs="*", metavar="ID", help="an event, by the id that its provider gave it")
        add(
            "--key",
            type=int,
            action="append",
            default=[],
            metavar="N",
            help="an event, by its primary key",
        )
        text = "events of this status; may be repeated (default, unless events are named: failed)"
        add("--status", action="append", choices=sorted(REPLAYABLE), default=[], help=text)
        add("--type", help="events of this type")
        add("--provider", help="events of this provider")
        add("--order", metavar="ID", help="events of this order")
        add(
            "--since",
            type=read_moment,
            metavar="TIME",
            help="events that were received at this time or later",
        )
        add(
            "--until",
            type=read_moment,
            metavar="TIME",
            help="events that were received before this time",
        )
        add("--error", metavar="TEXT", help="events whose error contains this text")
        add("--limit", type=int, metavar="N", help="at most so many events, the oldest first")
        add(
            "--batch",
            type=int,
            default=500,
            metavar="N",
            help="read so many events at a time (default: 500)",
        )
        add("--by", default="manage.py", metavar="NAME", help="who replays them, for the history")
        add("--reason", default="", metavar="TEXT", help="why, for the history")
        text = "replay nothing: run each handler in a transaction that is rolled back, and say what would become of it"
        add("--dry-run", action="store_true", help=text + "; -v 2 says it of each event")
        add("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args, **options):
        """Replay the events, and print what became of them."""
        if not (options["ids"] or options["key"] or any(options[name] for name in FILTERS)):
            raise CommandError(
                "Say which events: by their ids, or by an option. --status failed chooses all failed."
            )
        if options["batch"] < 1 or options["limit"] is not None and options["limit"] < 1:
            raise CommandError("--batch and --limit must be at least 1.")
        try:
            events, missing = self.find_events(options)
            result = (
                self.dry_run(events, options)
                if options["dry_run"]
                else self.replay(events, options)
            )
        except Error as error:
            text = (
                "The database failed. What was replayed is replayed; run it again for the rest. %r"
            )
            raise CommandError(text % error) from error
        self.report(dict(result, not_found=missing, dry_run=options["dry_run"]), options)

    def find_events(self, options):
        """Return the events that are chosen, and the names of those that are not there."""
        named = Event.objects.filter(pk__in=options["key"])
        keys = {}
        for name in options["ids"]:
            for provider in settings.PAYMENT_WEBHOOKS_PROVIDERS:
                keys[digest(provider, name)] = name
        named = named | Event.objects.filter(dedup_key__in=list(keys))
        found = list(named.values_list("pk", "dedup_key"))
        there = {name for pk, key in found for name in (str(pk), keys.get(key))}
        missing = [
            name for name in [*options["ids"], *map(str, options["key"])] if name not in there
        ]
        is_named = options["ids"] or options["key"]
        events = (
            Event.objects.filter(pk__in=[pk for pk, _ in found])
            if is_named
            else Event.objects.all()
        )
        statuses = options["status"] or ([] if is_named else [Event.FAILED])
        conditions = {
            "status__in": statuses,
            "type": options["type"],
            "provider": options["provider"],
            "order_key": options["order"] and digest(options["order"]),
            "received_at__gte": options["since"],
            "received_at__lt": options["until"],
            "error__contains": options["error"],
        }
        return events.filter(
            **{name: value for name, value in conditions.items() if value}
        ), missing

    def walk(self, events, options):
        """Give the chosen events, and show how far it has come."""
        progress = Progress(self.stderr, events)
        for count, event in enumerate(walk(events, options["batch"]), 1):
            yield event
            progress.show(event.pk, count)
            if count == options["limit"]:
                break
        progress.clear()

    def replay(self, events, options):
        """Replay events. Returns how many were replayed and left, and the problems."""
        replayed, left = 0, 0
        problems: Counter = Counter()
        for event in self.walk(events, options):
            try:
                done = replay(event, options["by"], options["reason"])
            except Error:
                raise
            except Exception as error:
                # Its body still can't be parsed, or its provider can't be loaded.
                problems["%s: %s" % (type(error).__name__, error)] += 1
                done = False
            replayed, left = replayed + done, left + (not done)
            self.wait_for_publisher(at_most=900)
        self.wait_for_publisher(at_most=0)
        return {"replayed": replayed, "left": left, "problems": problems}

    def wait_for_publisher(self, at_most):
        """Give the messages to the workers time to be sent. Those that are not are left to the sweeper."""
        patience = time.monotonic() + 5
        while (
            load(settings.PAYMENT_WEBHOOKS_PUBLISHER).unsent.qsize() > at_most
            and time.monotonic() < patience
        ):
            time.sleep(0.05)

    def dry_run(self, events, options):
        """Rehearse events. Returns how many would get which outcome."""
        outcomes: Counter = Counter()
        for event in self.walk(events, options):
            dry_run = dry_run(event)
            outcomes[dry_run.outcome] += 1
            if options["verbosity"] > 1 and not options["json"]:
                line = "%d %s: %s. %s" % (event.pk, event, dry_run.outcome, dry_run.explanation)
                # Whatever the provider wrote, it is one line.
                self.stdout.write(repr(line)[1:-1])
        return {"outcomes": outcomes}

    def report(self, result, options):
        """Print the result. Raises ``CommandError`` if not every event could be replayed."""
        if options["json"]:
            self.stdout.write(json.dumps(result))
        elif options["verbosity"] and options["dry_run"]:
            outcomes = "".join("\n  %s: %d" % item for item in sorted(result["outcomes"].items()))
            self.stdout.write(
                "%d events in a dry run%s" % (sum(result["outcomes"].values()), outcomes)
            )
        elif options["verbosity"]:
            self.stdout.write(
                "%d events replayed, %d left as they are" % (result["replayed"], result["left"])
            )
        lines = ["%s was not found." % name for name in result["not_found"]]
        lines += [
            "%d events: %s" % (count, text) for text, count in result.get("problems", {}).items()
        ]
        if result.get("left", 0) > sum(result.get("problems", {}).values()):
            lines.append(
                "Only failed, ignored and waiting events whose bodies are not pruned can be replayed."
            )
        if lines:
            raise CommandError("\n".join(lines))
