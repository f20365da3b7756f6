"""Parse, store and enqueue the events of a verified webhook."""

from __future__ import annotations

import abc
from contextlib import nullcontext
from typing import Any, Mapping, Sequence

from django.db import connections, router, transaction
from django.http import HttpRequest, HttpResponse

from . import signals
from .conf import load, settings
from .models import Event, due_in


class BaseProvider(abc.ABC):
    """A sender of webhooks: how to read, verify and answer them."""

    name: str
    #: The source of event ids and effects. Several providers in the settings can share one.
    account: str

    @abc.abstractmethod
    def read_body(self, request: HttpRequest) -> bytes:
        """Return the raw body. Raises ``WebhookRefused``, also for one that is too large."""

    @abc.abstractmethod
    def verify(self, meta: Mapping[str, Any], body: bytes) -> str:
        """Return a short fingerprint of what proves the webhook. Raises ``WebhookRefused``."""

    @abc.abstractmethod
    def parse(self, meta: Mapping[str, Any], body: bytes) -> list[Event]:
        """Return the events that a webhook carries, not saved. Never raises.

        Each has a ``provider``, ``provider_event_id``, ``dedup_key``, ``type`` and ``occurred_at``;
        an ``order_id`` and ``order_key`` if it has an order; a ``payment_id`` and ``payment_key``
        if it has a payment; a ``body`` that :meth:`payload` reads, its own part if there are
        several events; and a ``fingerprint``, a digest that differs between two contradictory
        deliveries of one event.

        A body that can't be parsed becomes an event without a type that has already failed. An
        event whose webhook proves too little has an empty ``confirmation``: :meth:`confirm` is
        called before it is applied.
        """

    @abc.abstractmethod
    def payload(self, body: bytes) -> Any:
        """Return the payload in a stored body. Raises ``ValueError``."""

    @abc.abstractmethod
    def read(self, payload: Any) -> dict[str, Any]:
        """Return the fields of a payload, which become ``event.data``."""

    def read_money(self, payload: Any) -> Any:
        """Return the money in a payload, or None if it has none. Raises ``ValueError``."""

    def confirm(self, event: Event) -> Any:
        """Ask the provider about an event, and return its answer as JSON values."""

    @abc.abstractmethod
    def answer(self, events: Sequence[Event]) -> HttpResponse:
        """Return the response to a webhook whose events are stored.

        Raises ``WebhookRefused`` if the body could not be parsed.
        """


def receive_events(
    provider: BaseProvider, meta: Mapping[str, Any], body: bytes, verified_by: str = ""
) -> list[Event]:
    """Store and enqueue the events of a webhook that is known to come from its provider.

    The view calls this once it has verified a webhook. Call it yourself with what you learn in
    other ways: on the return page, by polling, after an outage. An event is stored once, however it
    first arrives.

    Returns the events; ``is_new`` is whether this call stored the event. A body that can't be
    parsed is stored as one event without a type that has failed.
    """
    drafts = provider.parse(meta, body)
    for draft in drafts:
        draft.verified_by = verified_by[:64]
        if draft.status == Event.RECEIVED:
            draft.__dict__.update(due_in(0, settings.PAYMENT_WEBHOOKS_SWEEP_GRACE))
    events: list[Event] = load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY).insert(store, drafts)
    for event, draft in zip(events, drafts):
        event.is_new = event is draft
        if event.is_new:
            event.announce()
        elif event.fingerprint != draft.fingerprint and event.provider == draft.provider:
            signals.event_conflicted.send_robust(Event, event=event, other=draft)
    load(settings.PAYMENT_WEBHOOKS_PUBLISHER).publish(events)
    return events


def store(drafts: Sequence[Event]) -> list[Event]:
    """Store the events, all or none, and return each as its row has it.

    A single event is one INSERT, with no transaction around it unless the caller has one.
    """
    database = router.db_for_write(Event)
    needs_none = len(drafts) == 1 and not connections[database].in_atomic_block
    with nullcontext() if needs_none else transaction.atomic(using=database):
        return [store_event(draft) for draft in drafts]


def store_event(draft: Event) -> Event:
    """Store a draft, or return the event already stored under its id.

    Looks first, as an INSERT of an ordinary redelivery would write an error to the database's log.
    If another process inserts the row in between, the INSERT fails, and the retry finds that row.
    """
    for known in Event.objects.look_up("dedup_key = %s", [draft.dedup_key]):
        return known
    draft.pk = None  # an earlier try may have set it, and then been undone
    draft.save(force_insert=True)
    return draft
