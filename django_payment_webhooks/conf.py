"""The settings and their defaults. A project overrides each as ``PAYMENT_WEBHOOKS_<NAME>``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from appconf import AppConf
from django.conf import settings as settings
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from .providers.money import Money as Money
    from .receiving import BaseProvider


class PaymentWebhooksConf(AppConf):
    """The defaults. All times are in seconds. A plug-in defines the settings that only it needs."""

    # Who may send, and which class handles each type of event.
    PROVIDERS: dict[str, Any] = {}
    HANDLERS: dict[str, str] = {}
    # Further modules to import once Django is ready.
    EXTENSIONS: list[str] = []
    # The class that sends the messages, and the one that decides whether to try again.
    PUBLISHER = "django_payment_webhooks.publisher.ThreadPublisher"
    RETRY_POLICY = "django_payment_webhooks.retrying.RetryPolicy"
    # How long a stored event is left to its message, and how long a worker may keep it.
    SWEEP_GRACE = 30
    LEASE = 5 * 60

    class Meta:
        prefix = "payment_webhooks"


@lru_cache(maxsize=None)
def load(path: str) -> Any:
    """Return the process's only instance of a plug-in's class."""
    return import_string(path)()


@lru_cache(maxsize=1000)
def get_provider(name: str) -> BaseProvider:
    """Return the provider of this name. Raises ``KeyError`` if the settings have none."""
    options = dict(settings.PAYMENT_WEBHOOKS_PROVIDERS[name])
    backend = import_string(options.pop("BACKEND", "django_payment_webhooks.providers.make"))
    return backend(name, **options)
