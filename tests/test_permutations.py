"""The outcome depends neither on the order of arrival, nor on duplicates, deaths or time."""

import json
from collections import Counter
from contextlib import suppress
from unittest import mock

import pytest
from django.db import connection
from django.dispatch import Signal
from django.utils.dateparse import parse_datetime
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shop.models import Dispute, LedgerEntry, Order, Refund

from django_payment_webhooks import signals
from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import process
from django_payment_webhooks.sweeper import sweep
from django_payment_webhooks.testing import post_body

from .doubles import Clock, WorkerKilled
from .factories import OrderFactory, PayloadFactory

pytestmark = pytest.mark.django_db(transaction=True)

PAID_AT = "2026-11-23T10:00:00Z"
# What the provider has to say about the order A1. The charge is told by two events.
EVENTS = {
    "charge": {"type": "charge.succeeded", "data__charge_id": "ch_1"},
    "charge_again": {"type": "charge.succeeded", "data__charge_id": "ch_1"},
    "refund": {"type": "refund.created", "data__refund_id": "re_1", "data__amount": "2.50"},
    "rest": {"type": "refund.created", "data__refund_id": "re_2", "data__amount": "7.50"},
    "dispute": {"type": "dispute.opened", "data__dispute_id": "dp_1"},
}
BODIES = {
    name: json.dumps(PayloadFactory(event_id=name, created_at=PAID_AT, **fields)).encode()
    for name, fields in EVENTS.items()
}
NAMES = st.sampled_from(sorted(EVENTS))
# What can happen between two deliveries. A message can come for any event at any time, doubled or
# for nothing.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("message"), NAMES),
        st.tuples(st.just("killed in apply"), NAMES),
        st.tuples(st.just("killed before release"), NAMES),
        st.tuples(st.just("sweep")),
        # All of it is less than an event waits at most.
        st.tuples(st.just("time"), st.sampled_from([1, 31, 301, 3601])),
    ),
    max_size=4,
)


@st.composite
def stories(draw):
    """Return deliveries in any order, with any duplicates, each with what happens after it."""
    repeated = draw(st.lists(NAMES, max_size=5))
    return [(name, draw(STEPS)) for name in draw(st.permutations(sorted(EVENTS) + repeated))]


class Told(Counter):
    """How often each end of each event was told."""

    SIGNALS = (
        "event_processed",
        "event_duplicate",
        "event_ignored",
        "event_failed",
        "event_conflicted",
    )

    def __enter__(self):
        for name in self.SIGNALS:
            getattr(signals, name).connect(self.count)
        return self

    def __exit__(self, *_):
        for name in self.SIGNALS:
            getattr(signals, name).disconnect(self.count)

    def count(self, signal, event, **_):
        """Count one signal."""
        (name,) = [name for name in self.SIGNALS if getattr(signals, name) is signal]
        self[name, event.provider_event_id] += 1


def deliver(name):
    """Send a webhook, and return the status of the answer."""
    answer = post_body(BODIES[name])
    assert answer.status_code == 200
    return answer.json()["status"]


def message(name):
    """Have a worker take the message of an event, if that was stored already."""
    process(list(Event.objects.filter(provider_event_id=name).values_list("pk", flat=True)))


def killed(name, owner, function, at_its_end):
    """Have a worker killed at the beginning or the end of a function, if it comes so far."""
    real = getattr(owner, function)

    def die(*args, **kwargs):
        if at_its_end:
            real(*args, **kwargs)
        raise WorkerKilled

    with mock.patch.object(owner, function, die), suppress(WorkerKilled):
        message(name)


def play(step, argument=None, clock=None):
    """Have one step happen."""
    if step == "message":
        message(argument)
    elif step == "killed in apply":
        killed(argument, LedgerEntry.objects, "create", at_its_end=True)
    elif step == "killed before release":
        # What waits is released by a receiver of the signals, after the commit.
        killed(argument, Signal, "send_robust", at_its_end=False)
    elif step == "sweep":
        sweep(process)
    else:
        clock.advance(argument)


def play_to_the_end(clock):
    """Sweep until nothing is due any more, and will never be."""
    for _ in range(10):
        sweep(process)
        if not Event.objects.exclude(enqueue_at=None).exists():
            return
        clock.advance(3601)
    raise AssertionError(
        "Not finished: %s" % list(Event.objects.values("provider_event_id", "status", "error"))
    )


def read_state():
    """Return everything that the shop and the app know at the end, but for what tells when, and the
    keys.
    """
    return {
        "orders": list(Order.objects.values_list("id", "status", "paid_at")),
        "refunds": sorted(
            (row.refund_id, row.order_id, str(row.amount)) for row in Refund.objects.all()
        ),
        "disputes": sorted(Dispute.objects.values_list("dispute_id", "order_id")),
        # A refund that waits for the payment can't be an effect before it.
        "first": LedgerEntry.objects.order_by("pk").values_list("kind", flat=True)[0],
        "ledger": sorted(
            (row.kind, row.reference, str(row.amount)) for row in LedgerEntry.objects.all()
        ),
        "events": dict(Event.objects.values_list("provider_event_id", "status")),
        "leftovers": list(Event.objects.exclude(due_at=None, enqueue_at=None)),
        "unfinished": list(Event.objects.filter(finished_at=None)),
    }


def forget_everything():
    """Empty the tables: hypothesis plays many stories in one test."""
    for model in (LedgerEntry, Refund, Dispute, Order, Event):
        model.objects.all().delete()


# A commit takes far longer on a server, and the logic is the same.
@settings(max_examples=60 if connection.vendor == "sqlite" else 20)
@given(stories())
@example([(name, []) for name in ("dispute", "rest", "refund", "charge_again", "charge")])
@example(
    [
        (name, [("message", name)])
        for name in ("dispute", "rest", "refund", "charge_again", "charge")
    ]
)
@example(
    [
        (name, [("killed in apply", name), ("killed before release", name)])
        for name in 2 * sorted(EVENTS)
    ]
)
@example(
    [("refund", [("sweep",), ("time", 31), ("sweep",)]), ("dispute", [("message", "dispute")])]
    + [
        ("charge", [("killed before release", "charge"), ("time", 301), ("sweep",)]),
        ("charge_again", []),
        ("rest", []),
    ]
)
def test_every_story_has_the_same_end(story):
    with pytest.MonkeyPatch.context() as monkeypatch, Told() as told:
        clock = Clock(monkeypatch)
        try:
            OrderFactory(id="A1")
            delivered = set()
            for name, steps in story:
                assert deliver(name) == ("duplicate" if name in delivered else "accepted")
                delivered.add(name)
                for step in steps:
                    play(*step, clock=clock)
            play_to_the_end(clock)
            state = read_state()
        finally:
            forget_everything()

    charges = {name: state["events"].pop(name) for name in ("charge", "charge_again")}
    assert sorted(charges.values()) == [Event.DUPLICATE, Event.PROCESSED]
    assert state == {
        "orders": [("A1", Order.PAID, parse_datetime(PAID_AT))],
        "refunds": [("re_1", "A1", "2.50"), ("re_2", "A1", "7.50")],
        "disputes": [("dp_1", "A1")],
        "first": "payment",
        "ledger": [
            ("dispute", "dp_1", "None"),
            ("payment", "ch_1", "10.00"),
            ("refund", "re_1", "2.50"),
            ("refund", "re_2", "7.50"),
        ],
        "events": dict.fromkeys(["refund", "rest", "dispute"], Event.PROCESSED),
        "leftovers": [],
        "unfinished": [],
    }
    ends = dict(charges, **state["events"])
    expected = {(f"event_{status}", name): 1 for name, status in ends.items()}
    is_told_less = any(
        ("killed before release", name) in steps for _, steps in story for name in EVENTS
    )
    assert told == expected or is_told_less and told.items() <= expected.items()
