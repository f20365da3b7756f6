"""A process that is killed between any two steps of an event's journey changes nothing at its end.

Not a sample: each journey is first played to count its steps, and then once more for each of them,
by a process that kills itself there. Then the others do what they always do: the provider sends
again what was not answered with 200, the operator replays what still stands as failed, the broker
gives a message again or has lost it, and the sweeper sweeps.
"""

import json
import os
from collections import Counter, namedtuple

import pytest
from django.db import connection
from django.test import Client, override_settings
from shop.models import LedgerEntry

from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.publisher import process, send_message
from django_payment_webhooks.sweeper import sweep

from ..doubles import Clock
from ..factories import OrderFactory, PayloadFactory, sign
from ..test_permutations import BODIES, forget_everything, message, play_to_the_end
from .crashing import play

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix has processes that fork"),
]

BODIES = dict(
    BODIES,
    unknown=json.dumps(PayloadFactory(event_id="unknown", type="unknown")).encode(),
    unparsable=b"{}",
)
DAY = 24 * 60 * 60


# ---- who takes part


def send(name):
    """Be the provider, who sends a webhook. Returns the status of the answer."""
    body = BODIES[name]
    return (
        Client()
        .post("/v1/webhooks/payment", body, "application/json", HTTP_X_SIGNATURE=sign(body))
        .status_code
    )


def sweep_once():
    """Be the sweeper that sends messages."""
    return sweep(send_message)


def replay_charge():
    """Be the operator, who replays the charge."""
    return replay(Event.objects.get(provider_event_id="charge"))


def message_of_all():
    """Be the worker that gets one message with the keys of all events."""
    process(list(Event.objects.values_list("pk", flat=True)))


def message_that_takes_long():
    """Be the worker whose time is over after the first event of a message."""
    with override_settings(PAYMENT_WEBHOOKS_TASK_TIME=0):
        message_of_all()


class World:
    """The shop before and after a process dies, with its clock and its warehouse."""

    def __init__(self, clock, warehouse):
        self.clock, self.warehouse = clock, warehouse

    def begin(self, before):
        """Begin anew, with an order that is not paid, and come to where the journey begins."""
        forget_everything()
        self.warehouse.reset()
        OrderFactory(id="A1")
        for what, argument in before:
            if what == "rule":
                self.warehouse.add_rule(**argument)
            elif what == "time":
                self.clock.advance(argument)
            else:
                assert {"send": send, "message": message}[what](argument) in (200, None)

    def recover(self, journey, fate, are_messages_lost):
        """Do without the process that died."""
        if not are_messages_lost:
            # The one that it was at work with comes again, too: to somebody for whom nothing is due
            # yet.
            process(fate.published)
            process(list(Event.objects.values_list("pk", flat=True)))
        if not fate.answer and journey.again:
            journey.again()
        for name in journey.after:
            assert send(name) == 200
        play_to_the_end(self.clock)

    def state(self):
        """Return all that must be the same at the end, wherever the process died."""
        return {
            "events": dict(Event.objects.values_list("provider_event_id", "status")),
            "effects": dict(Counter(LedgerEntry.objects.values_list("kind", flat=True))),
            "left over": Event.objects.exclude(
                finished_at__isnull=False, due_at=None, enqueue_at=None
            ).count(),
            "told": len({call["key"] for call in self.warehouse.history()}),
        }


@pytest.fixture
def world(warehouse, monkeypatch, nudges):
    """The shop. The process that survives has no broker; the one that dies has."""
    yield World(Clock(monkeypatch), warehouse)
    forget_everything()


# ---- the journeys

# What is there before, what the process does that will die, who does it again if it gave no answer,
# what is sent after it, and what the events and the shop's effects are in the end. Most journeys
# tell the warehouse of one order.
Journey = namedtuple("Journey", "before act again after events effects told")


def journey(*before, act, again=None, after=(), events, effects=(), told=1):
    """Return a journey."""
    return Journey(before, act, again, after, events, dict(effects), told)


def does(function, *arguments):
    """Return a call of a function, to be made later."""
    return lambda: function(*arguments)


PAID = {"payment": 1}
REFUNDED = {"payment": 1, "refund": 1}
BOTH = {"charge": "processed", "refund": "processed"}
JOURNEYS = {
    "a webhook is received": journey(
        act=does(send, "charge"),
        again=does(send, "charge"),
        events={"charge": "processed"},
        effects=PAID,
    ),
    "a duplicate is received": journey(
        ("send", "charge"),
        act=does(send, "charge"),
        again=does(send, "charge"),
        events={"charge": "processed"},
        effects=PAID,
    ),
    "an event is paid and delivered": journey(
        ("send", "charge"),
        act=does(message, "charge"),
        events={"charge": "processed"},
        effects=PAID,
    ),
    "a second event says the same": journey(
        ("send", "charge"),
        ("message", "charge"),
        ("send", "charge_again"),
        act=does(message, "charge_again"),
        events={"charge": "processed", "charge_again": "duplicate"},
        effects=PAID,
    ),
    "nobody handles an event": journey(
        ("send", "unknown"), act=does(message, "unknown"), events={"unknown": "ignored"}, told=0
    ),
    "a refund waits": journey(
        ("send", "refund"),
        act=does(message, "refund"),
        after=["charge"],
        events=BOTH,
        effects=REFUNDED,
    ),
    "a charge releases a refund": journey(
        ("send", "refund"),
        ("message", "refund"),
        ("send", "charge"),
        act=does(message, "charge"),
        events=BOTH,
        effects=REFUNDED,
    ),
    "a refund that was released is applied": journey(
        ("send", "refund"),
        ("message", "refund"),
        ("send", "charge"),
        ("message", "charge"),
        act=does(message, "refund"),
        events=BOTH,
        effects=REFUNDED,
    ),
    "a refund has waited in vain": journey(
        ("send", "refund"),
        ("message", "refund"),
        ("time", 4 * DAY),
        act=does(message, "refund"),
        events={"refund": "failed"},
        told=0,
    ),
    "a delivery fails": journey(
        ("rule", {"status": 503}),
        ("send", "charge"),
        act=does(message, "charge"),
        events={"charge": "processed"},
        effects=PAID,
    ),
    "a delivery is tried again": journey(
        ("rule", {"status": 503}),
        ("send", "charge"),
        ("message", "charge"),
        ("time", 60),
        act=does(message, "charge"),
        events={"charge": "processed"},
        effects=PAID,
    ),
    "a delivery is given up": journey(
        ("rule", {"status": 422, "times": 100}),
        ("send", "charge"),
        act=does(message, "charge"),
        events={"charge": "failed"},
        effects=PAID,
    ),
    "a dead letter is replayed": journey(
        ("rule", {"status": 422}),
        ("send", "charge"),
        ("message", "charge"),
        act=replay_charge,
        again=replay_charge,
        events={"charge": "processed"},
        effects=PAID,
    ),
    "a message names many": journey(
        ("send", "refund"),
        ("send", "charge"),
        ("send", "unknown"),
        act=does(message_of_all),
        events={**BOTH, "unknown": "ignored"},
        effects=REFUNDED,
    ),
    "a message is handed back": journey(
        ("send", "charge"),
        ("send", "unknown"),
        ("send", "refund"),
        act=does(message_that_takes_long),
        events={**BOTH, "unknown": "ignored"},
        effects=REFUNDED,
    ),
    "what is due is swept": journey(
        ("send", "charge"),
        ("send", "refund"),
        ("time", 60),
        act=sweep_once,
        events=BOTH,
        effects=REFUNDED,
    ),
}
# A message that comes again, as from a broker that was not told that it was taken, finds the same
# row on each database.
LOST = {"messages-are-lost": True, "messages-come-again": False}
if connection.vendor != "sqlite":
    del LOST["messages-come-again"]
# Steps by which one sees that all of it is counted.
LANDMARKS = {
    "a webhook is received": ["enqueue", "publish", "answer"],
    "an event is paid and delivered": [
        "take",
        "claim",
        "handler",
        "confirm",
        "commit",
        "after commit",
        "deliver",
        "finish",
        "answer",
    ],
    "a refund waits": ["take", "claim", "roll back", "record", "reschedule", "answer"],
    "a charge releases a refund": [
        "commit",
        "after commit",
        "reschedule",
        "enqueue",
        "publish",
        "deliver",
        "answer",
    ],
    "a delivery fails": ["deliver", "record", "reschedule", "answer"],
    "a message names many": ["take", "claim", "commit", "after commit", "record", "answer"],
    "a message is handed back": ["take", "claim", "commit", "enqueue", "publish", "answer"],
    "a dead letter is replayed": ["enqueue", "publish", "answer"],
    "what is due is swept": ["publish", "answer"],
}


@pytest.mark.parametrize("are_messages_lost", list(LOST.values()), ids=list(LOST))
@pytest.mark.parametrize("name", list(JOURNEYS))
def test_a_kill_at_any_step_changes_nothing_in_the_end(world, name, are_messages_lost):
    journey = JOURNEYS[name]
    end = {
        "events": journey.events,
        "effects": journey.effects,
        "left over": 0,
        "told": journey.told,
    }
    world.begin(journey.before)
    steps = play(journey.act).steps
    assert set(LANDMARKS.get(name, [])) <= set(steps)

    for number, step in enumerate(steps):
        world.begin(journey.before)
        fate = play(journey.act, number)
        assert (fate.is_killed, fate.steps) == (True, steps[:number])
        if 200 in fate.answer:
            assert set(Event.objects.values_list("provider_event_id", flat=True)) >= {"charge"}
        world.recover(journey, fate, are_messages_lost)
        assert world.state() == end, "it was killed before the step %d, %s, of %s" % (
            number,
            step,
            steps,
        )
