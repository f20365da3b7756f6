"""What operators do with a browser, without one."""

import re
from html import unescape

import django
from django.contrib.auth.models import User
from django.test import Client
from django.utils.html import strip_tags

from django_payment_webhooks.models import Event

LIST = "/admin/payment_webhooks/event/"
TOKEN = re.compile(r"<input[^>]*csrfmiddlewaretoken[^>]*>")
HAS_VIEW_PERMISSION = django.VERSION >= (2, 1)


def log_in(name, browser=None, **rights):
    """Return the browser of a new user. Without a password, as hashing one takes a second."""
    browser = browser or Client()
    browser.force_login(User.objects.create(username=name, **rights))
    return browser


def page_of(event):
    """Return the address of an event's page."""
    return "%s%d/change/" % (LIST, event.pk)


def read_payload(browser, event):
    """Open an event's page with its payload, and return its HTML."""
    return read(browser, page_of(event), payload=1)


def found(answer):
    """Return which events a list shows."""
    assert answer.status_code == 200
    return {event.provider_event_id for event in answer.context["cl"].result_list}


def read(browser, url, **parameters):
    """Open a page, and return its HTML without its token, which is random: it can be any text."""
    answer = browser.get(url, parameters)
    assert answer.status_code == 200
    return TOKEN.sub("", answer.content.decode())


def row_of(event):
    """Return an event's row as plain values."""
    return dict(
        Event.objects.filter(pk=event.pk).values().get(),
        body=bytes(Event.objects.get(pk=event.pk).body),
    )


def operate(browser, action, *events, **answers):
    """Select events, choose an action, and confirm it. Returns the page that follows the
    confirmation.
    """
    selected = {"action": action, "_selected_action": [event.pk for event in events], "index": 0}
    asked = browser.post(LIST, selected)
    assert asked.status_code == 200
    fields = asked.context["form"].initial
    return browser.post(LIST, dict(selected, confirmed=1, **dict(fields, **answers)), follow=True)


def replay(browser, *events, **answers):
    """Replay events. Returns the page that follows."""
    return operate(browser, "replay_events", *events, **answers)


def messages_of(answer):
    """Return the messages of a page: pairs of a level and a sentence."""
    return [
        (message.level_tag, unescape(strip_tags(str(message))))
        for message in answer.context["messages"]
    ]
