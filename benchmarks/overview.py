"""How long the operators' questions take on a large table.

::

    python -m benchmarks.overview [--events 1000000] [--days 30] [--failed 0.033] [--causes 3]

The events came evenly over the days; of a thousand 966 are processed, 10 duplicates, 14 ignored, 3
wait, 2 are applied and 5 are received, and are being retried. Only the first of them failed, on bad
days long ago: to find the newest of them is the hardest question. Those that failed or are retried
did so for a number of causes. Each body has about 500 bytes.

After an outage: ``--events 10000000 --failed 0.33 --causes 3``. With a cause of its own for every
thousandth event: ``--events 10000000 --failed 0.33 --causes 10000``.
"""

from __future__ import annotations

import argparse
import hashlib
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
from django.utils import timezone
from django.utils.module_loading import import_string

from .filling import copy_newest, without_indexes
from .meters import query
from .programs import APP, COPIES, receive_event, write_moment
from .report import say
from .stage import set_stage

PACKAGE = "django_payment_webhooks"
ADMIN = "/admin/payment_webhooks/event/"
LIST = "list_payment_webhooks"
CAUSE = hashlib.md5(b"cause0").hexdigest()
COMMANDS = {
    "the command status": ["payment_webhooks_status"],
    "the command list": [LIST],
    "list: the newest failed": [LIST, "--status", "failed"],
    "list: the oldest failed": [LIST, "--status", "failed", "--oldest-first"],
    "list: of a cause": [LIST, "--cause", CAUSE],
}
#: How long, in seconds, what an operator waits for may take; and how often it is measured.
WANTED, CALLS = 0.3, 5

#: The copies: a number n, a new_status, whether it is_final, and the moment of the receipt.
COPIES_SOURCE = """(
    SELECT n, new_status, new_status IN ('processed', 'duplicate', 'ignored', 'failed') AS is_final,
        now() - {days} * interval '1 day' * ({count} - n) / {count} AS moment
    FROM (
        SELECT n, CASE WHEN n < {count} * {failed} THEN 'failed'
            WHEN n % 1000 < 966 THEN 'processed'
            WHEN n % 1000 < 976 THEN 'duplicate' WHEN n % 1000 < 990 THEN 'ignored'
            WHEN n % 1000 < 993 THEN 'waiting' WHEN n % 1000 < 995 THEN 'applied'
            ELSE 'received' END AS new_status
        FROM generate_series(1, {count}) AS n
    ) AS numbered
) AS copies"""
#: When a worker, or the sweeper, is to look at an event.
SCHEDULE = {
    "due_at": "CASE WHEN NOT is_final THEN now() + (n % 600 - 300) * interval '1 second' END",
    "enqueue_at": "CASE WHEN NOT is_final THEN now() + (n % 600 - 20) * interval '1 second' END",
    "waiting_since": "CASE WHEN new_status = 'waiting' THEN moment END",
}
HAS_CAUSE = "new_status IN ('failed', 'received')"
#: What the history has of the causes, and of conflicts: every thousandth event, half of them open.
CAUSES = """
INSERT INTO payment_webhooks_history_cause (key, exception, place, text, first_seen,
    acknowledged_by, acknowledged_count, note)
SELECT md5('cause' || n), 'KeyError', 'shop.handlers:ship', 'warehouse ' || n, now(), '', 0, ''
FROM generate_series(0, {causes} - 1) AS n"""
CONFLICTS = """
INSERT INTO payment_webhooks_history_conflict (event_id, other_id, at, difference, closed_at,
    closed_by, note)
SELECT id, id - 1, received_at, '[]', CASE WHEN id % 2000 = 0 THEN received_at END, '', ''
FROM payment_webhooks_event WHERE id % 1000 = 0"""
HAS_EFFECT = "new_status IN ('processed', 'applied')"


def fill(count: int, days: float, failed: float, causes: int) -> None:
    """Fill the table with copies of an event that is received now."""
    receive_event()
    source = COPIES_SOURCE.format(count=count, days=days, failed=failed)
    with without_indexes(APP.table):
        copy_newest(APP.table, find_copies(causes), source)
    query(CAUSES.format(causes=causes))
    query(CONFLICTS)
    query("VACUUM ANALYZE")


def find_copies(causes: int) -> dict[str, str]:
    """Return the SQL for the columns in which the copies differ."""
    copies = dict(
        COPIES[APP.table], received_at="moment", occurred_at="moment", status="new_status"
    )
    copies["finished_at"] = "CASE WHEN is_final THEN moment + interval '1 second' END"
    copies["idempotency_key"] = f"CASE WHEN {HAS_EFFECT} THEN {copies['idempotency_key']} END"
    copies["cause_key"] = f"CASE WHEN {HAS_CAUSE} THEN md5('cause' || n % {causes}) END"
    copies["error"] = f"CASE WHEN {HAS_CAUSE} THEN 'KeyError(''warehouse_id'')' ELSE '' END"
    copies["version"] = "3"
    for column, moment in SCHEDULE.items():
        copies[column] = write_moment(moment)
    return copies


def measure(name: str, function: Callable[[], Any]) -> None:
    """Call something some times, and print how long the first and the quickest took."""
    times = []
    for _ in range(CALLS):
        started = time.monotonic()
        function()
        times.append(time.monotonic() - started)
    slow = f", over {WANTED * 1000:.0f} ms" if min(times) > WANTED else ""
    say(f"{name:<34} first {times[0] * 1000:8.0f} ms, best {min(times) * 1000:8.0f} ms{slow}")


def measure_questions() -> None:
    """Ask what an operator asks by commands and monitoring."""
    read_backlog = import_string(f"{PACKAGE}.monitoring.overview.read_backlog")
    read_overview = import_string(f"{PACKAGE}.monitoring.overview.read_overview")
    measure("read_backlog()", read_backlog)
    measure("read_retrying()", import_string(f"{PACKAGE}.monitoring.overview.read_retrying"))
    measure("read_causes()", import_string(f"{PACKAGE}.monitoring.causes.read_causes"))
    measure("read_overview(24)", lambda: read_overview(24))
    measure("read_overview(1)", lambda: read_overview(1))
    measure(
        "the health view's question", import_string(f"{PACKAGE}.monitoring.health.ask_database")
    )
    for name, command in COMMANDS.items():
        measure(name, partial(run, *command))
    measure("prune --dry-run, all old", count_prunable)


def run(*command: str) -> None:
    """Run a command for what it prints."""
    with suppress(SystemExit):  # how it tells that something is wrong
        call_command(*command, stdout=io.StringIO(), stderr=io.StringIO())


def count_prunable() -> None:
    """Let the command say how many events it would prune."""
    options = {"days": 7, "dry_run": True, "stdout": io.StringIO()}
    call_command("prune_payment_webhooks", **options)


def measure_pruning() -> None:
    """Prune a thousand events."""
    prune = import_string(f"{PACKAGE}.operations.pruning.prune")
    find_unpruned = import_string(f"{PACKAGE}.operations.pruning.find_unpruned")
    find_final = import_string(f"{PACKAGE}.operations.pruning.find_final")
    events = find_unpruned(find_final(timezone.now())).order_by("pk")[:1000]
    started = time.monotonic()
    found = list(events)
    read = time.monotonic()
    pruned = [prune(event) for event in found]
    ended = time.monotonic()
    assert all(pruned)
    say(f"{'to read 1000 events':<34} {(read - started) * 1000:14.0f} ms")
    say(f"{'to prune them':<34} {(ended - read) * 1000:14.0f} ms")


def measure_admin() -> None:
    """Open the admin's pages, as an operator does."""
    operator = get_user_model().objects.create_superuser("operator", "", "x")
    browser = Client(HTTP_HOST="localhost")
    browser.force_login(operator)
    event = import_string(f"{PACKAGE}.models.Event")
    newest = event.objects.aggregate(newest=Max("pk"))["newest"]
    today = "?received_at__gte=2000-01-01+00:00:00%2B00:00&type=charge.succeeded"
    pages = {
        "admin: the list": "",
        "admin: failed long ago": "?status__exact=failed",
        "admin: processed events": "?status__exact=processed",
        "admin: of today, of a type": today,
        "admin: search by event id": f"?q=evt_{newest // 2}",
        "admin: search by order id": f"?q=A{newest // 6}",
        "admin: search finds nothing": "?q=nothing",
        "admin: one event": f"{newest // 2}/change/",
        "admin: the overview": "?overview=24",
        "admin: the causes": "?causes=1",
        "admin: the events of a cause": f"?cause={CAUSE}",
        "admin: the failed of a cause": f"?cause={CAUSE}&status__exact=failed",
        "admin: the oldest failed": "?status__exact=failed&o=5",
        "admin: open conflicts": "?conflict=open",
        "admin: what is being retried": "?status__exact=retrying",
    }

    def look(page: str) -> None:
        answer = browser.get(ADMIN + page)
        assert answer.status_code == 200, answer

    for name, page in pages.items():
        measure(name, lambda page=page: look(page))


def main() -> None:
    """Fill the table, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--events", type=int, default=1000000, help="how many there are (default: 1000000)"
    )
    parser.add_argument(
        "--days", type=float, default=30, help="over how many days they came (default: 30)"
    )
    parser.add_argument(
        "--failed", type=float, default=1 / 30, help="which share of them failed (default: 1/30)"
    )
    parser.add_argument("--causes", type=int, default=3, help="for how many causes (default: 3)")
    options = parser.parse_args()
    with set_stage(DJANGO_SETTINGS_MODULE="testproject.settings"):
        fill(options.events, options.days, options.failed, options.causes)
        size = query(f"SELECT pg_size_pretty(pg_total_relation_size('{APP.table}'))")
        say(f"{options.events} events, {size}")
        measure_admin()
        measure_questions()
        measure_pruning()


if __name__ == "__main__":
    main()
