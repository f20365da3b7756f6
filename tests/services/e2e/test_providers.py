"""Providers as the world has them, against a real server and a real worker: what is paid, what is
not, and the order of a refund that names only its payment.
"""

import json
import uuid

import pytest
from processes import manage, wait_until
from senders import Adyen, Stripe, TBank

from .senders import API, CloudPayments, Mollie, MollieClassic, PayPal, Razorpay, YooKassa
from .stacks import PATIENCE, Shop

# What the API of those who are asked says, by its path.
OBJECTS = {}
ASKED = [YooKassa(OBJECTS), MollieClassic(OBJECTS)]
SENDERS = [Stripe(), Adyen(), PayPal(), CloudPayments(), TBank(), Mollie(), Razorpay()]
REFUNDING = [*SENDERS, ASKED[0]]
PAID, REFUNDED = ("charge", "processed"), ("refund", "processed")


def name(sender):
    """Return what a test with a sender is called."""
    return sender.name


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The shop, on SQLite and the embedded broker, which knows all these providers."""
    shop = Shop(str(tmp_path_factory.mktemp("shop")), None, None)
    options = {sender.name: sender.options for sender in [*SENDERS, *ASKED]}
    with API(OBJECTS) as api:
        shop.env.update(
            PRESETS=json.dumps(options),
            YOOKASSA_URL=api.base_url + "/yookassa",
            MOLLIE_URL=api.base_url + "/mollie",
        )
        try:
            shop.start()
            manage(shop.env, "create_orders", "--count", "40", "--prefix", "r", "--currency", "RUB")
            yield shop
        finally:
            shop.stop()


class Purchase:
    """One order of the shop, and its payment at a provider."""

    def __init__(self, shop, sender):
        self.shop, self.sender = shop, sender
        number = shop.next_order()
        self.order = number if sender.currency == "EUR" else "r" + number[1:]
        self.payment = "pay_" + uuid.uuid4().hex[:12]

    def post(self, document, **options):
        """Post a webhook, and return the status of the answer."""
        return self.sender.post(self.shop.server.base_url, document, **options).status

    def charge(self, **options):
        """Return that the order was paid."""
        return self.sender.charge(self.order, self.payment, **options)

    def refund(self, amount="4.00"):
        """Return that some of it went back."""
        return self.sender.refund(self.payment, "re_" + self.payment, amount)

    def events(self):
        """Return the type, the status and the error of each event of the payment."""
        return self.shop.database.execute(
            "SELECT type, status, error FROM payment_webhooks_event WHERE payment_id = '%s'"
            % self.payment
        )

    def statuses(self):
        """Return the status of each event of the payment, by its type: charge or refund."""
        return sorted((kind.split(".")[0], status) for kind, status, _ in self.events())

    def wait_for(self, *statuses):
        """Wait until the payment's events have these statuses."""
        try:
            wait_until(lambda: self.statuses() == sorted(statuses), PATIENCE, 0.05)
        except TimeoutError:
            raise AssertionError("not %s: %s" % (statuses, self.events())) from None

    def effects(self):
        """Return how often each kind of effect happened to the order."""
        return self.shop.effects(self.order)


@pytest.mark.parametrize("sender", [*SENDERS, *ASKED], ids=name)
def test_a_genuine_webhook_pays_an_order_of_the_right_amount_once(shop, sender):
    purchase = Purchase(shop, sender)
    charge = purchase.charge()
    assert purchase.post(charge) == 200
    purchase.wait_for(PAID)
    assert purchase.post(charge) == 200
    # What says no more than "look" is an event each time, and the second has nothing to do.
    again = [("charge", "duplicate")] if sender.name == "mollie_classic" else []
    purchase.wait_for(PAID, *again)
    assert purchase.effects() == {"payment": 1}


@pytest.mark.parametrize("sender", [*SENDERS, *ASKED], ids=name)
def test_a_wrong_amount_pays_nothing_and_both_sums_are_in_the_reason(shop, sender):
    purchase = Purchase(shop, sender)
    assert purchase.post(purchase.charge(amount="9.99")) == 200
    purchase.wait_for(("charge", "failed"))
    reason = f"9.99 {sender.currency} was paid, but the price is 10.00 {sender.currency}"
    assert reason in purchase.events()[0][2]
    assert purchase.effects() == {}


@pytest.mark.parametrize("sender", SENDERS, ids=name)
def test_a_forged_webhook_leaves_no_trace(shop, sender):
    purchase = Purchase(shop, sender)
    secret = sender.secret[:-1] + ("0" if sender.secret[-1] != "0" else "1")
    assert purchase.post(purchase.charge(), secret=secret) == 401
    assert list(purchase.events()) == []


@pytest.mark.parametrize(
    ("sender", "status"), [(ASKED[0], "pending"), (ASKED[1], "open")], ids=["yookassa", "mollie"]
)
def test_a_webhook_that_proves_nothing_pays_nothing_unless_the_provider_says_so(
    shop, sender, status
):
    purchase = Purchase(shop, sender)
    assert purchase.post(purchase.charge(status=status)) == 200
    wait_until(lambda: [row[1] for row in purchase.events()] == ["ignored"], PATIENCE, 0.05)
    assert purchase.effects() == {}


@pytest.mark.parametrize("sender", REFUNDING, ids=name)
def test_a_refund_that_names_only_the_payment_finds_its_order_after_the_charge(shop, sender):
    purchase = Purchase(shop, sender)
    assert purchase.post(purchase.charge()) == 200
    purchase.wait_for(PAID)
    assert purchase.post(purchase.refund()) == 200
    purchase.wait_for(PAID, REFUNDED)
    assert purchase.effects() == {"payment": 1, "refund": 1}


@pytest.mark.parametrize("sender", REFUNDING, ids=name)
def test_a_refund_that_names_only_the_payment_finds_its_order_before_the_charge(shop, sender):
    purchase = Purchase(shop, sender)
    assert purchase.post(purchase.refund()) == 200
    purchase.wait_for(("refund", "waiting"))
    assert purchase.post(purchase.charge()) == 200
    purchase.wait_for(PAID, REFUNDED)
    assert purchase.effects() == {"payment": 1, "refund": 1}
