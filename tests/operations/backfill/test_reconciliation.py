"""Reconciliation: what the provider and we know differently about payments comes out, all of it."""

import time

import pytest
from django.utils import timezone

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.backfill import reconciliation
from django_payment_webhooks.operations.backfill.paging import Pace
from django_payment_webhooks.operations.backfill.reconciliation import Difference, Reconciliation
from django_payment_webhooks.operations.backfill.sources import Page, Payment, Source, SourceError
from django_payment_webhooks.operations.pruning import prune
from django_payment_webhooks.providers.payloads import dump_json
from django_payment_webhooks.receiving import receive_events

from ...factories import EventFactory
from .stripe_server import break_off, make_event, make_payment, refuse

pytestmark = pytest.mark.django_db


def store(number, created=None, status="processed", **fields):
    """Store an event of a payment, and give it a status."""
    event = make_event(number, created or time.time() - 60, **fields)
    provider = get_provider("stripe")
    (stored,) = receive_events(provider, {}, dump_json(event), "by-test")
    ended = None if status in ("received", "waiting") else timezone.now()
    times = {"due_at": None, "enqueue_at": None} if ended else {}
    Event.objects.filter(pk=stored.pk).update(
        **{"status": status, "finished_at": ended, "received_at": ago(30 * 60), **times}
    )
    return Event.objects.get(pk=stored.pk)


def ago(seconds):
    """Return the moment a number of seconds ago."""
    return timezone.now() - timezone.timedelta(seconds=seconds)


def compare(period, **options):
    """Return the differences of the provider called stripe."""
    found = Reconciliation("stripe", period, pace=Pace(1000), **options)
    return list(found), found.counts


def test_payments_that_agree_are_no_difference(stripe, period):
    for number, status in enumerate(["processed", "applied", "duplicate"]):
        stripe.payments.append(make_payment(number, time.time() - 60))
        store(number, status=status)
    stripe.payments.append(make_payment(9, time.time() - 60, status="requires_payment_method"))
    differences, counts = compare(period)
    assert differences == []
    assert counts["compared"] == 3
    assert len(stripe.asked) == 2


@pytest.mark.parametrize("status", ["", "failed", "received", "ignored"])
def test_a_payment_without_its_effect_is_paid_there_and_not_here(stripe, period, status):
    stripe.payments = [make_payment(1, time.time() - 60)]
    note = "no event was received"
    if status:
        store(1, status=status)
        note = f"event evt_1 is {status}"
    differences, counts = compare(period)
    assert differences == [Difference("not_here", "pi_1", "A1", "10.00 EUR", "", note)]
    assert counts["not_here"] == 1


def test_an_effect_without_its_payment_is_here_and_not_there(stripe, period):
    stripe.payments = [make_payment(1, time.time() - 60, status="canceled")]
    for number in (1, 2):
        store(number)
    store(3, status="failed")
    differences, counts = compare(period)
    assert [difference[:5] for difference in differences] == [
        ("not_there", "pi_1", "A1", "", "10.00 EUR"),
        ("not_there", "pi_2", "A2", "", "10.00 EUR"),
    ]
    assert differences[0].note == "event evt_1"
    assert counts["not_there"] == 2


def test_an_effect_of_before_the_period_is_not_asked_for(stripe, period):
    event = store(1)
    Event.objects.filter(pk=event.pk).update(received_at=ago(4 * 24 * 60 * 60))
    assert compare(period)[0] == []


def test_a_payment_that_was_created_a_while_before_it_was_paid_is_found(stripe, period):
    stripe.payments = [make_payment(1, period.since - 60 * 60)]
    store(1)
    assert compare(period)[0] == []


@pytest.mark.parametrize("there", [{"amount_received": 999}, {"currency": "usd"}])
def test_another_amount_or_currency_is_a_difference(stripe, period, there):
    stripe.payments = [dict(make_payment(1, time.time() - 60), **there)]
    store(1)
    (difference,), counts = compare(period)
    assert (difference.kind, difference.here) == ("amount", "10.00 EUR")
    assert difference.there in ("9.99 EUR", "10.00 USD")
    assert counts["amount"] == 1


def test_an_order_that_was_paid_twice_does_not_hide_a_missed_payment(stripe, period):
    second = dict(make_payment(2, time.time() - 60), metadata={"order_id": "A1"})
    stripe.payments = [make_payment(1, time.time() - 60), second]
    store(1)
    ((difference,), _) = compare(period)
    assert (difference.kind, difference.payment_id) == ("not_here", "pi_2")


def test_an_amount_that_was_pruned_is_counted_and_not_compared(stripe, period):
    stripe.payments = [make_payment(1, time.time() - 60)]
    assert prune(store(1))
    differences, counts = compare(period)
    assert differences == []
    assert counts["without_amount"] == 1


def test_a_payment_that_comes_on_two_pages_is_one(stripe, period, pauses):
    stripe.repeats = 1
    stripe.payments = [make_payment(number, time.time() - 60 - number) for number in range(4)]
    stripe.faults = [None, break_off]
    differences, counts = compare(period)
    assert [difference.payment_id for difference in differences] == ["pi_0", "pi_1", "pi_2", "pi_3"]
    assert counts["compared"] == 4


def test_a_list_that_breaks_off_for_good_is_an_error_and_no_difference(stripe, period, pauses):
    stripe.payments = [make_payment(number, time.time() - 60 - number) for number in range(4)]
    for number in range(4):
        store(number)
    stripe.faults = [None, refuse(403)]
    with pytest.raises(SourceError, match="refuses"):
        compare(period)


def test_too_many_payments_to_remember_are_an_error(stripe, period, monkeypatch):
    monkeypatch.setattr(reconciliation, "MAX_PAYMENTS", 2)
    stripe.payments = [make_payment(number, time.time() - 60 - number) for number in range(4)]
    with pytest.raises(SourceError, match="more than 2 payments .* Choose a shorter one"):
        compare(period)


def test_without_payment_ids_the_order_is_what_they_have_in_common(settings, period):
    class ByOrder(Source):
        def fetch_payments(self, since, until, cursor):
            return Page([Payment("", "10.00", "eur", "A1"), Payment("", 10, "EUR", "A2")])

    name_source(settings, ByOrder)
    for number in (1, 3):
        event = EventFactory(order_id=f"A{number}", status="processed", received_at=ago(60))
        Event.objects.filter(pk=event.pk).update(finished_at=timezone.now())
    found = list(Reconciliation("default", period))
    assert [(each.kind, each.order_id) for each in found] == [
        ("not_here", "A2"),
        ("not_there", "A3"),
    ]


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"id": 1}, "dict in place of a Payment"),
        (Payment("", 1, "EUR"), "neither payment_id nor order_id"),
        (Payment("p", 0.1 + 0.2, "EUR"), "payment p: "),
        (Payment("p", 1, "EURO"), "ISO 4217 code"),
    ],
)
def test_a_wrong_source_is_an_error_that_says_why(settings, period, item, problem):
    class Wrong(Source):
        def fetch_payments(self, since, until, cursor):
            return Page([item])

    name_source(settings, Wrong)
    with pytest.raises(SourceError, match=problem):
        list(Reconciliation("default", period))


def name_source(settings, source):
    """Have the default partner's lists read by a class."""
    globals()["Named"] = source
    settings.PAYMENT_WEBHOOKS_SOURCES = {"default": f"{__name__}.Named"}
