"""What an event is about: an order, a payment, or both. Events that share one belong together."""

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

# In how many of the newest events removed providers are looked for.
MAX_RECENT = 1000
# In how many of the newest events that came to no good end other ids are looked for.
MAX_READ = 500


def list_keys(event: Event) -> dict[str, str]:
    """Return the keys of an event's order and payment by their columns, those that it has.

    A blank key would find all events without one.
    """
    keys = {"order_key": event.order_key, "payment_key": event.payment_key}
    return {column: key for column, key in keys.items() if key}


def find_related(event: Event) -> QuerySet:
    """Return the events of an event's order or payment, itself among them; none if it has none."""
    # Each condition has an index of its own.
    known = [Q(**{column: key}) for column, key in list_keys(event).items()]
    return Event.objects.filter(reduce(or_, known)) if known else Event.objects.none()


def has_had(types: Iterable[str], event: Event) -> bool:
    """Return whether another event of each type, of the same order or payment, had its effect.

    So has one whose effect was had under another event's name.
    """
    others = find_related(event).exclude(pk=event.pk)
    done = others.filter(Q(idempotency_key__isnull=False) | Q(status=Event.DUPLICATE))
    return set(types) <= set(done.values_list("type", flat=True))


def find_order(event: Event) -> tuple[str, str] | None:
    """Return the id and the key of the order that an event has yet to learn.

    Refunds and disputes often name the payment alone: its other events tell the order, most often
    its charge. None if the event has an order already, and if none of them tells one.
    """
    if event.order_key or not event.payment_key:
        return None
    others = Event.objects.filter(payment_key=event.payment_key).exclude(order_key="")
    # Not by first(): a database may go through the whole table in the order of the primary key.
    found = min(others.values_list("pk", "order_id", "order_key"), default=None)
    return found and found[1:]


def learn_order(event: Event) -> None:
    """Write into an event's row which order it is about, if another event of its payment tells."""
    found = find_order(event)
    if found:
        order_id, order_key = found
        event.change(order_id=order_id, order_key=order_key)


# ---- what an operator searches for


def find_by_order(order_id: str) -> QuerySet:
    """Return the events of an order, and of its payments.

    They are of several orders if several shops have this number.
    """
    shops = {str(getattr(provider, "shop", "")) for provider in list_providers()}
    keys = [digest(*filter(None, [shop]), order_id) for shop in {*shops, ""}]
    of_order = Q(order_key__in=keys)
    payments = set(Event.objects.filter(of_order).values_list("payment_key", flat=True)) - {""}
    return Event.objects.filter(of_order | Q(payment_key__in=sorted(payments)))


def find_by_payment(payment_id: str) -> QuerySet:
    """Return the events of a payment, whichever provider's it is."""
    keys = [digest(account, payment_id) for account in list_accounts()]
    return Event.objects.filter(payment_key__in=keys)


def find_by_event(event_id: str) -> QuerySet:
    """Return the events that have an id, whichever provider's it is."""
    keys = [digest(account, event_id) for account in list_accounts()]
    return Event.objects.filter(dedup_key__in=keys)


def find_by_other_id(other_id: str) -> list[Event]:
    """Return the events that name an id beside their order and payment, such as a refund's.

    Those whose effect has that name, and of those without an effect some of the newest: no column
    has these ids.
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
    """Yield the classes of the handlers of the settings, those that can be loaded."""
    for path in settings.PAYMENT_WEBHOOKS_HANDLERS.values():
        with suppress(Exception):
            yield load(path)


# ---- what an event names beside


def read_other_ids(event: Event) -> dict[str, str]:
    """Return the ids that an event has beside its own, its order's and its payment's, by name.

    They are those that the provider's fields name so: ``refund_id``, ``dispute_id``.
    """
    known = {None, "", event.order_id, event.payment_id, event.provider_event_id}
    with suppress(Exception):  # it can't be parsed, or its provider can't be loaded
        data = event.data.items()
        return {name: str(v) for name, v in data if name.endswith("_id") and v not in known}
    return {}


def find_dashboard(event: Event) -> str:
    """Return the address of an event's payment in its provider's dashboard, "" if unknown."""
    with suppress(Exception):  # its provider can't be loaded
        address: str = getattr(get_provider(event.provider), "dashboard", "")
        if event.payment_id and address:
            return address.format(payment_id=quote(event.payment_id, safe=""))
    return ""


def list_accounts() -> list[str]:
    """Return the sources of ids: of a provider that can't be loaded, most likely its name."""
    # What a BACKEND names need not be a provider: a system check says so, and a search goes on.
    accounts = [getattr(provider, "account", None) for provider in list_providers()]
    known = {account for account in accounts if isinstance(account, str)}
    return sorted(known | {*settings.PAYMENT_WEBHOOKS_PROVIDERS, *list_recent()})


def list_recent() -> set[str]:
    """Return the providers of the newest events, also those that the settings no longer name."""
    newest = Event.objects.order_by("-pk").values_list("provider", flat=True)
    return set(newest[:MAX_RECENT])


def list_providers() -> Iterator[BaseProvider]:
    """Yield the providers of the settings, those that can be loaded."""
    for name in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        # What is wrong with another is an error of the system check.
        with suppress(Exception):
            yield get_provider(name)
