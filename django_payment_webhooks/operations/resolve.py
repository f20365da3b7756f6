"""Resolve: an operator marks an event as handled by hand."""

from __future__ import annotations

from copy import copy
from typing import Any

from django.db import IntegrityError, router, transaction

from ..conf import load, settings
from ..models import Event, digest
from ..retrying import Decision, get_handler
from .replay import REPLAYABLE
from .transactions import OperationError, operation

RESOLVABLE = {Event.RECEIVED, Event.APPLIED, *REPLAYABLE}
MAX_REASON = 500


class ResolveError(OperationError):
    """An event can't be resolved, as another order had its effect. The message says which."""


@operation
def resolve(event: Event, by: str, reason: str) -> bool:
    """Mark an event as handled by hand, and return whether that was possible.

    For an effect that was carried out manually: someone shipped the order, or refunded it in the
    provider's portal. ``by`` says who, ``reason`` why; both are kept in the event's ``error``.
    Raises ``ValueError`` if the reason is blank.

    The event becomes ``processed`` and gets its idempotency key, so that no other event has the
    effect again. If another event of its order already has the key, it becomes ``duplicate``;
    raises ``ResolveError`` if an event of another order has it. Events that wait for it are
    released. An event that is ``processed`` or ``duplicate``, or has changed since it was read, is
    left as it is. Raises ``LockedError`` if another process keeps its row locked.
    """
    if not reason.strip():
        raise ValueError("Say why the event is marked as handled by hand: the reason is blank.")
    if event.status not in RESOLVABLE:
        return False
    text = f"Handled by hand by {by}: {reason}"[:MAX_REASON]
    finish_or_find_holder(event, text)
    return True


def finish_or_find_holder(event: Event, text: str) -> None:
    """Finish an event with its effect's key, or as a duplicate if another event has the key."""
    key = event.idempotency_key or find_key(event)
    try:
        # A savepoint, so that an error does not break the surrounding transaction.
        with transaction.atomic(using=router.db_for_write(Event)):
            event.finish(Event.PROCESSED, text, idempotency_key=key)
    except IntegrityError as error:
        decision = decide(event, key, error)
        if decision.status != Event.DUPLICATE:
            raise ResolveError(decision.reason) from error
        event.finish(Event.DUPLICATE, text)


def decide(event: Event, key: str | None, error: IntegrityError) -> Decision:
    """Return the decision on an attempt at an event whose key another event has."""
    claimant = copy(event)
    claimant.claimed = key
    decision: Decision = load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY).decide(claimant, error)
    return decision


def find_key(event: Event) -> str | None:
    """Return the key of an event's effect, or None if the event could not be parsed."""
    if not event.type:
        return None
    name = find_name(event)
    if not isinstance(name, str) or not name.strip():
        name = f"event:{event.dedup_key}"  # the default name of an effect
    return digest(name)


def find_name(event: Event) -> Any:
    """Return the handler's name for an event's effect, or None if it can't be found out."""
    try:
        handler = get_handler(event.type)
        if handler is None:
            return None
        # A database error must not break the caller's transaction.
        with transaction.atomic(using=router.db_for_write(Event)):
            return handler.idempotency_key(event)
    except Exception:
        return None  # it can't be imported, or a field that it needs is missing
