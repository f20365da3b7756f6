"""A view for load balancers: can this process store webhooks? Add it to the project's URLs."""

from __future__ import annotations

from typing import Any, Mapping

from django.db import connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..conf import get_provider, settings
from ..models import Event
from ..providers.directory import Directory
from .probes import Probe

TIMEOUT = 2  # seconds


def ask_database() -> None:
    """Update no row of the events' table. Raises an error if the database would refuse events."""
    try:
        # Refused by a database that is read-only, as one is after a failover, and before the table
        # is migrated.
        Event.objects.filter(pk=0).update(version=0)
    finally:
        connections.close_all()  # those of this thread


database = Probe(ask_database)


def has_secret(name: str) -> bool:
    """Return whether a provider can be loaded and has a usable secret."""
    try:
        provider: Any = get_provider(name)
        # The core does not demand this method of a provider of another kind.
        return not hasattr(provider, "keys") or bool(provider.keys())
    except Exception:
        return False


def are_usable(providers: Mapping[str, bool]) -> bool:
    """Return whether the providers of the settings are usable, and there is one.

    What a function knows is data: one of its merchants says nothing of this process.
    """
    if isinstance(settings.PAYMENT_WEBHOOKS_PROVIDERS, Directory):
        return True
    return bool(providers) and all(providers.values())


@never_cache
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Answer 200 if this process can verify and store webhooks, 503 if it can't.

    The body is a JSON object that says why. A broker that is away, workers that are gone and events
    that fail are no reason to send webhooks elsewhere: they are stored all the same. The command
    ``payment_webhooks_status`` reports them.
    """
    providers = {name: has_secret(name) for name in settings.PAYMENT_WEBHOOKS_PROVIDERS}
    has_database = database.is_answered(TIMEOUT)
    is_healthy = has_database and are_usable(providers)
    found = {
        "status": "ok" if is_healthy else "unavailable",
        "database": has_database,
        "providers": providers,
    }
    return JsonResponse(found, status=200 if is_healthy else 503)


# As the view of webhooks has it: no login, and no transaction that would wait for the database
# without a bound.
health.login_required = False
health._non_atomic_requests = set(connections)
