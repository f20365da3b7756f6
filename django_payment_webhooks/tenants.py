"""Where the events are: in one place, or in one for each tenant.

A project that keeps each tenant's rows in a schema of its own names a class that knows them. The
name of the tenant travels with each message, and the sweeper goes through all of them.
"""

from __future__ import annotations

import abc
from contextlib import nullcontext
from typing import Any, ContextManager, Iterable

from appconf import AppConf
from django.core.exceptions import ImproperlyConfigured

from .conf import load, settings


class TenantsConf(AppConf):
    """The class that knows the tenants."""

    TENANTS = "django_payment_webhooks.tenants.NoTenants"

    class Meta:
        prefix = "payment_webhooks"


class Tenants(abc.ABC):
    """The tenants of a project, each known by a name that is not empty."""

    @abc.abstractmethod
    def current(self) -> str:
        """Return the name of the tenant whose rows are read and written now; "" if it is none's."""

    @abc.abstractmethod
    def enter(self, name: str) -> ContextManager[Any]:
        """Return a context manager within which the rows of a tenant are read and written.

        Afterwards it is as it was before. Raises an error if there is no such tenant.
        """

    @abc.abstractmethod
    def all(self) -> Iterable[str]:
        """Return the names of all tenants that have events."""


class NoTenants(Tenants):
    """All events are in one place."""

    def current(self) -> str:
        """Return the name that stands for no tenant."""
        return ""

    def enter(self, name: str) -> ContextManager[Any]:
        """Refuse: whoever sent this name knows tenants. Raises ``ImproperlyConfigured``."""
        raise ImproperlyConfigured(
            f"A message is for the tenant {name!r}, and PAYMENT_WEBHOOKS_TENANTS names none in this"
            " process. Start it with the settings of the process that sent the message."
        )

    def all(self) -> Iterable[str]:
        """Return the one place that there is."""
        return [""]


def get_tenants() -> Tenants:
    """Return the tenants that the settings name."""
    tenants: Tenants = load(settings.PAYMENT_WEBHOOKS_TENANTS)
    return tenants


def enter(name: str) -> ContextManager[Any]:
    """Return a context manager within which the rows of a tenant, "" for none, are at hand."""
    return get_tenants().enter(name) if name else nullcontext()
