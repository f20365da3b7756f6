"""The code on the pages about missed webhooks works as it stands."""

import sys
import time
from types import ModuleType

import pytest
from celery import current_app

from django_payment_webhooks import testing
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.backfill.periods import make_period
from django_payment_webhooks.operations.backfill.reconciliation import Reconciliation
from django_payment_webhooks.operations.backfill.signals import webhooks_missed

from ...factories import OrderFactory
from ...test_docs import evaluate, read_blocks
from .stripe_server import make_event, make_payment

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "missed-webhooks.md"


@pytest.fixture(scope="module")
def page():
    """Return the modules of the page, by their names.

    Run once: each run adds its task to every Celery app that is still to come.
    """
    modules = {}
    with pytest.MonkeyPatch.context() as patched:
        for block in read_blocks("howto", PAGE):
            if block.caption.startswith("shop/"):
                name = block.caption[: -len(".py")].replace("/", ".")
                module = modules[name] = ModuleType(name)
                patched.setitem(sys.modules, name, module)
                exec(block.text, vars(module))
        yield modules
    webhooks_missed.disconnect(modules["shop.alarms"].report_missed)
    current_app.tasks.pop(modules["shop.tasks"].find_missed_webhooks.name)


@pytest.fixture
def shown(page, stripe, settings):
    """Return the modules of the page, by their names; they ask the server of the tests."""
    settings.STRIPE_API_KEY = "rk_of_a_reader"
    page["shop.sources"].API = stripe.url
    return page


# Both are for later than Django 6.1: mailers that a host names, and ADMINS without names, which
# Django 1.11 does not take.
@pytest.mark.filterwarnings("ignore:Django 2028 will not have a default mailer")
@pytest.mark.filterwarnings("ignore:Using .name, address. pairs")
def test_a_task_of_the_page_finds_what_was_missed_and_mails_it(shown, stripe, settings, mailoutbox):
    settings.ADMINS = [("Admin", "admin@example.com")]
    found = evaluate(PAGE, "settings for a periodic backfill")["CELERY_BEAT_SCHEDULE"]
    (entry,) = found.values()
    assert entry["task"] == shown["shop.tasks"].find_missed_webhooks.name
    OrderFactory(id="A1")
    OrderFactory(id="A2")
    stripe.page_size = 1
    stripe.events = [make_event(number, time.time() - 3600 - number) for number in (1, 2)]
    shown["shop.tasks"].find_missed_webhooks()
    testing.run_due()
    assert [event.status for event in Event.objects.all()] == ["processed"] * 2
    (mail,) = mailoutbox
    assert "The webhook address missed events of stripe" in mail.subject
    assert mail.body == "2 of 2 events, orders A1, A2"


def test_the_source_of_the_page_lists_payments(shown, stripe):
    stripe.payments = [make_payment(1, time.time() - 3600)]
    (difference,) = Reconciliation("stripe", make_period(time.time() - 24 * 60 * 60))
    assert (difference.kind, difference.payment_id, difference.there) == (
        "not_here",
        "pi_1",
        "10.00 EUR",
    )


def test_the_settings_of_the_page_name_what_is_there(shown, settings):
    (block,) = [each for each in read_blocks("howto", PAGE) if "for backfills" in each.caption]
    variables = {"INSTALLED_APPS": []}
    exec(block.text, variables)
    assert set(variables["INSTALLED_APPS"]) <= set(settings.INSTALLED_APPS)
    assert variables["PAYMENT_WEBHOOKS_SOURCES"] == settings.PAYMENT_WEBHOOKS_SOURCES
