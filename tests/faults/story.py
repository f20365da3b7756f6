"""What two providers tell about some orders, what somebody else forges, and what must come of it.

Everything is drawn from one random generator. What must come of it is written from the promises,
not from the shop's code: it is what the audit compares with.
"""

import json
import time
from decimal import Decimal
from typing import NamedTuple

from processes import PATH, SECRET, make_event, sign

SECRETS = {"default": SECRET, "timed": "the shared secret of the partner who signs the time"}
PATHS = {"default": PATH, "timed": PATH + "/timed"}
HOUR = 3600  # seconds: what a wrong clock is wrong by

# What can happen to an order, and how often. What is slow ends by a deadline, or by the last of
# many attempts.
PLOTS = {"usual": 75, "unpaid": 9, "unknown": 5, "rejected": 4, "orphan": 4, "unheard": 3}
SLOW = {"orphan", "unheard"}


class Event(NamedTuple):
    """An event as its provider sends it."""

    provider: str
    event_id: str
    type: str
    order_id: str
    data: dict
    body: bytes

    @property
    def key(self):
        """What makes it one event."""
        return self.provider, self.event_id

    def headers(self, clock=0, secret=None):
        """Return the signature of the body, made by a clock that is wrong by some seconds."""
        secret = SECRETS[self.provider] if secret is None else secret
        if self.provider == "default":
            return {"X-Signature": sign(self.body, secret)}
        timestamp = str(int(time.time() + clock)).encode()
        return {
            "X-Signature": "t=%s,v1=%s"
            % (timestamp.decode(), sign(timestamp + b"." + self.body, secret))
        }

    def contradicted(self):
        """Return an event of the same id that says something else."""
        body = json.dumps(
            dict(json.loads(self.body.decode()), comment="not what was said before")
        ).encode()
        return self._replace(body=body)


def tell(provider, event_id, event_type, order_id, amount, **data):
    """Return an event."""
    document = make_event(event_type, order_id, event_id, amount="%.2f" % amount, **data)
    return Event(
        provider, event_id, event_type, order_id, document["data"], json.dumps(document).encode()
    )


# Whoever does not know the secret, or sends again what he has recorded: the headers of what must be
# answered 401.
FORGERIES = {
    "signed with a guessed secret": lambda event: event.headers(
        secret="what a forger takes for the secret"
    ),
    "signed with an empty secret": lambda event: event.headers(secret=""),
    "signed with the other provider's secret": lambda event: event.headers(
        secret=SECRETS["timed" if event.provider == "default" else "default"]
    ),
    "not signed": lambda event: {"X-Signature": ""},
    "with the signature of another body": lambda event: event._replace(
        body=event.body + b" "
    ).headers(),
    "recorded an hour ago": lambda event: event._replace(provider="timed").headers(clock=-HOUR),
    "signed an hour ahead": lambda event: event._replace(provider="timed").headers(clock=HOUR),
}


class Order:
    """An order, all that is sent about it, and how the warehouse answers for it."""

    def __init__(self, number, random, plots):
        self.id, self.random = "f%d" % number, random
        self.amount = Decimal(random.randrange(1000, 50000)) / 100
        self.plot = random.choices(plots, [PLOTS[plot] for plot in plots])[0]
        self.exists = self.plot != "unknown"
        # A status that the warehouse answers always, or None for one that listens.
        self.warehouse = {"rejected": 422, "unheard": 503}.get(self.plot)
        self.events, self.forged = [], []
        self.write()

    def chance(self, percent):
        """Return True with a probability."""
        return self.random.random() * 100 < percent

    def provider(self):
        """Return one of the providers."""
        return self.random.choice(sorted(SECRETS))

    def tell(self, event_type, amount, provider=None, **data):
        """Add an event."""
        event_id = "evt_%s_%d" % (self.id, len(self.events))
        event = tell(provider or self.provider(), event_id, event_type, self.id, amount, **data)
        self.events.append(event)
        return event

    def write(self):
        """Write the story of the order."""
        if self.plot == "unpaid":
            if self.chance(30):
                self.tell("charge.succeeded", self.amount + 1, charge_id="ch_" + self.id)
        elif self.plot != "orphan":
            self.tell_of_charges()
        if self.plot not in ("unpaid", "unknown"):
            self.tell_of_refunds()
            if self.chance(25) or self.plot == "orphan":
                self.repeat(self.tell("dispute.opened", self.amount, dispute_id="dp_" + self.id))
        if self.chance(8):
            self.tell("customer.updated", 0)
        for number in range(
            self.random.randint(2, 4) if self.plot == "unpaid" else int(self.chance(15))
        ):
            self.forge(number)

    def tell_of_charges(self):
        """Say that the order was paid; sometimes twice, sometimes again with too little."""
        charge = self.tell("charge.succeeded", self.amount, charge_id="ch_" + self.id)
        if self.chance(30):
            again = tell(
                self.provider(),
                charge.event_id,
                charge.type,
                self.id,
                self.amount,
                charge_id="again" + self.id,
            )
            if again.provider == charge.provider:
                again = self.tell(
                    charge.type, self.amount, again.provider, charge_id="again_" + self.id
                )
            else:
                self.events.append(again)  # the same id, but of another provider
        if self.chance(7):
            self.tell("charge.succeeded", self.amount / 2, charge_id="half_" + self.id)

    def tell_of_refunds(self):
        """Tell of refunds that are no more than the order in all, and sometimes of one that is
        more.
        """
        for number in range(self.random.randint(0, 3) or int(self.plot == "orphan")):
            refund_id = "re_%s_%d" % (self.id, number)
            self.repeat(self.tell("refund.created", self.amount // 3, refund_id=refund_id))
        if self.chance(5):
            self.tell("refund.created", self.amount + 1, refund_id="re_%s_all" % self.id)

    def repeat(self, event):
        """Sometimes tell the same with another event."""
        if self.chance(20):
            more = {
                name: value
                for name, value in event.data.items()
                if name.endswith("_id") and name != "order_id"
            }
            self.tell(event.type, Decimal(event.data["amount"]), event.provider, **more)

    def forge(self, number):
        """Let someone claim that the order was paid."""
        forgery = self.random.choice(sorted(FORGERIES))
        provider = "timed" if "hour" in forgery else self.provider()
        event_id = "forged_%s_%d" % (self.id, number)
        event = tell(
            provider,
            event_id,
            "charge.succeeded",
            self.id,
            self.amount,
            charge_id="forged_" + self.id,
        )
        self.forged.append((event, forgery))


class Effect(NamedTuple):
    """Something that happens to an order once, whatever the number of events that tell of it, or
    never.
    """

    kind: str
    order: Order
    events: list
    happens: bool
    # How the one event ends that has the effect; how all of them may end if it never happens.
    ends: set

    @property
    def amount(self):
        """The sum in the shop's tables, None for what has none."""
        return None if self.kind == "dispute" else Decimal(self.events[0].data["amount"])

    @property
    def references(self):
        """What the ledger may call it."""
        name = {"payment": "charge_id", "refund": "refund_id", "dispute": "dispute_id"}[self.kind]
        return {event.data[name] for event in self.events}


def expect(order):
    """Return the effects that the events of an order have, or must not have."""
    charges = [event for event in order.events if event.type == "charge.succeeded"]
    right = [
        event for event in charges if order.exists and Decimal(event.data["amount"]) == order.amount
    ]
    is_paid = bool(right)
    effects = [
        Effect("payment", order, right, True, {"failed" if order.warehouse else "processed"})
    ] * is_paid
    # What is wrong about a second charge is only seen if it comes first.
    effects += [
        Effect("payment", order, [event], False, {"failed", "duplicate"} if is_paid else {"failed"})
        for event in charges
        if event not in right
    ]
    groups = {}
    for event in order.events:
        name = event.data.get("refund_id") or event.data.get("dispute_id")
        if name:
            groups.setdefault((event.provider, name), []).append(event)
    for events in groups.values():
        kind = "refund" if "refund_id" in events[0].data else "dispute"
        happens = is_paid and (
            kind == "dispute" or Decimal(events[0].data["amount"]) <= order.amount
        )
        effects.append(Effect(kind, order, events, happens, {"processed" if happens else "failed"}))
    unknown = [event for event in order.events if event.type == "customer.updated"]
    return effects + [Effect("nothing", order, [event], False, {"ignored"}) for event in unknown]


class Delivery(NamedTuple):
    """A webhook to send: an event, and how many seconds after the start."""

    at: float
    event: Event
    # One of FORGERIES, or nothing if it is genuine.
    forgery: str = ""
    # The id was accepted before with something else.
    contradicts: bool = False


def write_story(random, count, seconds, slow_until):
    """Return some orders, and ``count`` deliveries or a few more that tell about them, in any
    order, repeated at will.

    Orders with a slow end begin in the first ``slow_until`` seconds only, so that they have come to
    it in time.
    """
    orders, deliveries = [], []
    while len(deliveries) < count:
        begin = random.uniform(0, seconds * 0.9)
        plots = [plot for plot in PLOTS if begin <= slow_until or plot not in SLOW]
        order = Order(len(orders) + 1, random, plots)
        orders.append(order)
        for event in order.events:
            at = begin + random.uniform(0, min(5, seconds / 10))
            deliveries.append(Delivery(at, event))
            while random.random() < 0.35:  # once more, at the same moment or later
                deliveries.append(Delivery(at + random.choice([0, 0, 0.1, 3]), event))
        for event, forgery in order.forged:
            deliveries.append(Delivery(begin + random.uniform(0, 3), event, forgery))
    return orders, deliveries
