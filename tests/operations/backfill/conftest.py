"""A provider that has lists, and a shop that has been away."""

import time

import pytest

from django_payment_webhooks.operations.backfill import paging
from django_payment_webhooks.operations.backfill.periods import Period

from .stripe_server import StripeServer

SECRET = "whsec_of_stripe_of_the_made_shop"


@pytest.fixture
def stripe(settings):
    """A provider called ``stripe``, which is asked over HTTP."""
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        **settings.PAYMENT_WEBHOOKS_PROVIDERS,
        "stripe": {"PRESET": "stripe", "SECRETS": [SECRET]},
    }
    settings.PAYMENT_WEBHOOKS_SOURCES = {"stripe": "shop.sources.Stripe"}
    server = StripeServer()
    settings.STRIPE_URL = server.url
    yield server
    server.close()


@pytest.fixture
def pauses(monkeypatch):
    """Return the pauses in seconds, which take no time."""
    pauses = []
    monkeypatch.setattr(paging, "sleep", pauses.append)
    return pauses


@pytest.fixture
def period():
    """Return the last three days."""
    now = time.time()
    return Period(now - 3 * 24 * 60 * 60, now)
