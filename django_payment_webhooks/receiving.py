"""From a proved webhook to its events in the table: parse, store, enqueue."""

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
    """Who sends webhooks: how they are read, proved and answered."""

    name: str
    #: The source of ids and effects; several providers in the settings can share one.
    account: str

    @abc.abstractmethod
    def read_body(self, request: HttpRequest) -> bytes:
        """Return the raw body, of a bounded size. Raises ``WebhookRefused``."""

    @abc.abstractmethod
    def verify(self, meta: Mapping[str, Any], body: bytes) -> str:
        """Return a short fingerprint of what proved the webhook. Raises ``WebhookRefused``."""

    @abc.abstractmethod
    def parse(self, meta: Mapping[str, Any], body: bytes) -> list[Event]:
        """Return the events that a webhook carries, not saved. Never raises.

        Each has its ``provider``, ``provider_event_id`` and ``dedup_key``, ``type``,
        ``occurred_at``, ``order_id`` and ``order_key`` if it has an order, ``payment_id`` and
        ``payment_key`` if it has a payment, as ``body`` what :meth:`payload` reads (of several
        events each has its own part), and as ``fingerprint`` a digest: two deliveries of an event
        contradict each other if it differs.
        A body that makes no sense is an event, too: one without type, that has failed already. An
        event whose webhook proves less than it says has an empty ``confirmation``: :meth:`confirm`
        is asked about it before it counts.
        """

    @abc.abstractmethod
    def payload(self, body: bytes) -> Any:
        """Return what an event says, from its stored body. Raises ``ValueError``."""

    @abc.abstractmethod
    def read(self, payload: Any) -> dict[str, Any]:
        """Return what an event is about: ``event.data``."""

    def read_money(self, payload: Any) -> Any:
        """Return the sum that an event is about; None if it has none. Raises ``ValueError``."""

    def confirm(self, event: Event) -> Any:
        """Return what the provider itself says about an event, as values of JSON."""

    @abc.abstractmethod
    def answer(self, events: Sequence[Event]) -> HttpResponse:
        """Return the answer to a webhook whose events are stored.

        Raises ``WebhookRefused`` if it made no sense.
        """


def receive_events(
    provider: BaseProvider, meta: Mapping[str, Any], body: bytes, verified_by: str = ""
) -> list[Event]:
    """Store and enqueue the events of a webhook that is known to come from its provider.

    The view calls this once it has verified a webhook. Call it with what you learned on another
    road, too: on the return page, by polling, after an outage. An event is stored once, whichever
    road it came first.

    Returns the events. Of each ``is_new`` is whether this webhook brought it. A body that makes no
    sense is stored as one event without type, that has failed.
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
    """Return each event as it is stored. Its row is committed with all others, or was seen to be.

    One event is one INSERT, without a transaction around it unless the caller has one.
    """
    database = router.db_for_write(Event)
    needs_none = len(drafts) == 1 and not connections[database].in_atomic_block
    with nullcontext() if needs_none else transaction.atomic(using=database):
        return [store_event(draft) for draft in drafts]


def store_event(draft: Event) -> Event:
    """Return the event that is known by a draft's id, which is the draft if there was none.

    Looked for first: for an ordinary repetition an INSERT would write an error into the database's
    log. Whoever was first in between makes it fail, and the next look sees its row.
    """
    for known in Event.objects.look_up("dedup_key = %s", [draft.dedup_key]):
        return known
    draft.pk = None  # an earlier try may have been undone
    draft.save(force_insert=True)
    return draft
