"""What would lose or mistake money, each by webhooks as real providers write them: none of it does.

They come by the address of their preset, signed, and the shop's own handlers apply them.
"""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timezone

import pytest
from django.core.checks import run_checks
from shop.models import LedgerEntry, Refund

from django_payment_webhooks.models import Event
from django_payment_webhooks.testing import post_body

from .factories import OrderFactory

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "a-secret-that-no-other-provider-has"
HEX_SECRET = "ab" * 32
NOW = 1764000000  # a moment in November 2025


@pytest.fixture(autouse=True)
def providers(settings):
    """Have the presets that these tests play."""
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "stripe": {"PRESET": "stripe", "SECRETS": [SECRET]},
        "adyen": {"PRESET": "adyen", "SECRETS": [HEX_SECRET]},
        "razorpay": {"PRESET": "razorpay", "SECRETS": [SECRET + "-2"]},
        "tbank": {"PRESET": "tbank", "SECRETS": ["14-characters!"]},
    }
    return settings.PAYMENT_WEBHOOKS_PROVIDERS


def send(provider, document, status=200):
    """Have a provider sign and post a document."""
    answer = post_body(json.dumps(document).encode(), provider)
    assert answer.status_code == status, answer.content


def stripe(type, event_id=None, **fields):
    """Return an event of Stripe's about an object with these fields."""
    about = {"currency": "eur", **fields}
    event_id = event_id or f"evt_{type}"
    return {"id": event_id, "type": type, "created": NOW, "data": {"object": about}}


def stripe_payment(order_id="A1", amount=1000, **fields):
    """Return Stripe's event of a payment."""
    fields = {"id": "pi_1", "metadata": {"order_id": order_id}, **fields}
    return stripe("payment_intent.succeeded", amount=amount, amount_received=amount, **fields)


def stripe_refund(type="refund.created", status="succeeded", amount=400):
    """Return Stripe's event of a refund, which names its payment alone."""
    about = {"id": "re_1", "payment_intent": "pi_1", "status": status, "amount": amount}
    return stripe(type, **about)


def adyen(code, success, reference="psp_1", original=None):
    """Return a webhook of Adyen's with one item."""
    item = {
        "pspReference": reference,
        "originalReference": original,
        "merchantAccountCode": "Shop",
        "merchantReference": "A1",
        "amount": {"value": 1000, "currency": "EUR"},
        "eventCode": code,
        "success": success,
        "eventDate": "2026-11-23T10:00:00+00:00",
    }
    return {"live": "true", "notificationItems": [{"NotificationRequestItem": item}]}


def tbank(status, success=True):
    """Return a notification of T-Bank's about one payment of 10.00 RUB."""
    order = {"OrderId": "R1", "PaymentId": 13660, "Amount": 1000}
    return {"TerminalKey": "Shop", "Success": success, "Status": status, **order}


def statuses():
    """Return the type and the status of each event, in the order of their receipt."""
    return list(Event.objects.order_by("pk").values_list("type", "status"))


def sums():
    """Return what is in the ledger."""
    return sorted(LedgerEntry.objects.values_list("kind", "order_id", "amount"))


def test_states_that_share_the_id_of_their_object_are_events_of_their_own(run_due, shop_state):
    OrderFactory(id="R1", currency="RUB")
    send("tbank", tbank("AUTHORIZED"))
    send("tbank", tbank("CONFIRMED"))
    run_due()
    assert statuses() == [("AUTHORIZED", "ignored"), ("charge.succeeded", "processed")]
    assert shop_state()["ledger"] == [("payment", "R1")]


def test_a_try_that_was_refused_does_not_hide_the_one_that_was_authorised(
    order, run_due, shop_state
):
    send("adyen", adyen("AUTHORISATION", "false"))
    send("adyen", adyen("AUTHORISATION", "true"))
    run_due()
    assert statuses() == [("charge.failed", "ignored"), ("charge.succeeded", "processed")]
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_two_endpoints_of_one_account_have_each_effect_once(order, providers, run_due):
    account = {"PRESET": "stripe", "ACCOUNT": "stripe", "SECRETS": [SECRET]}
    providers.update({"stripe": account, "stripe-2025": dict(account)})
    for name in ("stripe", "stripe-2025"):
        send(name, stripe_payment())
        send(name, stripe_refund())
    run_due()
    assert statuses() == [("charge.succeeded", "processed"), ("refund.created", "processed")]
    assert sums() == [("payment", "A1", 10), ("refund", "A1", 4)]


def test_two_names_with_one_secret_are_refused_unless_they_are_one_account(providers):
    providers["stripe-2025"] = dict(providers["stripe"])
    assert "payment_webhooks.E026" in [message.id for message in run_checks()]


def test_the_same_order_number_of_two_shops_is_paid_in_both(order, providers, run_due):
    providers["south"] = {"PRESET": "stripe", "SECRETS": [SECRET + "-3"], "SHOP": "south"}
    send("stripe", stripe_payment())
    send("south", stripe_payment())
    run_due()
    assert statuses() == [("charge.succeeded", "processed")] * 2


@pytest.mark.parametrize(
    ("provider", "document"),
    [
        ("adyen", adyen("REFUND", "false", "psp_2", "psp_1")),
        ("stripe", stripe_refund(status="pending")),
        ("stripe", stripe("charge.refunded", id="ch_1", payment_intent="pi_1")),
        ("razorpay", {"event": "refund.failed", "created_at": NOW, "payload": {}}),
    ],
)
def test_what_only_looks_like_a_refund_is_none(provider, document, order, run_due):
    send("stripe", stripe_payment())
    send(provider, document)
    run_due()
    assert not Refund.objects.exists()
    assert ("refund", "A1") not in [entry[:2] for entry in sums()]


def test_a_session_that_is_not_paid_pays_nothing_and_does_not_keep_the_payment_from_it(
    order, run_due, shop_state
):
    session = {"id": "cs_1", "amount_total": 1000, "metadata": {"order_id": "A1"}}
    send("stripe", stripe("checkout.session.completed", payment_status="unpaid", **session))
    run_due()
    assert shop_state()["ledger"] == []
    paid = {"payment_status": "paid", **session}
    send("stripe", stripe("checkout.session.async_payment_succeeded", **paid))
    run_due()
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_a_refund_is_of_its_own_sum_and_not_of_the_payments(run_due):
    OrderFactory(id="R1", amount="5000.00", currency="INR")
    payment = {"id": "pay_1", "amount": 500000, "currency": "INR", "notes": {"order_id": "R1"}}
    refund = {"id": "rfnd_1", "payment_id": "pay_1", "amount": 50000, "currency": "INR"}
    paid = {"payment": {"entity": payment}}
    back = {**paid, "refund": {"entity": {**refund, "status": "processed"}}}
    send("razorpay", {"event": "payment.captured", "created_at": NOW, "payload": paid})
    send("razorpay", {"event": "refund.processed", "created_at": NOW, "payload": back})
    run_due()
    assert sums() == [("payment", "R1", 5000), ("refund", "R1", 500)]


@pytest.mark.parametrize(
    ("price", "currency", "amount", "paid"),
    [
        ("10.00", "EUR", 999, "9.99 EUR"),
        ("10.00", "USD", 1000, "10.00 EUR"),
        ("10", "JPY", 1000, "1000 JPY"),
        ("10.00", "KWD", 1000, "1.000 KWD"),
    ],
)
def test_another_sum_than_the_price_pays_nothing_and_says_both(
    price, currency, amount, paid, transactional_db, run_due
):
    OrderFactory(id="A1", amount=price, currency=currency)
    send("stripe", stripe_payment(amount=amount, currency=paid[-3:].lower()))
    run_due()
    event = Event.objects.get()
    assert (event.status, sums()) == ("failed", [])
    assert f"{paid} was paid" in event.error
    assert currency in event.error


@pytest.mark.parametrize(
    ("currency", "price"), [("JPY", "1000"), ("KWD", "1"), ("ISK", "10"), ("EUR", "10")]
)
def test_the_price_in_a_currency_of_any_exponent_is_paid(
    currency, price, transactional_db, run_due, shop_state
):
    OrderFactory(id="A1", amount=price, currency=currency)
    send("stripe", stripe_payment(amount=1000, currency=currency.lower()))
    run_due()
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_partial_refunds_never_add_up_to_more_than_was_paid(order, run_due):
    send("stripe", stripe_payment())
    for number, amount in enumerate((400, 600, 1)):
        refund = stripe_refund(amount=amount)
        refund["id"] = f"evt_{number}"
        refund["data"]["object"]["id"] = f"re_{number}"
        send("stripe", refund)
    run_due()
    assert sums() == [("payment", "A1", 10), ("refund", "A1", 4), ("refund", "A1", 6)]
    assert statuses()[-1] == ("refund.created", "failed")


@pytest.mark.parametrize("refund_first", [True, False])
def test_a_refund_that_names_only_the_payment_finds_its_order(refund_first, order, run_due):
    documents = [stripe_refund(), stripe_payment()]
    for document in documents if refund_first else reversed(documents):
        send("stripe", document)
        run_due()
    assert sums() == [("payment", "A1", 10), ("refund", "A1", 4)]
    assert set(Event.objects.values_list("order_id", flat=True)) == {"A1"}


def test_an_order_id_that_is_none_refuses_no_event_that_does_not_need_it(transactional_db):
    for number, odd in enumerate((False, 1234.5, {"a": 1}, " ", "x" * 300)):
        document = stripe("customer.created", f"evt_{number}", metadata={"order_id": odd})
        send("stripe", document)
    assert Event.objects.filter(status="received", order_id="").count() == 5


@pytest.mark.parametrize("created", ["soon", True, 20180124, 10**18])
def test_a_time_that_can_not_be_read_is_reported_and_is_not_now(created, transactional_db):
    document = {**stripe_payment(), "created": created}
    send("stripe", document, status=400)
    event = Event.objects.get()
    assert (event.status, event.type) == ("failed", "")
    assert "created" in event.error


@pytest.mark.parametrize(
    ("time_format", "created"),
    [("ms", "1764000000000"), ("ms", 1764000000000), ("auto", "2025-11-24T16:00:00Z")],
)
def test_a_time_is_what_the_provider_means_by_it(time_format, created, transactional_db, providers):
    providers["other"] = {"SECRETS": [SECRET + "-4"], "TIME_FORMAT": time_format}
    document = {"event_id": "evt_1", "type": "charge.succeeded", "created_at": created}
    send("other", {**document, "data": {"order_id": "A1"}})
    assert Event.objects.get().occurred_at == datetime.fromtimestamp(NOW, timezone.utc)


def test_a_redelivery_that_counts_its_attempts_is_no_conflict(order, received_signals, run_due):
    send("stripe", {**stripe_payment(), "pending_webhooks": 2})
    send("stripe", {**stripe_payment(), "pending_webhooks": 1})
    charge = {"id": "ch_1", "payment_intent": "pi_1", "captured": True, "amount_captured": 1000}
    send("stripe", stripe("charge.succeeded", metadata={"order_id": "A1"}, amount=1000, **charge))
    run_due()
    assert statuses() == [("charge.succeeded", "processed"), ("charge.succeeded", "duplicate")]
    assert not received_signals.of("event_conflicted")


STAGES = [
    stripe_payment(),
    stripe_refund("refund.created", "pending"),
    stripe_refund("refund.updated", "succeeded"),
    stripe_refund("refund.failed", "failed"),
]


@pytest.mark.parametrize("order_of_arrival", list(itertools.permutations(range(len(STAGES)))))
def test_a_refund_that_failed_in_the_end_is_none_in_every_order_of_arrival(
    order_of_arrival, order, run_due, shop_state
):
    for number in order_of_arrival:
        send("stripe", STAGES[number])
        run_due()
    assert not Refund.objects.exists()
    assert shop_state()["orders"] == {"A1": "paid"}
    assert "failed" not in Event.objects.values_list("status", flat=True)
