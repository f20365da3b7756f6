"""``manage.py payment_webhooks_status``."""

import json
import sys
from collections import Counter

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error

from ...monitoring.overview import (
    find_critical_problems,
    find_other_problems,
    read_overview,
    tell_time,
)

OK, WARNING, CRITICAL = 0, 1, 2


class Command(BaseCommand):
    """Show the overview."""

    help = (
        "Show what payment webhook events are due, waiting and failed, what came in the last hours, and what is wrong. "
        "Exits with 0 if nothing is wrong, with 1 if something must be looked at by daylight, and with 2 if it can't "
        "wait: events do not get on, or the database can't be asked."
    )

    def add_arguments(self, parser):
        """Add the options."""
        add = parser.add_argument
        add(
            "--hours",
            type=int,
            default=24,
            metavar="N",
            help="look back so many hours (default: 24)",
        )
        add("--only-critical", action="store_true", help="exit with 0 unless something can't wait")
        add("--json", action="store_true", help="print all of it as JSON, the ages in seconds")

    def handle(self, *args, **options):
        """Print the overview, and exit with what it comes to."""
        if options["hours"] < 1:
            raise CommandError("--hours must be at least 1.")
        try:
            overview = read_overview(options["hours"])
        except Error as error:
            self.stderr.write("CRITICAL: The database can't be asked: %r" % error)
            sys.exit(CRITICAL)
        if options["json"]:
            self.stdout.write(json.dumps(overview, cls=DjangoJSONEncoder))
        else:
            self.write_overview(overview, options["verbosity"])
        code = CRITICAL if overview["is_critical"] else WARNING if overview["problems"] else OK
        if code == CRITICAL or code and not options["only_critical"]:
            sys.exit(code)

    def write_overview(self, overview, verbosity):
        """Write the overview for reading: nothing but the problems if there shall be no details."""
        lines = [
            *self.tell_backlog(overview),
            "",
            *self.tell_hours(overview),
            *self.tell_machinery(overview),
            "",
        ]
        for line in lines if verbosity else ():
            self.stdout.write(line)
        for level, style, find in (
            ("CRITICAL", self.style.ERROR, find_critical_problems),
            ("WARNING", self.style.WARNING, find_other_problems),
        ):
            for problem in find(overview):
                self.stdout.write(style("%s: %s" % (level, problem)))
        if verbosity and not overview["problems"]:
            self.stdout.write(self.style.SUCCESS("Nothing is wrong."))

    def tell_backlog(self, overview):
        """Return the lines about what there is."""
        yield "%-12s%10s   %s" % ("", "events", "the oldest")
        for name, facts in [*overview["statuses"].items(), ("due", overview["due"])]:
            count = "%s%d" % ("over " if facts["is_bounded"] else "", facts["count"])
            age = tell_time(facts["oldest_seconds"]) if facts["count"] else ""
            yield ("%-12s%10s   %s" % (name, count, age)).rstrip()

    def tell_hours(self, overview):
        """Return the lines about what came."""
        hours = overview["hours"]
        became = sum((Counter(hour["statuses"]) for hour in hours), Counter())
        now = ", ".join(
            "%d %s" % (became[status], status)
            for status in overview["statuses"]
            if status in became
        )
        received = sum(hour["received"] for hour in hours)
        yield "Received in %d hours: %d%s" % (
            len(hours),
            received,
            " (now %s)" % now if now else "",
        )
        for name, seconds in overview["providers"].items():
            yield "Last event of %s: %s" % (
                name,
                "none" if seconds is None else tell_time(seconds) + " ago",
            )
        for facts in overview["rejected"]:
            provider = facts["provider"] or "an unknown provider"
            yield "Rejected of %s: %d times %d %s" % (
                provider,
                facts["count"],
                facts["status"],
                facts["reason"],
            )

    def tell_machinery(self, overview):
        """Return the lines about what moves the events."""
        sweeper = overview["sweeper"]
        yield "Last sweep: %s" % (
            "not recorded" if sweeper is None else tell_time(sweeper) + " ago"
        )
        yield "Broker: %s" % ("reachable" if overview["broker"] else "not reachable")
