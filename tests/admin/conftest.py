"""The users who look at events, and an event that can't be read."""

import pytest
from django.contrib.auth.models import Permission, User

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event
from django_payment_webhooks.receiving import receive_events

from .browsing import HAS_VIEW_PERMISSION, log_in


@pytest.fixture
def operator(db):
    """Return the browser of a superuser."""
    return log_in("root", is_staff=True, is_superuser=True)


@pytest.fixture
def reader(db):
    """Return the browser of a user who may only look at events."""
    browser = log_in("reader", is_staff=True)
    # Before Django 2.1 who may look is who may change.
    codename = "view_event" if HAS_VIEW_PERMISSION else "change_event"
    User.objects.get().user_permissions.add(Permission.objects.get(codename=codename))
    return browser


@pytest.fixture
def unparsed(db):
    """An event whose body can't be parsed, and not even decoded."""
    receive_events(get_provider("default"), {}, b"\xff\x00<b>{not JSON", "by-test")
    return Event.objects.get(type="")
