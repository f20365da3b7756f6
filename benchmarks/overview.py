"""How long an operator waits for what the pages and commands show of a large table.

::

    python -m benchmarks.overview [--events 1000000] [--days 30] [--failed 0.33] [--causes 3]
        [--database URL]

Without ``--database`` it starts a PostgreSQL of its own. The database of a URL, as Django's
environment variable ``DATABASE_URL`` has it, must exist: on PostgreSQL, MariaDB or SQLite. It is
filled if it is empty, and is left as it is at the end, so that the next run need not fill it.

The events came evenly over the days. Those of the first days have failed. Of the last day's a fifth
have failed, and a tenth are being retried. Of any other thousand 966 are processed, 10 duplicates,
14 ignored, 3 wait, 2 are applied and 5 are being retried. Those that failed or are being retried
did so for a number of causes, in turn. Each body has about 500 bytes.

Of each page it prints the first call and the best of some. "processors" is the least processor time
that a call took, in this process and in the connection's one of the database: on a busy machine it
is what comes closest to how long an idle one takes.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db.models import Max
from django.test import Client
from django.utils.module_loading import import_string

from .filling import find_newest
from .meters import query, read_own_seconds
from .operators import CAUSE, fill, prepare_database
from .programs import APP
from .report import say
from .stage import set_stage

PACKAGE = "django_payment_webhooks"
ADMIN = "/admin/payment_webhooks/event/"
HOURS = "payment_webhooks_history_countedhour"
#: How long, in seconds, an operator may have to wait; and how often it is measured.
WANTED, CALLS = 0.3, 7
PAGES = {
    "overview of 24 hours": "?overview=24",
    "overview of 168 hours": "?overview=168",
    "causes": "?causes=1",
    "one cause: its events": f"?cause={CAUSE}",
    "one cause: those that failed": f"?cause={CAUSE}&status__exact=failed",
    "list": "",
    "list of failed events": "?status__exact=failed",
    "list of failed events, oldest": "?status__exact=failed&o=5",
    "list of what is being retried": "?status__exact=retrying",
    "list of open conflicts": "?conflict=open",
    "list of processed events": "?status__exact=processed",
    "search for an event": "?q=evt_{middle}",
    "search that finds nothing": "?q=nothing",
    "an event that failed": "{failed}/change/",
    "an event that was processed": "{processed}/change/",
}
LIST = "list_payment_webhooks"
COMMANDS = {
    "payment_webhooks_status": ["payment_webhooks_status"],
    "the same of 168 hours": ["payment_webhooks_status", "--hours", "168"],
    LIST: [LIST, "--status", "failed"],
    "the same of a cause": [LIST, "--cause", CAUSE],
}
GAUGES = f"{PACKAGE}.contrib.prometheus.gauges.read_gauges"


def measure(name: str, function: Callable[[], Any], calls: int = CALLS) -> None:
    """Call something some times, and print how long the first and the quickest took."""
    times, processors = [], []
    for _ in range(calls):
        used, started = read_own_seconds(), time.monotonic()
        function()
        times.append(time.monotonic() - started)
        processors.append(read_own_seconds() - used)
    slow = " (over the bound)" if min(times) > WANTED else ""
    say(
        f"{name:<32} first {write(times[0])}, best {write(min(times))},"
        f" processors {write(min(processors))}{slow}"
    )


def write(seconds: float) -> str:
    """Return seconds as milliseconds."""
    return f"{seconds * 1000:6.0f} ms"


def measure_pages() -> None:
    """Open the admin's pages, as an operator does."""
    look = log_in()
    events = import_string(f"{PACKAGE}.models.Event").objects
    keys = {
        "middle": find_newest(APP.table) // 2,
        "failed": events.filter(status="failed").aggregate(key=Max("pk"))["key"],
        "processed": events.filter(status="processed").aggregate(key=Max("pk"))["key"],
    }
    for name, page in PAGES.items():
        measure(name, partial(look, page.format(**keys)))


def log_in() -> Callable[[str], None]:
    """Return what opens a page of the admin."""
    users = get_user_model().objects
    operator = users.filter(username="operator").first()
    browser = Client(HTTP_HOST="localhost")
    browser.force_login(operator or users.create_superuser("operator", "", "x"))

    def look(page: str) -> None:
        answer = browser.get(ADMIN + page)
        assert answer.status_code == 200, answer

    return look


def measure_others() -> None:
    """Ask what an operator asks by commands, and what monitoring asks."""
    for name, command in COMMANDS.items():
        measure(name, partial(run, *command))
    measure("the gauges of /metrics", import_string(GAUGES))


def run(*command: str) -> None:
    """Run a command for what it prints."""
    with suppress(SystemExit):  # how it tells that something is wrong
        call_command(*command, stdout=io.StringIO(), stderr=io.StringIO())


def measure_uncounted() -> None:
    """Open the overview before its hours are counted, and let sweeps count them."""
    look = log_in()
    query(f"DELETE FROM {HOURS}")
    measure("overview of 24 hours, uncounted", partial(look, "?overview=24"), calls=3)
    measure("overview of 168 hours, uncounted", partial(look, "?overview=168"), calls=2)
    count_next_hour = import_string(f"{PACKAGE}.history.hours.count_next_hour")
    started, number = time.monotonic(), 0
    while count_next_hour():
        number += 1
    seconds = (time.monotonic() - started) / max(number, 1)
    say(f"{'to count an hour, once':<32} {write(seconds)}")


def main() -> None:
    """Fill the table, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--events", type=int, default=1000000, help="how many there are (default: 1000000)")
    add("--days", type=float, default=30, help="over how many days they came (default: 30)")
    add("--failed", type=float, default=1 / 3, help="which share have failed first (default: 1/3)")
    add("--causes", type=int, default=3, help="for how many causes (default: 3)")
    add("--database", default="", metavar="URL", help="where they are, or are to be and to stay")
    options = parser.parse_args()
    with set_stage(options.database, DJANGO_SETTINGS_MODULE="testproject.settings"):
        prepare_database()
        if find_newest(APP.table) is None:
            fill(options.events, options.days, options.failed, options.causes)
        number = query(f"SELECT count(*) FROM {APP.table}")
        causes = query("SELECT count(*) FROM payment_webhooks_history_cause")
        say(f"{number} events, {causes} causes; wanted: {write(WANTED).strip()}")
        measure_uncounted()
        measure_pages()
        measure_others()


if __name__ == "__main__":
    main()
