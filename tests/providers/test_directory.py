"""Providers that a function knows, such as the merchants of a marketplace."""

import json

import pytest

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers import directory

from ..factories import SECRET, PayloadFactory, sign

asked = []
merchants = {}


def find(name):
    """Return the options of a merchant."""
    asked.append(name)
    return merchants.get(name)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    now = [1000.0]
    monkeypatch.setattr(directory.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture(autouse=True)
def installed(settings, clock):
    """Name the function in the settings, with one merchant."""
    asked.clear()
    merchants.clear()
    merchants["acme"] = {"SECRETS": [SECRET]}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = f"{__name__}.find"


@pytest.fixture
def send(post):
    """Send a webhook of a merchant."""

    def send(name, secret=SECRET):
        body = json.dumps(PayloadFactory()).encode()
        return post(body, name, HTTP_X_SIGNATURE=sign(body, secret))

    return send


def test_a_webhook_of_a_merchant_is_accepted_and_of_an_unknown_one_is_404(transactional_db, send):
    assert send("acme").status_code == 200
    assert send("acme", "the-secret-of-somebody-else").status_code == 401
    assert send("nobody").status_code == 404
    assert [event.provider for event in Event.objects.all()] == ["acme"]


def test_a_flood_asks_once_a_minute(transactional_db, send, clock):
    for _ in range(5):
        send("acme", "forged-secret-of-16")
        send("nobody")
    assert asked == ["acme", "nobody"]
    clock[0] += 61
    send("acme", "forged-secret-of-16")
    assert asked == ["acme", "nobody", "acme"]


def test_a_new_merchant_and_a_new_secret_are_known_after_a_minute(transactional_db, send, clock):
    assert send("new").status_code == 404
    assert send("acme").status_code == 200
    merchants["new"] = {"SECRETS": ["the-secret-of-a-new-merchant"]}
    merchants["acme"] = {"SECRETS": ["the-rotated-secret-of-acme"]}
    clock[0] += 61
    assert send("new", "the-secret-of-a-new-merchant").status_code == 200
    assert send("acme", "the-rotated-secret-of-acme").status_code == 200
    assert send("acme").status_code == 401


def test_made_up_names_are_not_kept_for_ever(settings):
    for number in range(directory.MAX_KEPT + 50):
        assert f"x{number}" not in settings.PAYMENT_WEBHOOKS_PROVIDERS
    assert len(settings.PAYMENT_WEBHOOKS_PROVIDERS.known) == directory.MAX_KEPT


def test_what_was_asked_for_and_found_is_listed(settings):
    providers = settings.PAYMENT_WEBHOOKS_PROVIDERS
    assert (list(providers), len(providers)) == ([], 0)
    assert get_provider("acme").account == "acme"
    assert "nobody" not in providers
    assert list(providers) == ["acme"]
    with pytest.raises(KeyError):
        get_provider("nobody")


def test_a_name_of_nothing_is_reported_by_check(settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = "shop.no.such"
    assert settings.PAYMENT_WEBHOOKS_PROVIDERS == {}
