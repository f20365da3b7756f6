"""An event's subject: an order, a payment, or both. Events that share one belong together."""

from __future__ import annotations

from contextlib import suppress
from functools import reduce
from operator import or_
from typing import Any, Iterable, Iterator
from urllib.parse import quote

from django.db.models import Q, QuerySet

from ..conf import get_provider, load, settings
from ..models import Event, digest
from ..receiving import BaseProvider

# How many of the newest events are searched for removed providers.
MAX_RECENT = 1000
# How many of the newest events without an effect are searched for other ids.
MAX_READ = 500


def list_keys(event: Event) -> dict[str, str]:
    """Return the keys of an event's order and payment, by column, as far as it has them.

    A blank key would match all events without one.
    """
    keys = {"order_key": event.order_key, "payment_key": event.payment_key}
    return {column: key for column, key in keys.items() if key}


def find_related(event: Event) -> QuerySet:
    """Return all events of an event's order or payment; none if it has neither."""
    # Each condition has its own index.
    known = [Q(**{column: key}) for column, key in list_keys(event).items()]
    return Event.objects.filter(reduce(or_, known)) if known else Event.objects.none()


def has_had(types: Iterable[str], event: Event) -> bool:
    """Return whether, for each type, another event of the same order or payment had its effect.

    A duplicate counts, too: its effect is that of another event.
    """
    others = find_related(event).exclude(pk=event.pk)
    done = others.filter(Q(idempotency_key__isnull=False) | Q(status=Event.DUPLICATE))
    return set(types) <= set(done.values_list("type", flat=True))


def find_order(event: Event) -> tuple[str, str] | None:
    """Return the id and key of the order of an event that names only its payment.

    Refunds and disputes often do. The payment's other events name the order, most often its charge.
    None if the event already has an order, or if none of the others names one.
    """
    if event.order_key or not event.payment_key:
        return None
    others = Event.objects.filter(payment_key=event.payment_key).exclude(order_key="")
    # Not first(), as a database may then scan the whole table in primary key order.
    found = min(others.values_list("pk", "order_id", "order_key"), default=None)
    return found and found[1:]


def learn_order(event: Event) -> None:
    """Store an event's order in its row if another event of its payment names it."""
    found = find_order(event)
    if found:
        order_id, order_key = found
        event.change(order_id=order_id, order_key=order_key)


# ---- what an operator searches for


def find_by_order(order_id: str) -> QuerySet:
    """Return the events of an order and its payments.

    They belong to several orders if several shops have this number.
    """
    shops = {str(getattr(provider, "shop", "")) for provider in list_providers()}
    keys = [digest(*filter(None, [shop]), order_id) for shop in {*shops, ""}]
    of_order = Q(order_key__in=keys)
    payments = set(Event.objects.filter(of_order).values_list("payment_key", flat=True)) - {""}
    return Event.objects.filter(of_order | Q(payment_key__in=sorted(payments)))


def find_by_payment(payment_id: str) -> QuerySet:
    """Return the events of a payment, from any provider."""
    keys = [digest(account, payment_id) for account in list_accounts()]
    return Event.objects.filter(payment_key__in=keys)


def find_by_event(event_id: str) -> QuerySet:
    """Return the events with an id, from any provider."""
    keys = [digest(account, event_id) for account in list_accounts()]
    return Event.objects.filter(dedup_key__in=keys)


def find_by_other_id(other_id: str) -> list[Event]:
    """Return the events with an id other than an order's or payment's, such as a refund's.

    No column has these ids. So these are the events whose effect is named after it, and those among
    the newest without an effect.
    """
    stages = {handler.stage for handler in list_handlers() if getattr(handler, "stage", "")}
    names = [f"{stage}:{account}:{other_id}" for stage in stages for account in list_accounts()]
    keys = [digest(name) for name in names]
    found = list(Event.objects.filter(idempotency_key__in=keys).defer("body", "confirmation"))
    without = Event.objects.filter(idempotency_key=None).order_by("-pk")[:MAX_READ]
    sent = other_id.encode("utf-8", "surrogatepass")
    named = [event for event in without if sent in bytes(event.body)]
    return found + [event for event in named if other_id in read_other_ids(event).values()]


def list_handlers() -> Iterator[Any]:
    """Yield the handler classes in the settings that can be loaded."""
    for path in settings.PAYMENT_WEBHOOKS_HANDLERS.values():
        with suppress(Exception):
            yield load(path)


# ---- an event's other ids


def read_other_ids(event: Event) -> dict[str, str]:
    """Return an event's ids other than its own, its order's and its payment's, by name.

    They come from the provider's fields: ``refund_id``, ``dispute_id``.
    """
    known = {None, "", event.order_id, event.payment_id, event.provider_event_id}
    with suppress(Exception):  # it can't be parsed, or its provider can't be loaded
        data = event.data.items()
        return {name: str(v) for name, v in data if name.endswith("_id") and v not in known}
    return {}


def find_dashboard(event: Event) -> str:
    """Return the URL of an event's payment in its provider's dashboard, or "" if unknown."""
    with suppress(Exception):  # its provider can't be loaded
        address: str = getattr(get_provider(event.provider), "dashboard", "")
        if event.payment_id and address:
            return address.format(payment_id=quote(event.payment_id, safe=""))
    return ""


def list_accounts() -> list[str]:
    """Return the accounts of all providers; for one that can't be loaded, most likely its name."""
    # A BACKEND need not be a provider: a system check reports it, and the search continues.
    accounts = [getattr(provider, "account", None) for provider in list_providers()]
    known = {account for account in accounts if isinstance(account, str)}
    return sorted(known | {*settings.PAYMENT_WEBHOOKS_PROVIDERS, *list_recent()})


def list_recent() -> set[str]:
    """Return the providers of the newest events, including those removed from the settings."""
    newest = Event.objects.order_by("-pk").values_list("provider", flat=True)
    return set(newest[:MAX_RECENT])


def list_providers() -> Iterator[BaseProvider]:
    """Yield the providers in the settings that can be loaded."""
    for name in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        # The system check reports what is wrong with the others.
        with suppress(Exception):
            yield get_provider(name)
