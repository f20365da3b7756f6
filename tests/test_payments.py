"""The abstract handlers: what they require, what they call an effect, what a host must write."""

import inspect
from decimal import Decimal

import pytest
from shop.models import LedgerEntry

from django_payment_webhooks.exceptions import NotReady, PermanentFailure
from django_payment_webhooks.handlers import Handler
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.payments import (
    DisputeLostHandler,
    DisputeOpenedHandler,
    DisputeWonHandler,
    OrderPaidHandler,
    RefundCreatedHandler,
    RefundFailedHandler,
    RefundPendingHandler,
    RefundTotalHandler,
    require,
)
from django_payment_webhooks.providers.money import Money
from django_payment_webhooks.publisher import process
from django_payment_webhooks.testing import assert_one_outcome

from .doubles import ShopOrder, handle
from .factories import SECRET, EventFactory
from .rows import read

# Each class, what the host writes, and what it requires.
CHARGE = ("charge.succeeded",)
BUSINESS = [
    (OrderPaidHandler, "order_paid", {"get_price"}, ()),
    (RefundPendingHandler, "refund_pending", set(), CHARGE),
    (RefundCreatedHandler, "refund_created", {"get_refundable"}, CHARGE),
    (RefundTotalHandler, "refund_total", {"get_price"}, CHARGE),
    (RefundFailedHandler, "refund_failed", set(), CHARGE),
    (DisputeOpenedHandler, "dispute_opened", set(), CHARGE),
    (DisputeWonHandler, "dispute_won", set(), CHARGE),
    (DisputeLostHandler, "dispute_lost", set(), CHARGE),
]
IDS = [parent.__name__ for parent, *_ in BUSINESS]
STAGES = [
    (RefundPendingHandler, "refund", "refund-pending"),
    (RefundCreatedHandler, "refund", "refund"),
    (RefundFailedHandler, "refund", "refund-failed"),
    (DisputeOpenedHandler, "dispute", "dispute"),
    (DisputeWonHandler, "dispute", "dispute-won"),
    (DisputeLostHandler, "dispute", "dispute-lost"),
]


def concrete(parent, **members):
    """Return a handler that is complete."""
    missing = parent.__abstractmethods__ - set(vars(ShopOrder))
    hooks = {name: lambda self, event, *_: None for name in missing}
    return type("Concrete", (ShopOrder, parent), dict(hooks, **members))()


def event_about(**data):
    """Return an event that is not stored."""
    order_id = data.pop("order_id", "A1")
    return EventFactory.build(order_id=order_id, data=data)


def test_apply_is_all_that_must_be_written():
    assert Handler.__abstractmethods__ == {"apply"}
    with pytest.raises(TypeError):
        Handler()
    assert concrete(Handler).requires == ()


@pytest.mark.parametrize("parent, hook, money, requires", BUSINESS, ids=IDS)
def test_a_business_handler_knows_all_but_the_order_its_price_and_its_effect(
    parent, hook, money, requires
):
    assert parent.__abstractmethods__ == {"get_order", hook, *money}
    assert inspect.isabstract(parent)
    assert parent.requires == requires


@pytest.mark.django_db
@pytest.mark.parametrize("parent, hook, money, requires", BUSINESS, ids=IDS)
def test_a_business_handler_passes_on_the_order_and_returns_what_its_hook_did(
    parent, hook, money, requires
):
    asked = []

    def write(self, event, order, *total):
        asked.append((event, order, *total))
        return "what it returned"

    handler = concrete(parent, **{hook: write})
    event = event_about(refund_id="re_1", dispute_id="dp_1")
    assert handler.apply(event) == "what it returned"
    total = [(Decimal(10), "EUR")] if parent is RefundTotalHandler else []
    assert asked == [(event, "A1", *total)]


def test_an_effect_is_the_events_own_unless_the_handler_says_otherwise():
    handler = concrete(Handler)
    first, second = EventFactory.build(), EventFactory.build()
    assert handler.idempotency_key(first) == "event:" + first.dedup_key
    assert handler.idempotency_key(first) != handler.idempotency_key(second)


def test_an_order_is_paid_once_whichever_event_says_so():
    handler = concrete(OrderPaidHandler)
    name = "order-paid:" + digest("A1")
    assert handler.idempotency_key(event_about(order_id="A1")) == name
    other = EventFactory.build(order_id="A1", provider="timed", data={"charge_id": "another"})
    assert handler.idempotency_key(other) == name


def test_two_shops_with_one_order_number_are_paid_each():
    handler = concrete(OrderPaidHandler)
    shops = [EventFactory.build(order_key=digest(shop, "1001")) for shop in ("north", "south")]
    assert handler.idempotency_key(shops[0]) != handler.idempotency_key(shops[1])


@pytest.mark.parametrize("parent, kind, stage", STAGES)
def test_a_refund_or_a_dispute_has_its_accounts_name_for_it(parent, kind, stage):
    handler, field = concrete(parent), kind + "_id"
    assert handler.idempotency_key(event_about(**{field: "x_1"})) == stage + ":default:x_1"
    assert handler.idempotency_key(event_about(**{field: 17})) == stage + ":default:17"
    assert handler.idempotency_key(event_about(**{field: 0})) == stage + ":default:0"
    other = EventFactory.build(provider="timed", data={field: "x_1"})
    assert handler.idempotency_key(other) == stage + ":timed:x_1"


def test_two_endpoints_of_one_account_have_one_name_for_a_refund(settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        name: {"SECRETS": [SECRET], "ACCOUNT": "ours"} for name in ("old", "new")
    }
    handler = concrete(RefundCreatedHandler)
    for name in ("old", "new"):
        event = EventFactory.build(provider=name, data={"refund_id": "re_1"})
        assert handler.idempotency_key(event) == "refund:ours:re_1"


@pytest.mark.parametrize("parent, kind, stage", STAGES)
@pytest.mark.parametrize("missing", [{}, {"it": None}, {"it": ""}, {"it": "x_1", "order_id": ""}])
def test_an_event_without_its_id_or_its_order_is_a_permanent_failure(parent, kind, stage, missing):
    field = kind + "_id"
    data = {field if name == "it" else name: value for name, value in missing.items()}
    with pytest.raises(PermanentFailure, match="has no (order_id|%s)" % field):
        concrete(parent).idempotency_key(event_about(**data))


def test_a_payment_without_an_order_is_a_permanent_failure():
    with pytest.raises(PermanentFailure, match="has no order_id"):
        concrete(OrderPaidHandler).idempotency_key(event_about(order_id=""))


def test_a_payment_that_names_only_itself_waits_for_the_event_that_names_its_order():
    event = EventFactory.build(order_id="", payment_id="pay_1")
    with pytest.raises(NotReady, match="It names only the payment pay_1"):
        concrete(OrderPaidHandler).idempotency_key(event)


def test_a_required_field_is_returned_as_text():
    event = event_about(refund_id=17, charge_id="ch_1")
    assert [require(event, name) for name in ("refund_id", "charge_id", "order_id")] == [
        "17",
        "ch_1",
        "A1",
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parent, hook, money, requires", BUSINESS, ids=IDS)
def test_an_event_that_lacks_what_names_its_effect_fails_and_changes_nothing(
    parent, hook, money, requires, settings, received_signals, published
):
    complete = type("Complete", (ShopOrder, parent), {})
    handle(settings, "some.type", parent=complete, **{hook: lambda self, *_: 1 / 0})
    event = EventFactory(type="some.type", order_id="")
    process([event.pk])
    row = Event.objects.get()
    assert (row.status, row.attempts, row.due_at, row.idempotency_key) == ("failed", 1, None, None)
    assert "The event has no order_id, and no payment_id" in row.error
    assert received_signals.names() == ["event_failed"]
    assert published() == []


@pytest.mark.django_db(transaction=True)
def test_hooks_that_are_not_written_do_nothing(settings, received_signals):
    handle(settings)
    event = EventFactory()
    process([event.pk])
    row = Event.objects.get()
    assert (row.status, row.attempts) == ("processed", 1)
    assert received_signals.names() == ["event_processed"]


def wait(self, *_):
    """Do nothing, as nobody asks for the first value. A coroutine would be the same, and warn."""
    yield


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parent, hook, money, requires", BUSINESS, ids=IDS)
def test_a_hook_that_is_a_generator_fails_and_is_not_taken_for_done(
    parent, hook, money, requires, settings, received_signals
):
    members = {hook: wait, "is_ready": lambda self, event: True}
    handle(settings, "some.type", parent=type("Complete", (ShopOrder, parent), {}), **members)
    event = EventFactory(type="some.type", data={"refund_id": "re_1", "dispute_id": "dp_1"})
    process([event.pk])
    row = Event.objects.get()
    assert (row.status, row.attempts, row.idempotency_key) == ("failed", 1, None)
    assert "async" in row.error
    assert received_signals.names() == ["event_failed"]


# ---- the price


@pytest.fixture
def paid_orders(settings):
    """Return the orders that a handler marked as paid: it asks 10.00 EUR for each."""
    paid = []
    members = {
        "get_order": lambda self, event: event.order_id,
        "get_price": lambda self, order: (Decimal(10), "EUR"),
        "order_paid": lambda self, event, order: paid.append(order),
    }
    handle(settings, parent=OrderPaidHandler, **members)
    return paid


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "data", [{"amount": "10.00"}, {"amount": 10}, {"amount": "10.0"}, {"currency": "eur"}]
)
def test_an_order_is_paid_by_its_price_however_that_is_written(data, paid_orders):
    event = EventFactory(data=data)
    process([event.pk])
    assert (read(event).status, paid_orders) == ("processed", ["A1"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"amount": "9.99"}, "9.99 EUR was paid, but the price is 10.00 EUR."),
        ({"amount": "10.01"}, "10.01 EUR was paid, but the price is 10.00 EUR."),
        ({"amount": "0"}, "0.00 EUR was paid, but the price is 10.00 EUR."),
        ({"currency": "USD"}, "10.00 USD was paid, but the price is 10.00 EUR."),
        ({"amount": "10", "currency": "JPY"}, "10 JPY was paid, but the price is 10.00 EUR."),
        ({"amount": None, "currency": None}, "The event has no amount."),
        ({"currency": None}, "the currency is missing"),
        ({"amount": None}, "The event has no amount."),
        ({"amount": "ten"}, "is not a number that is written out"),
        ({"amount": "-10.00"}, "is negative"),
    ],
)
def test_another_sum_than_the_price_fails_with_both_and_pays_nothing(
    data, reason, paid_orders, published
):
    event = EventFactory(data=data)
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, row.idempotency_key) == ("failed", 1, None)
    assert reason in row.error
    assert (paid_orders, published()) == ([], [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("price", [None, "10.00", (10.1, "EUR"), ("ten", "EUR"), (10, "")])
def test_a_price_that_is_no_sum_of_money_fails_and_names_the_method(price, paid_orders, settings):
    members = {"get_price": lambda self, order: price, "order_paid": lambda self, *_: 1 / 0}
    handle(settings, parent=type("Complete", (ShopOrder, OrderPaidHandler), {}), **members)
    event = EventFactory()
    process([event.pk])
    assert read(event).status == "failed"
    assert "get_price() did not return an amount of money" in read(event).error


@pytest.mark.django_db(transaction=True)
def test_an_order_that_is_not_there_yet_is_waited_for_and_paid_when_it_is(
    paid_orders, settings, pass_time
):
    there = []
    members = {
        "get_order": lambda self, event: event.order_id if there else None,
        "get_price": lambda self, order: (Decimal(10), "EUR"),
        "order_paid": lambda self, event, order: paid_orders.append(order),
    }
    handle(settings, parent=OrderPaidHandler, **members)
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, read(event).error) == ("waiting", "There is no order A1 yet.")
    assert (read(event).idempotency_key, paid_orders) == (None, [])
    there.append("A1")
    pass_time(60)
    process([event.pk])
    assert (read(event).status, paid_orders) == ("processed", ["A1"])


@pytest.mark.django_db(transaction=True)
def test_an_order_that_never_comes_fails_in_the_end_and_says_so(settings, pass_time):
    members = {"get_order": lambda self, event: None, "order_paid": lambda self, *_: 1 / 0}
    handle(settings, parent=type("Complete", (ShopOrder, OrderPaidHandler), {}), **members)
    event = EventFactory()
    process([event.pk])
    pass_time(settings.PAYMENT_WEBHOOKS_WAIT_DEADLINE + 1)
    process([event.pk])
    assert read(event).status == "failed"
    assert read(event).error == "There is no order A1 yet. That did not come in time."


# ---- a refund's and a dispute's stages


class Recorded(ShopOrder):
    """A host that notes in the ledger what became of each refund and dispute of the order A1."""

    def get_price(self, order):
        return Decimal(10), "EUR"

    def get_refundable(self, order):
        amounts = LedgerEntry.objects.filter(kind="refund").values_list("amount", flat=True)
        return Decimal(10) - sum(amounts), "EUR"

    def order_paid(self, event, order):
        self.note("paid", order)

    def refund_pending(self, event, order):
        self.note("pending", event.data["refund_id"])

    def refund_created(self, event, order):
        LedgerEntry.objects.filter(reference=event.data["refund_id"]).delete()
        self.note("refund", event.data["refund_id"], event.money.amount)

    def refund_failed(self, event, order):
        LedgerEntry.objects.filter(reference=event.data["refund_id"]).delete()

    def refund_total(self, event, order, total):
        known = LedgerEntry.objects.select_for_update().filter(kind="total").first()
        if known is None:
            self.note("total", order, total.amount)
        elif known.amount < total.amount:
            LedgerEntry.objects.filter(pk=known.pk).update(amount=total.amount)

    def dispute_opened(self, event, order):
        self.note("open", event.data["dispute_id"])

    def dispute_won(self, event, order):
        self.end("won", event.data["dispute_id"])

    def dispute_lost(self, event, order):
        self.end("lost", event.data["dispute_id"])

    def end(self, kind, reference):
        LedgerEntry.objects.filter(reference=reference).delete()
        self.note(kind, reference)

    def note(self, kind, reference, amount=None):
        LedgerEntry.objects.create(kind=kind, order_id="A1", reference=reference, amount=amount)


HANDLERS = {
    "charge.succeeded": OrderPaidHandler,
    "refund.pending": RefundPendingHandler,
    "refund.created": RefundCreatedHandler,
    "refund.failed": RefundFailedHandler,
    "dispute.opened": DisputeOpenedHandler,
    "dispute.won": DisputeWonHandler,
    "dispute.lost": DisputeLostHandler,
}


@pytest.fixture
def recorded(settings, order):
    """Handlers for all canonical types. Returns what the host knows at the end."""
    for name, parent in HANDLERS.items():
        handle(settings, name, parent=type("Complete", (Recorded, parent), {}))

    def know():
        rows = LedgerEntry.objects.order_by("kind", "reference")
        return [
            (kind, reference, None if amount is None else str(amount))
            for kind, reference, amount in rows.values_list("kind", "reference", "amount")
        ]

    return know


def event_of(event_type, at=0, **data):
    """Return what the provider sends about the order A1, or only about its payment."""
    moment = f"2026-11-23T10:00:{at:02}Z"
    return {"type": event_type, "occurred_at": moment, "charge_id": "pay_1", **data}


CHARGED = event_of("charge.succeeded", order_id="A1")
PENDING, REFUNDED, REFUND_FAILED = (
    event_of(name, refund_id="re_1", amount="4.00")
    for name in ("refund.pending", "refund.created", "refund.failed")
)
OPENED = event_of("dispute.opened", at=1, dispute_id="dp_1")
WON = event_of("dispute.won", at=2, dispute_id="dp_1")
LOST = event_of("dispute.lost", at=3, dispute_id="dp_1")


@pytest.mark.long
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("events", "end"),
    [
        ([PENDING], [("pending", "re_1", None)]),
        ([PENDING, REFUNDED], [("refund", "re_1", "4.00")]),
        ([PENDING, REFUNDED, REFUND_FAILED], []),
        ([PENDING, REFUND_FAILED], []),
        ([REFUNDED, REFUND_FAILED], []),
        ([OPENED], [("open", "dp_1", None)]),
        ([OPENED, WON], [("won", "dp_1", None)]),
        ([OPENED, LOST], [("lost", "dp_1", None)]),
        ([OPENED, WON, LOST], [("lost", "dp_1", None)]),
        ([OPENED, LOST, {**WON, "occurred_at": "2026-11-23T10:00:04Z"}], [("won", "dp_1", None)]),
        ([LOST], [("lost", "dp_1", None)]),
    ],
    ids=lambda events: " ".join(e["type"] for e in events) if "type" in str(events) else "",
)
def test_the_last_stage_of_a_refund_or_a_dispute_counts_in_every_order_of_arrival(
    events, end, recorded
):
    """None of them names the order: the charge of their payment tells it."""
    paid = [("paid", "A1", None)]
    assert assert_one_outcome([CHARGED, *events], recorded) == sorted([*end, *paid])


@pytest.mark.long
@pytest.mark.django_db
def test_partial_refunds_are_recorded_once_each_in_every_order_of_arrival(recorded):
    refunds = [
        event_of("refund.created", refund_id=f"re_{number}", amount=amount)
        for number, amount in enumerate(["2.50", "7.50"])
    ]
    again = {**refunds[0], "provider_event_id": "evt_again"}
    end = assert_one_outcome([CHARGED, *refunds, again], recorded)
    assert end == [("paid", "A1", None), ("refund", "re_0", "2.50"), ("refund", "re_1", "7.50")]


@pytest.mark.django_db(transaction=True)
def test_partial_refunds_never_add_up_to_more_than_was_paid(recorded):
    process([EventFactory(payment_id="pay_1").pk])
    amounts = ["6.00", "4.01", "4.00", "0.01"]
    refunds = [
        EventFactory(
            type="refund.created",
            order_id="",
            payment_id="pay_1",
            data={"refund_id": f"re_{number}", "amount": amount},
        )
        for number, amount in enumerate(amounts)
    ]
    process([refund.pk for refund in refunds])
    rows = [read(refund) for refund in refunds]
    assert [row.status for row in rows] == ["processed", "failed", "processed", "failed"]
    assert "More would be refunded than was paid: 4.01 EUR, but 4.00 EUR is left." in rows[1].error
    assert [row.order_id for row in rows] == ["A1"] * 4
    assert [row[1:] for row in recorded()][1:] == [("re_0", "6.00"), ("re_2", "4.00")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"currency": "USD"}, "10.00 USD, but 10.00 EUR is left."),
        ({"amount": "0.00"}, "The refund is of 0.00 EUR, which is nothing."),
        ({"amount": None, "currency": None}, "The event has no amount."),
    ],
)
def test_a_refund_of_another_currency_or_of_nothing_is_not_recorded(data, reason, recorded):
    process([EventFactory().pk])
    refund = EventFactory(type="refund.created", data={"refund_id": "re_1", **data})
    process([refund.pk])
    assert (read(refund).status, len(recorded())) == ("failed", 1)
    assert reason in read(refund).error


# ---- what was refunded so far


@pytest.mark.long
@pytest.mark.django_db
def test_a_sum_of_all_refunds_is_recorded_in_every_order_of_arrival(recorded, settings):
    handle(settings, "refund.created", parent=type("Complete", (Recorded, RefundTotalHandler), {}))
    totals = [event_of("refund.created", amount=amount) for amount in ("2.50", "6.00", "10.00")]
    end = assert_one_outcome([CHARGED, *totals], recorded)
    assert end == [("paid", "A1", None), ("total", "A1", "10.00")]


class FromList(Recorded, RefundTotalHandler):
    """A host whose provider sends the list of all refunds each time."""

    def read_total(self, event):
        amounts = [Decimal(refund["amount"]) for refund in event.payload["data"]["refunds"]]
        return Money(sum(amounts, Decimal(0)), "EUR")

    def refund_total(self, event, order, total):
        for refund in event.payload["data"]["refunds"]:
            if not LedgerEntry.objects.filter(reference=refund["id"]).exists():
                self.note("refund", refund["id"], refund["amount"])


@pytest.mark.long
@pytest.mark.django_db
def test_a_list_of_all_refunds_is_recorded_in_every_order_of_arrival(recorded, settings):
    handle(settings, "refund.created", parent=FromList)
    refunds = [{"id": f"re_{number}", "amount": "2.00"} for number in range(3)]
    lists = [
        event_of("refund.created", **{"data.refunds": refunds[:length]}) for length in (1, 2, 3)
    ]
    end = assert_one_outcome([CHARGED, *lists], recorded)
    assert end[1:] == [("refund", refund["id"], "2.00") for refund in refunds]


@pytest.mark.django_db(transaction=True)
def test_a_total_beyond_what_was_paid_fails_with_both_sums(recorded, settings):
    handle(settings, "refund.created", parent=type("Complete", (Recorded, RefundTotalHandler), {}))
    process([EventFactory().pk])
    refund = EventFactory(type="refund.created", data={"amount": "10.01"})
    process([refund.pk])
    assert read(refund).status == "failed"
    assert "10.01 EUR would be refunded, but 10.00 EUR was paid." in read(refund).error
    assert len(recorded()) == 1
