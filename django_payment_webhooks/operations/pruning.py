"""Prune: forgets the content of final events, and still gives each of them one effect.

A pruned event keeps what deduplicates: its keys, its fingerprint, its type, its times and its
status, and digests of its payload and data, so that a contradictory redelivery is still noticed.
Its body is gone, so it can't be replayed.
"""

from __future__ import annotations

from copy import copy
from datetime import datetime
from functools import partial
from typing import Any, Callable, Iterable

from django.db import models
from django.db.models.functions import Substr

from .. import history
from ..conf import settings
from ..models import Event
from ..providers.confirmed import forget_cached, read_sent
from ..providers.pruned import ANYTHING, MARK, PrunedError, is_pruned, prune_body
from ..providers.subject import find_by_order, find_related
from .transactions import OperationError, commit, operation

# An ignored event can be replayed, and then have its effect, until its age lets it be pruned.
PRUNABLE = (Event.PROCESSED, Event.DUPLICATE, Event.IGNORED)
FINAL = (*PRUNABLE, Event.FAILED)
# How long a provider may resend an event: 90 days at Checkout.com, manually
# (https://www.checkout.com/docs/workflows/retrigger-events); 30 days at Stripe, manually
# (https://docs.stripe.com/cli/events/resend), and at Adyen, by itself
# (https://docs.adyen.com/development-resources/webhooks/troubleshoot).
RESEND_DAYS = 90
# Replaces a body that can no longer be read, as its provider is gone from the settings.
UNREADABLE = MARK + f"{ANYTHING}:{ANYTHING}".encode()
ERASED = "erased"


class PruneError(OperationError):
    """An event can't be pruned. The message says why."""


def find_final(before: datetime, include_failed: bool = False) -> models.QuerySet:
    """Return the events that were received, and became final, before a moment.

    Failed ones are included only on request.
    """
    statuses = FINAL if include_failed else PRUNABLE
    return Event.objects.filter(received_at__lt=before, finished_at__lt=before, status__in=statuses)


def find_unpruned(events: models.QuerySet) -> models.QuerySet:
    """Return those of some events that still have their bodies."""
    start = Substr("body", 1, len(MARK), output_field=models.BinaryField())
    return events.annotate(start=start).exclude(start=MARK)


@operation
def prune(event: Event) -> bool:
    """Replace a final event's body with digests, and return whether it was done.

    The provider's confirmation is removed, too.

    It is not done if the event is not final, is already pruned, or has changed since it was read.
    Raises ``PruneError`` if a redelivery of the event would no longer be recognized.
    """
    if event.status not in FINAL or is_pruned(event.body):
        return False
    change(event, body=find_pruned_body(event), confirmation=None)
    history.forget_differences(event)
    return True


def change(event: Event, **values: Any) -> None:
    """Change an event's row, and forget cached values."""
    event.change(**values)
    forget_cached(event)


class Audit:
    """A person's action on many events, one after the other, recorded along with each."""

    def __init__(self, verb: str, subject: str, by: str, reason: str) -> None:
        self.facts = (verb, subject, by, reason)
        self.key: int | None = None

    def add(self) -> None:
        """Count one more event, in the transaction that changes it."""
        # The first transaction may have been rolled back, and the record with it.
        if not history.add_to_audit(self.key):
            self.key = history.write_audit(*self.facts)


@operation
def run_audited(event: Event, action: Callable[[Event], bool], audit: Audit) -> bool:
    """Run an action on an event and record it, or do neither. Returns whether it was done."""
    if not action(event):
        return False
    audit.add()
    return True


# ---- causes


def list_forgotten_causes(before: datetime) -> list[str]:
    """Return the keys of causes that no event has.

    They were neither seen nor acknowledged since ``before``.
    """
    return [key for key in history.list_old_causes(before) if not has_events(key)]


def has_events(cause: str) -> bool:
    """Return whether events have a cause."""
    statuses = [status for status in Event.TRANSITIONS if status not in PRUNABLE]
    return Event.objects.filter(status__in=statuses, cause_key=cause).exists()


# ---- the replacement for a body


def find_pruned_body(event: Event) -> bytes:
    """Return the replacement for an event's body. Raises ``PruneError``."""
    if is_pruned(event.body):
        return bytes(event.body)
    if event.provider not in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        return UNREADABLE if event.type else MARK
    try:
        return prune_parsed(event) if event.type else prune_unparsed(event)
    except PruneError:
        raise
    except Exception as error:
        raise PruneError(f"The provider {event.provider} can't read it: {error!r}") from error


def prune_parsed(event: Event) -> bytes:
    """Return digests of an event's content. Raises ``PruneError`` if they would not be compared.

    A redelivery is compared with what was sent, another event with what was confirmed.
    """
    payload, data = read_sent(event), event.data
    body = prune_body(payload, data)
    left, left_data = read_with(event, body)
    # Not !=: the pruned payload defines equality.
    if left == payload and left_data == data:
        return body
    raise PruneError(describe_ignorance(event))


def prune_unparsed(event: Event) -> bytes:
    """Return the replacement for an unparsed body. Raises ``PruneError``."""
    try:
        read_with(event, MARK)
    except PrunedError:
        return MARK
    raise PruneError(describe_ignorance(event))


def describe_ignorance(event: Event) -> str:
    """Return why none of a provider's events can be pruned."""
    return (
        f"The provider {event.provider} does not read pruned bodies. "
        f"Let its payload() and read() call those of Provider."
    )


def read_with(event: Event, body: Any) -> tuple[Any, Any]:
    """Return the payload and data that an event would have with only this body."""
    other = copy(event)
    forget_cached(other)
    other.body = body
    other.confirmation = None
    return other.payload, other.data


# ---- whole rows


@operation
def delete(event: Event) -> bool:
    """Delete a final event with its history, and return whether it was done.

    No trace of it remains: if it is resent, it is stored and applied again, and events that require
    it wait until their deadline. It is not done if the event is not final, if another event of its
    order or payment is not, or if it has changed since it was read.
    """
    if event.status not in FINAL:
        return False
    if find_related(event).exclude(pk=event.pk).exclude(status__in=FINAL).exists():
        return False
    # This proves that the row has not changed.
    change(event, error=event.error)
    Event.objects.filter(pk=event.pk).delete()
    return True


# ---- one order


def find_unfinished(order_id: str) -> dict[int, str]:
    """Return the statuses of an order's unfinished events, by primary key."""
    return dict(find_by_order(order_id).exclude(status__in=FINAL).values_list("pk", "status"))


@operation
def erase(event: Event) -> bool:
    """Erase what identifies the order from a final event and its history.

    Returns whether it was done: not if the event is not final, or has changed since it was read.
    Raises ``PruneError`` as :func:`prune` does.

    The body, the confirmation, the ids of the order, the payment and the event, and the error are
    erased. What deduplicates stays: the keys and the fingerprint are digests of ids and of a whole
    payload, which can't be guessed.
    """
    if event.status not in FINAL:
        return False
    change(
        event,
        body=find_pruned_body(event),
        confirmation=None,
        provider_event_id=ERASED,
        order_id="",
        payment_id="",
        # A guessed order id must not find the event. Without an order, it no longer counts for
        # events that require it, and contradicts no other event's order. The payment is erased,
        # too, as it could lead to the order's other events.
        order_key="",
        payment_key="",
        error="",
    )
    history.forget(event)
    return True


@operation
def erase_order(event: Event, by: str, reason: str = "") -> bool:
    """Erase all events of an event's order, and record who did it. Returns whether it was done.

    If the event has no order, only the event itself is erased. Nothing is done if it is erased
    already. Raises ``PruneError`` if one of them is not final, or has failed and may be replayed.
    """
    events = find_events_of_order(event)
    check_prunable(events)
    subject = f"of the order {event.order_id!a}" if event.order_id else f"event {event.pk}"
    if not erase_all(events, subject, by, reason):
        return False
    # What was erased must not be logged with its id.
    event.provider_event_id = ERASED
    return True


def erase_all(events: models.QuerySet, subject: str, by: str, reason: str) -> int:
    """Erase all of some events and record who did it, or do nothing. Returns their number.

    All at once: if an order were half erased, events that name only its payment could no longer be
    found. Raises ``PruneError`` if one can't be erased.
    """
    number: int = commit(partial(erase_each, events, subject, by, reason))
    return number


def erase_each(events: models.QuerySet, subject: str, by: str, reason: str) -> int:
    """Erase each of some events, and record it. Returns their number."""
    found = list(events.all())
    for event in found:
        if not erase(event):
            raise PruneError(f"Event {event.pk} has just changed. Try again later.")
    if found:
        history.write_audit(ERASED, subject, by, reason, len(found))
    return len(found)


def find_events_of_order(event: Event) -> models.QuerySet:
    """Return the events of an event's order and its payments, not those of another shop's order."""
    if event.order_id:
        return find_by_order(event.order_id).filter(order_key__in=["", event.order_key])
    return Event.objects.filter(pk=event.pk).exclude(provider_event_id=ERASED)


def check_prunable(events: Iterable[Event]) -> None:
    """Raise ``PruneError`` if one of some events is unfinished or has failed."""
    others = [f"{each.pk} is {each.status}" for each in events if each.status not in PRUNABLE]
    if others:
        raise PruneError(
            f"Of this order's events (by primary key) {', '.join(others)}. Let them end, or mark "
            f"them as handled by hand."
        )
