"""The recipe of the documentation that partitions the events' table, on PostgreSQL."""

import os
import re

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from django_payment_webhooks.models import Event

from ..factories import OrderFactory

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BLOCK = re.compile(r"^```\{code-block\} postgresql\n:caption: (\w+)\n(.*?)^```$", re.M | re.S)

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="The recipe is PostgreSQL's."),
]


@pytest.fixture
def run_sql():
    """Run a block of SQL of the page. All is undone with the test's transaction."""
    with open(os.path.join(ROOT, "docs", "howto", "partitions.md"), encoding="utf-8") as page:
        blocks = dict(BLOCK.findall(page.read()))

    def run_sql(caption):
        with connection.cursor() as cursor:
            cursor.execute(blocks[caption])

    return run_sql


@pytest.fixture
def partitioned(run_sql):
    """The table as the recipe makes it."""
    for caption in ("convert", "keys", "cut", "compact"):
        run_sql(caption)


@pytest.fixture
def pay(payment_webhooks):
    """Have an order paid by an event with an id, and return the answer's status of the event."""

    def pay(event_id, order, **values):
        answer = payment_webhooks.post_event(
            "charge.succeeded",
            provider_event_id=event_id,
            order_id=order.pk,
            amount="10.00",
            currency="EUR",
            created_at="2026-11-23T12:00:00Z",
            **values,
        )
        payment_webhooks.run_due()
        return answer.json()["status"]

    return pay


def find_partition(event_id):
    """Return in which partition an event is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text FROM payment_webhooks_event"
            " WHERE provider_event_id = %s",
            [event_id],
        )
        return [name for (name,) in cursor.fetchall()]


def read_statuses():
    """Return the status of each event."""
    return dict(Event.objects.values_list("provider_event_id", "status"))


def test_events_before_and_after_a_cut_are_stored_once_and_have_one_effect(
    pay, run_sql, payment_webhooks
):
    first, second = OrderFactory(), OrderFactory()
    assert pay("e1", first, charge_id="c1") == "accepted"
    for caption in ("convert", "keys", "cut", "month"):
        run_sql(caption)
    assert pay("e2", second, charge_id="c2") == "accepted"
    assert find_partition("e1") == ["payment_webhooks_event_first"]
    assert find_partition("e2") == ["payment_webhooks_event_2027_01"]
    # Sent again, and told again under another id: in another month than the first.
    assert pay("e1", first, charge_id="c1") == "duplicate"
    assert pay("e3", first, charge_id="c1") == "accepted"
    assert read_statuses() == {"e1": "processed", "e2": "processed", "e3": "duplicate"}
    assert first.ledgerentry_set.count() == second.ledgerentry_set.count() == 1


def test_the_database_itself_refuses_a_second_event_and_a_second_effect(partitioned, pay, run_sql):
    order = OrderFactory()
    pay("e1", order)
    run_sql("month")
    event = Event.objects.get()
    for changes in ({"idempotency_key": None}, {"dedup_key": "d" * 32}):
        copy = Event.objects.get()
        copy.pk = None
        vars(copy).update(changes)
        with pytest.raises(IntegrityError), transaction.atomic():
            copy.save(force_insert=True)
    vars(event).update(id=None, idempotency_key=None, dedup_key="d" * 32)
    event.save(force_insert=True)
    assert find_partition("e1") == [
        "payment_webhooks_event_first",
        "payment_webhooks_event_2027_01",
    ]


def test_a_month_that_is_dropped_still_deduplicates_and_releases(
    partitioned, pay, run_sql, payment_webhooks
):
    order = OrderFactory()
    pay("e1", order, charge_id="c1")
    run_sql("month")
    run_sql("drop")
    assert bytes(Event.objects.get().body) == b""
    assert pay("e1", order, charge_id="c1") == "duplicate"
    assert pay("e2", order, charge_id="c2") == "accepted"
    payment_webhooks.post_event(
        "refund.created", provider_event_id="e3", charge_id="c1", refund_id="r1", amount="4.00"
    )
    payment_webhooks.run_due()
    assert read_statuses() == {"e1": "processed", "e2": "duplicate", "e3": "processed"}
    assert sorted(order.ledgerentry_set.values_list("kind", flat=True)) == ["payment", "refund"]


def test_what_has_not_ended_well_keeps_its_body(partitioned, pay, run_sql, payment_webhooks):
    order = OrderFactory(amount="11.00")
    pay("e1", order)
    run_sql("month")
    run_sql("drop")
    order.amount = "10.00"
    order.save()
    call_command("replay_payment_webhooks", "--status", "failed", "--reason", "fixed", verbosity=0)
    payment_webhooks.run_due()
    assert read_statuses() == {"e1": "processed"}


def test_a_deleted_row_gives_its_keys_back(partitioned, pay, run_sql):
    order = OrderFactory()
    pay("e1", order)
    Event.objects.all().delete()
    assert pay("e1", order) == "accepted"
    assert read_statuses() == {"e1": "processed"}
