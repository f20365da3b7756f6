"""How long the operators' questions take on a large table, on PostgreSQL.

::

    DATABASE_URL=postgres://.../an_empty_database python -m benchmarks.overview [--events 1000000]
    [--days 30]

The database is migrated and filled: the events came evenly over the days; of a thousand 970 are
processed, 10 duplicates, 14 ignored, 3 wait, 2 are applied and 1 is received. Only those of the
first thirtieth failed, on a bad day long ago: to find the newest of them is the hardest question.
Each body has about 500 bytes. Nothing is removed.
"""

import argparse
import io
import os
import sys
import tempfile
import time

import django
from django.core.management import call_command
from django.db import connection
from django.utils.module_loading import import_string
from processes import shop_environment

FILL = """
INSERT INTO payment_webhooks_event (provider, provider_event_id, dedup_key, type, order_id, order_key, occurred_at,
    received_at, body, payload_path, verified_by, status, attempts, version, due_at, enqueue_at, waiting_since,
    finished_at, idempotency_key, error)
SELECT 'default', 'evt_' || n, encode(substr(sha256(n::text::bytea), 1, 20), 'hex'), 'charge.succeeded', 'A' || n / 3,
    encode(substr(sha256(('A' || n / 3)::bytea), 1, 20), 'hex'), moment, moment,
    ('{"event_id": "evt_' || n || '", "type": "charge.succeeded", "data": {"order_id": "A' || n / 3 || '", "note": "'
    || repeat('x', 400) || '"}}')::bytea, '', '', status, 1, 3,
    CASE WHEN is_final THEN NULL ELSE now() + (n %% 600 - 300) * interval '1 second' END,
    CASE WHEN is_final THEN NULL ELSE now() + (n %% 600 - 20) * interval '1 second' END,
    CASE WHEN status = 'waiting' THEN moment END, CASE WHEN is_final THEN moment + interval '1 second' END,
    CASE WHEN status IN ('processed', 'applied') THEN encode(substr(sha256(('k' || n)::bytea), 1, 20), 'hex') END, ''
FROM (
    SELECT n, status, status IN ('processed', 'duplicate', 'ignored', 'failed') AS is_final,
        now() - %(days)s * interval '1 day' * (%(count)s - n) / %(count)s AS moment
    FROM (
        SELECT n, CASE WHEN n < %(count)s / 30 THEN 'failed' WHEN n %% 1000 < 970 THEN 'processed'
            WHEN n %% 1000 < 980 THEN 'duplicate' WHEN n %% 1000 < 994 THEN 'ignored'
            WHEN n %% 1000 < 997 THEN 'waiting' WHEN n %% 1000 < 999 THEN 'applied' ELSE 'received' END AS status
        FROM generate_series(1, %(count)s) AS n
    ) AS numbered
) AS timed
"""


def fill(count, days):
    """Fill the table."""
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"count": count, "days": days})
        cursor.execute("VACUUM ANALYZE payment_webhooks_event")


def measure(name, function):
    """Call something three times, and print how long the first and the quickest took."""
    times = []
    for _ in range(3):
        started = time.monotonic()
        function()
        times.append(time.monotonic() - started)
    sys.stdout.write(
        "%-34s first %8.0f ms, best %8.0f ms\n" % (name, times[0] * 1000, min(times) * 1000)
    )


def run(command, *args):
    """Run a command in silence."""
    call_command(command, *args, stdout=io.StringIO())


def measure_all():
    """Ask all questions."""
    prefix = "django_payment_webhooks.contrib."
    read_backlog = import_string(prefix + "overview.read_backlog")
    read_overview = import_string(prefix + "overview.read_overview")
    measure("read_backlog()", read_backlog)
    measure("read_overview(24)", read_overview)
    measure("read_overview(1)", lambda: read_overview(1))
    measure("the health view's question", import_string(prefix + "health.ask_database"))
    measure(
        "prune --dry-run, all old",
        lambda: run("prune_payment_webhooks", "--days", "7", "--dry-run"),
    )
    prune, find_unpruned = (
        import_string(prefix + "pruning." + name) for name in ("prune", "find_unpruned")
    )
    find_final, now = (
        import_string(prefix + "pruning.find_final"),
        import_string("django.utils.timezone.now"),
    )
    events = find_unpruned(find_final(now())).order_by("pk")
    for name, function in (
        ("to read 1000 events", list),
        ("to prune them", lambda found: [prune(e) for e in found]),
    ):
        started = time.monotonic()
        found = function(events[:1000])
        sys.stdout.write("%-34s %14.0f ms\n" % (name, (time.monotonic() - started) * 1000))
    assert all(found)


def measure_admin():
    """Open the admin's pages, as an operator does."""
    users = import_string("django.contrib.auth.models.User").objects
    operator = users.filter(username="operator").first() or users.create_superuser(
        "operator", "", "x"
    )
    browser = import_string("django.test.Client")(HTTP_HOST="localhost")
    browser.force_login(operator)
    newest = (
        import_string("django_payment_webhooks.models.Event")
        .objects.order_by("-pk")
        .values_list("pk")[0][0]
    )
    for name, address in [
        ("admin: the list", ""),
        ("admin: failed long ago", "?status__exact=failed"),
        ("admin: processed events", "?status__exact=processed"),
        (
            "admin: of today, of a type",
            "?received_at__gte=2000-01-01+00:00:00%2B00:00&type=charge.succeeded",
        ),
        ("admin: search by event id", "?q=evt_%d" % (newest // 2)),
        ("admin: search by order id", "?q=A%d" % (newest // 6)),
        ("admin: search finds nothing", "?q=nothing"),
        ("admin: one event", "%d/change/" % (newest // 2)),
        ("admin: the overview", "?overview=24"),
    ]:

        def look(address=address):
            answer = browser.get("/admin/payment_webhooks/event/" + address)
            assert answer.status_code == 200, answer

        measure(name, look)


def main():
    """Fill the table, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--events", type=int, default=1000000, help="how many events there are (default: 1000000)"
    )
    parser.add_argument(
        "--days", type=float, default=30, help="over how many days they came (default: 30)"
    )
    parser.add_argument("--filled", action="store_true", help="the table was filled before")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(
            shop_environment(folder, DATABASE_URL=os.environ["DATABASE_URL"], LOG_LEVEL="ERROR")
        )
        os.environ.update(
            DJANGO_SETTINGS_MODULE="testproject.settings", CELERY_BROKER_URL="memory://"
        )
        django.setup()
        if not options.filled:
            call_command("migrate", verbosity=0)
            fill(options.events, options.days)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*), pg_size_pretty(pg_total_relation_size('payment_webhooks_event'))"
                " FROM payment_webhooks_event"
            )
            sys.stdout.write("%d events, %s\n" % cursor.fetchone())
        measure_admin()
        measure_all()


if __name__ == "__main__":
    main()
