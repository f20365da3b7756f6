"""Sources: the host's code that reads a provider's lists of events and payments."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Mapping, NamedTuple, Sequence

from appconf import AppConf
from django.utils.module_loading import import_string

from ...conf import settings
from ...providers.spelling import suggest
from ...retrying import describe


class SourcesConf(AppConf):
    """The dotted path of each provider's source, by the provider's name."""

    SOURCES: dict[str, str] = {}

    class Meta:
        prefix = "payment_webhooks"


class SourceError(Exception):
    """A provider's list can't be read. The message says why, and what to do."""


class NoSourceError(SourceError):
    """The provider has no source, so nothing was started."""


class Page(NamedTuple):
    """A part of a provider's list.

    ``items`` are the page's events or payments. ``next_cursor`` is a string for fetching the next
    page at any later time; "" on the last page.
    """

    items: Sequence[Any]
    next_cursor: str = ""


class RawEvent(NamedTuple):
    """An event as a webhook would carry it: ``body``, and the ``headers`` that have fields.

    ``body`` is bytes, text, or a document that becomes JSON. A source can return just the body if
    no field comes in a header.
    """

    body: Any
    headers: Mapping[str, str] = {}


class Payment(NamedTuple):
    """A payment in a provider's list.

    ``payment_id`` is its id in webhooks; ``amount`` is in major units (``10.00``), a Decimal, an
    int or the text of a number; ``currency`` is an ISO 4217 code; ``order_id`` is "" if the
    provider does not know it. ``is_paid`` is whether the money was taken, even if it was refunded
    since.
    """

    payment_id: str
    amount: Any
    currency: str
    order_id: str = ""
    is_paid: bool = True


class Source:
    """Reads a provider's lists. Derive from it, and write the methods for the lists that exist.

    Both take the period as aware UTC datetimes, from ``since`` on, before ``until``. They are
    called with an empty ``cursor`` first, then with the previous page's ``next_cursor``, perhaps
    days later and in another process. The order of a list does not matter, nor do repeated items.

    Let connection errors propagate, and call ``raise_for_status()``: the same page is fetched again
    after a pause, and ``Retry-After`` is respected.
    """

    def __init__(self, provider: str) -> None:
        self.provider = provider

    def fetch_events(self, since: datetime, until: datetime, cursor: str) -> Page:
        """Return a page of the events that happened in a period, in the form of webhooks."""
        raise SourceError(f"{describe_class(self)} has no fetch_events(): it lists no events.")

    def fetch_payments(self, since: datetime, until: datetime, cursor: str) -> Page:
        """Return a page of the payments created in a period, each a :class:`Payment`."""
        raise SourceError(f"{describe_class(self)} has no fetch_payments(): it lists no payments.")


def describe_class(source: Source) -> str:
    """Return the dotted path of a source's class."""
    return f"{type(source).__module__}.{type(source).__name__}"


def get_source(provider: str) -> Source:
    """Return the source of a provider. Raises ``NoSourceError`` if there is none."""
    check_provider(provider)
    path = settings.PAYMENT_WEBHOOKS_SOURCES.get(provider)
    if not path:
        raise NoSourceError(
            f"There is no source for {provider}: name a class in PAYMENT_WEBHOOKS_SOURCES that "
            f"reads its lists."
        )
    try:
        source: Source = import_string(path)(provider)
    except Exception as error:
        text = f"The source of {provider}, {path}, can't be made: {describe(error)}."
        raise NoSourceError(text) from error
    return source


def check_provider(name: str) -> None:
    """Raise ``NoSourceError``, with the nearest names, if there is no such provider."""
    if name in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        return
    hint = suggest(name, settings.PAYMENT_WEBHOOKS_PROVIDERS)
    raise NoSourceError(f"There is no provider {name!a} in PAYMENT_WEBHOOKS_PROVIDERS. {hint}")
