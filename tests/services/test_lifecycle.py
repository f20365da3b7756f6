"""The life of one order's events as a state machine: what must always hold, always does.

The machine is played against the database of the run, with real processes that are killed. What it
knows of the lifecycle is in ``FOLLOWERS`` and in the invariants, and nowhere else.
"""

import time
from collections import defaultdict
from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from shop.models import Dispute, LedgerEntry, Order, Refund

from django_payment_webhooks import conf
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.publisher import ThreadPublisher, process
from django_payment_webhooks.sweeper import release, sweep

from ..doubles import Clock
from ..factories import OrderFactory
from ..test_permutations import NAMES, deliver, forget_everything, message
from .crashing import play

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3600
CHARGES = {"charge", "charge_again"}
# What tells of the effect of each type of event in the shop's ledger: its kind, and the field that
# names it.
EFFECTS = {
    "charge.succeeded": ("payment", "charge_id"),
    "refund.created": ("refund", "refund_id"),
    "dispute.opened": ("dispute", "dispute_id"),
}
FINAL = {Event.PROCESSED, Event.DUPLICATE, Event.IGNORED, Event.FAILED}
# What an event can become by itself. Only a replay leads out of a final status.
NEXT = {
    Event.RECEIVED: {
        Event.WAITING,
        Event.APPLIED,
        Event.PROCESSED,
        Event.DUPLICATE,
        Event.IGNORED,
        Event.FAILED,
    },
    Event.WAITING: {Event.APPLIED, Event.PROCESSED, Event.DUPLICATE, Event.FAILED},
    Event.APPLIED: {Event.PROCESSED, Event.FAILED},
}
REPLAYED = {
    Event.FAILED: {Event.RECEIVED, Event.APPLIED},
    Event.WAITING: {Event.RECEIVED},
    # While it is being retried.
    Event.RECEIVED: {Event.RECEIVED},
    Event.APPLIED: {Event.APPLIED},
}


def followers(status, nexts):
    """Return all that can become of a status in any number of changes, itself included."""
    found, new = set(), {status}
    while new:
        found |= new
        new = set().union(*[nexts.get(name, set()) for name in new]) - found
    return found


FOLLOWERS = {status: followers(status, NEXT) for status in Event.TRANSITIONS}


class Lifecycle(RuleBasedStateMachine):
    """The events of the order A1, and everybody who does something to them."""

    warehouse = None

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.clock = Clock(self.patch)
        # What is published is lost: a rule says when a message comes.
        self.patch.setattr(ThreadPublisher, "publish", lambda self, events: None)
        forget_everything()
        self.warehouse.reset()
        OrderFactory(id="A1")
        self.delivered, self.seen = set(), {}

    # ---- what can happen

    @rule(name=NAMES)
    def deliver(self, name):
        """The provider sends an event, perhaps again."""
        assert deliver(name) == ("duplicate" if name in self.delivered else "accepted")
        self.delivered.add(name)

    @rule(name=NAMES)
    def process(self, name):
        """A message comes, whether or not there is something to do."""
        message(name)

    @rule(name=NAMES, last=st.integers(0, 40))
    def crash(self, name, last):
        """A worker is killed at some step of its work, if it has as many."""
        play(lambda: message(name), last)

    @rule(name=NAMES, last=st.integers(0, 16))
    def crash_web_server(self, name, last):
        """A web server is killed at some step. The provider may not have an answer, and the row may
        be there.
        """
        if (
            play(lambda: deliver(name), last).answer
            or Event.objects.filter(provider_event_id=name).exists()
        ):
            self.delivered.add(name)

    @rule()
    def sweep(self):
        """The sweeper finds what is due, and its messages arrive."""
        sweep(process)

    @rule()
    def lose(self):
        """The sweeper finds what is due, and its messages are lost."""
        sweep(lambda keys: None)

    @rule(name=NAMES)
    def release(self, name):
        """A worker that was held up releases what waits for an event, as others have done."""
        for event in Event.objects.filter(
            provider_event_id=name, status__in=[Event.APPLIED, Event.PROCESSED]
        ):
            release(event)

    @rule(name=NAMES)
    def replay(self, name):
        """An operator replays an event, if that is possible."""
        for event in Event.objects.filter(provider_event_id=name):
            before, is_expected = event.status, self.can_be_replayed(event)
            assert replay(event) == is_expected
            if is_expected:
                assert event.status in REPLAYED[before]
                assert event.attempts == 0
                self.seen[name] = event  # as it is now: what comes after it is judged by that

    def can_be_replayed(self, event):
        """Return whether it has failed, waits for its order, or was tried and no worker has it."""
        if event.status in (Event.FAILED, Event.WAITING):
            return True
        lease_is_over = event.due_at is not None and event.due_at <= time.time()
        is_between_attempts = event.due_at == event.enqueue_at or lease_is_over
        return event.status not in FINAL and bool(event.error) and is_between_attempts

    @rule(seconds=st.sampled_from([1, 31, 301, HOUR]))
    def pass_time(self, seconds):
        """Time goes by: leases end, pauses are over."""
        self.clock.advance(seconds)

    @rule(status=st.sampled_from([422, 429, 503]))
    def spoil(self, status):
        """The warehouse will not do what the next call asks for."""
        self.warehouse.add_rule(status=status)

    # ---- what holds at any time

    @invariant()
    def every_accepted_event_is_there(self):
        assert self.delivered == set(Event.objects.values_list("provider_event_id", flat=True))
        assert len(self.delivered) == Event.objects.count()

    @invariant()
    def every_change_of_a_status_is_legal(self):
        for event in Event.objects.all():
            last = self.seen.get(event.provider_event_id)
            assert event.status in FOLLOWERS[last.status if last else Event.RECEIVED]
            if last:
                assert event.version >= last.version
                assert event.version > last.version or event.status == last.status
                assert last.idempotency_key in (None, event.idempotency_key)
            self.seen[event.provider_event_id] = event

    @invariant()
    def what_is_final_is_never_due_and_everything_else_will_be(self):
        for event in Event.objects.all():
            times = [event.due_at is None, event.enqueue_at is None, event.finished_at is not None]
            assert times == [event.status in FINAL] * 3
            assert event.attempts <= conf.settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS + 1

    @invariant()
    def an_effect_is_there_once_and_exactly_if_its_event_is_applied(self):
        applied = Event.objects.exclude(idempotency_key=None)
        assert not applied.filter(
            status__in=[Event.RECEIVED, Event.WAITING, Event.DUPLICATE, Event.IGNORED]
        )
        assert not Event.objects.filter(
            status__in=[Event.APPLIED, Event.PROCESSED], idempotency_key=None
        )
        expected = sorted(
            (EFFECTS[event.type][0], event.data[EFFECTS[event.type][1]]) for event in applied
        )
        assert sorted(LedgerEntry.objects.values_list("kind", "reference")) == expected
        assert len(set(expected)) == len(expected)

    @invariant()
    def the_order_is_paid_exactly_if_its_charge_is_applied(self):
        charges = (
            Event.objects.filter(type="charge.succeeded").exclude(idempotency_key=None).count()
        )
        assert charges == (Order.objects.get().status == Order.PAID)

    @invariant()
    def no_more_goes_back_than_was_paid(self):
        ledger = defaultdict(Decimal)
        for kind, amount in LedgerEntry.objects.exclude(amount=None).values_list("kind", "amount"):
            ledger[kind] += amount
        assert ledger["refund"] == sum(Refund.objects.values_list("amount", flat=True), Decimal())
        assert ledger["refund"] <= ledger["payment"]
        assert not Dispute.objects.exists() or ledger["payment"]

    @invariant()
    def the_warehouse_is_told_with_the_key_of_an_applied_charge(self):
        keys = {call["key"] for call in self.warehouse.history()}
        assert keys <= set(
            Event.objects.filter(type="charge.succeeded").values_list("idempotency_key", flat=True)
        )

    # ---- how it ends

    def teardown(self):
        """Let enough time pass, and see that everything has ended as what was delivered says."""
        try:
            self.warehouse.reset()
            self.finish()
            for event in Event.objects.filter(status=Event.FAILED):
                assert event.error
                assert replay(event)
            self.finish()
            self.check_the_end()
        finally:
            self.patch.undo()
            forget_everything()

    def finish(self):
        """Sweep until nothing is due any more, and will never be."""
        for _ in range(24):
            sweep(process)
            if not Event.objects.filter(finished_at=None).exists():
                return
            self.clock.advance(HOUR)
        raise AssertionError(
            "Not finished: %s" % list(Event.objects.values("provider_event_id", "status", "error"))
        )

    def check_the_end(self):
        """With a charge everything is applied, once; without one everything has waited in vain."""
        ends = dict(Event.objects.values_list("provider_event_id", "status"))
        charges = CHARGES & self.delivered
        paid = sorted(ends.pop(name) for name in charges)
        assert paid == (
            [Event.DUPLICATE] * (len(charges) - 1) + [Event.PROCESSED] if charges else []
        )
        assert set(ends.values()) <= {Event.PROCESSED if charges else Event.FAILED}
        self.an_effect_is_there_once_and_exactly_if_its_event_is_applied()
        self.no_more_goes_back_than_was_paid()


def test_no_run_of_the_lifecycle_breaks_what_must_always_hold(warehouse, settings):
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 4
    settings.PAYMENT_WEBHOOKS_WAIT_DEADLINE = 6 * HOUR
    machine = type("Machine", (Lifecycle,), {"warehouse": warehouse})
    examples = {"sqlite": 12}.get(connection.vendor, 6)
    bounds = {
        "max_examples": examples,
        "stateful_step_count": 25,
        "suppress_health_check": [HealthCheck.too_slow],
    }
    run_state_machine_as_test(machine, settings=hypothesis_settings(deadline=None, **bounds))
