"""Test mode: its events have no effect in a live shop, nor real money in a test shop."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.dry_run import dry_run
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.providers import Provider, find_preset
from django_payment_webhooks.testing import post_event

from ..factories import SECRET
from .presets.test_every_preset import NAMES

# What an event of each preset that has a test mode says of it: in test mode, and live.
SAID = {
    "fastspring": ({"live": False}, {"live": True}),
    "lemonsqueezy": (
        {"data": {"attributes": {"test_mode": True}}},
        {"data": {"attributes": {"test_mode": False}}},
    ),
    "mercadopago": ({"live_mode": False}, {"live_mode": True}),
    "mollie": (
        {"_embedded": {"entity": {"mode": "test"}}},
        {"_embedded": {"entity": {"mode": "live"}}},
    ),
    "mollie_classic": ({"mode": "test"}, {"mode": "live"}),
    "omise": ({"livemode": False}, {"livemode": True}),
    "paystack": ({"data": {"domain": "test"}}, {"data": {"domain": "live"}}),
    "shopify": ({"test": True}, {"test": False}),
    "stripe": ({"livemode": False}, {"livemode": True}),
    "yookassa": ({"object": {"test": True}}, {"object": {"test": False}}),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_knows_its_test_mode_by_what_its_provider_sends(name):
    provider = find_preset(name)(name)
    assert bool(provider.test_mode) == (name in SAID)
    if name in SAID:
        test, live = SAID[name]
        assert [provider.is_test(payload) for payload in (test, live, {})] == [True, False, None]


def test_a_provider_without_test_mode_never_says():
    assert Provider("made").is_test({"livemode": False}) is None


@pytest.mark.parametrize("condition", ["livemode", "=false"])
def test_what_is_no_condition_is_an_error(condition):
    with pytest.raises(ImproperlyConfigured, match="no condition: write it as livemode=false"):
        Provider("made", TEST_MODE=condition)


@pytest.fixture
def pay(settings, order, run_due):
    """Have the order A1 paid in a mode, in a shop of a mode: the event, as it ends."""

    def pay(livemode, **options):
        provider = {"SECRETS": [SECRET], "TEST_MODE": "livemode=false", **options}
        settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": provider}
        said = {} if livemode is None else {"livemode": livemode}
        assert post_event("charge.succeeded", order_id="A1", **said).status_code == 200
        run_due()
        return Event.objects.latest("pk")

    return pay


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("livemode", "options", "counts"),
    [
        (True, {}, True),
        (False, {}, False),
        (None, {}, True),
        (True, {"LIVE": False}, False),
        (False, {"LIVE": False}, True),
        (None, {"LIVE": False}, True),
        (True, {"LIVE": None}, True),
        (False, {"LIVE": None}, True),
    ],
)
def test_an_event_counts_in_a_shop_of_its_own_mode(pay, shop_state, livemode, options, counts):
    event = pay(livemode, **options)
    assert event.status == ("processed" if counts else "ignored")
    assert shop_state()["ledger"] == ([("payment", "A1")] if counts else [])


@pytest.mark.django_db(transaction=True)
def test_an_event_of_test_mode_says_why_and_claims_nothing(pay, settings, run_due, shop_state):
    event = pay(False)
    reason = "It is an event of test mode, and LIVE of the provider default is True."
    assert (event.error, event.idempotency_key) == (reason, None)
    assert dry_run(event).explanation == reason
    assert pay(True).status == "processed"
    assert shop_state()["ledger"] == [("payment", "A1")]


@pytest.mark.django_db(transaction=True)
def test_an_event_of_test_mode_can_be_replayed_once_the_shop_takes_it(pay, settings, run_due):
    event = pay(False)
    (options,) = settings.PAYMENT_WEBHOOKS_PROVIDERS.values()
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": dict(options, LIVE=None)}
    assert replay(event)
    run_due()
    event.refresh_from_db()
    assert event.status == "processed"
