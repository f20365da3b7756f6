"""The settings and their defaults. A project overrides each as ``PAYMENT_WEBHOOKS_<NAME>``."""

from typing import Any

from appconf import AppConf
from django.conf import settings
from django.utils.module_loading import import_string


class PaymentWebhooksConf(AppConf):
    """The defaults. Every time is in seconds."""

    # Who may send, and which class handles each type of event.
    PROVIDERS: dict = {}
    HANDLERS: dict = {}
    # Modules that are imported once Django is ready, beside those that always are.
    EXTENSIONS: list = []
    # The largest body of a webhook, in bytes.
    MAX_BODY_SIZE = 1024 * 1024
    # What one webhook may consist of: levels and values of its JSON, and events.
    MAX_JSON_DEPTH = 31
    MAX_JSON_VALUES = 50000
    MAX_EVENTS = 1000
    # How long a process leaves the broker alone after it failed.
    PUBLISH_PAUSE = 5
    # How long an event is due, or waits, before it is looked at again: first the grace, then twice
    # as long each time, up to the ceiling.
    SWEEP_GRACE = 30
    SWEEP_CEILING = 60 * 60
    # How long a worker may keep an event, and how long an event may wait for what it requires.
    LEASE = 5 * 60
    WAIT_DEADLINE = 3 * 24 * 60 * 60
    # A failed attempt is repeated after base, 2 base, 4 base, ... but never later than the ceiling.
    MAX_ATTEMPTS = 25
    BACKOFF_BASE = 5
    BACKOFF_CEILING = 4 * 60 * 60

    class Meta:
        prefix = "payment_webhooks"


def get_provider(name: str) -> Any:
    """Return the provider that the settings call so. Raises ``KeyError`` if there is none."""
    options = dict(settings.PAYMENT_WEBHOOKS_PROVIDERS[name])
    return import_string(options.pop("BACKEND", "django_payment_webhooks.providers.Provider"))(
        name, **options
    )


def get_handler(event_type: str) -> Any:
    """Return the handler of a type of event, or None."""
    path = settings.PAYMENT_WEBHOOKS_HANDLERS.get(event_type)
    return import_string(path)() if path else None
