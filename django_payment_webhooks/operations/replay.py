"""Replay and resolve: an operator puts an event back on its way, or marks it as handled by hand."""

from functools import partial
from typing import List, Optional

from django.db import IntegrityError, router, transaction
from django.utils import timezone

from .. import signals
from ..conf import get_handler, get_provider, settings
from ..exceptions import Overtaken
from ..models import Event, digest
from ..providers.payloads import ParseError
from ..providers.pruned import is_pruned
from ..publisher import enqueue
from ..receiving import receive_events

REPLAYABLE = {Event.FAILED, Event.IGNORED, Event.WAITING}
RESOLVABLE = {Event.RECEIVED, Event.APPLIED, *REPLAYABLE}


def replay(event: Event, by: str = "", reason: str = "") -> bool:
    """Make an event due again, with all its attempts, and return whether that was possible.

    Only a failed, an ignored or a waiting event can be replayed, and only if its body was not
    pruned. It can't double an effect: one whose effect is committed is only delivered again. A body
    that could not be parsed is received again; that raises ``ParseError`` if it still can't be.

    ``by`` and ``reason`` say who replays it and why. The signal ``event_replayed`` passes them on; the event's row
    does not keep them.
    """
    if event.status not in REPLAYABLE or is_pruned(event.body):
        return False
    database = router.db_for_write(Event)
    send = partial(signals.event_replayed.send_robust, Event, event=event, by=by, reason=reason)
    try:
        with transaction.atomic(using=database):
            transaction.on_commit(
                send, using=database
            )  # before the signal of the status that follows from it
            put_back(event)
    except Overtaken:
        return False
    return True


def put_back(event: Event) -> None:
    """Make an event due, or receive its body again if it was not parsed."""
    if event.type:
        event.reschedule(
            0,
            settings.PAYMENT_WEBHOOKS_SWEEP_GRACE,
            status=Event.APPLIED if event.idempotency_key else Event.RECEIVED,
            attempts=0,
            error="",
            waiting_since=None,
            finished_at=None,
        )
        enqueue([event])
    else:
        provider = get_provider(event.provider)
        check_parsed(provider.parse({}, bytes(event.body)))
        receive_events(provider, {}, bytes(event.body), event.verified_by)
        event.finish(Event.PROCESSED)


def check_parsed(drafts: List[Event]) -> None:
    """Raise ``ParseError`` if a body makes no sense."""
    if drafts and not drafts[0].type:
        raise ParseError(400, "unparsed", drafts[0].error)


def resolve(event: Event, by: str, reason: str) -> bool:
    """Mark an event as handled by hand, and return whether that was possible.

    For an effect that somebody had by hand: shipped the order, or refunded it in the provider's
    portal. ``by`` says who, ``reason`` why; both are kept in the event's ``error``. Raises
    ``ValueError`` if the reason is blank.

    The event becomes ``processed``, and has its idempotency key from now on, so that no other event
    has the effect again. It becomes ``duplicate`` if another event has the key already. What waits
    for it is released. An event that is ``processed`` or ``duplicate``, or that changed since it
    was read, is left as it is.
    """
    if not reason.strip():
        raise ValueError("Say why the event is marked as handled by hand: the reason is blank.")
    if event.status not in RESOLVABLE:
        return False
    database, error = router.db_for_write(Event), ("Handled by hand by %s: %s" % (by, reason))[:500]
    key = event.idempotency_key or find_key(event)
    ended = {"finished_at": timezone.now(), "due_at": None, "enqueue_at": None}
    try:
        try:
            with transaction.atomic(using=database):
                event.change(status=Event.PROCESSED, error=error, idempotency_key=key, **ended)
        except IntegrityError:
            event.finish(Event.DUPLICATE, error)
    except Overtaken:
        return False
    return True


def find_key(event: Event) -> Optional[str]:
    """Return the idempotency key that the event's effect has; None if the event could not be parsed."""
    if not event.type:
        return None
    try:
        # An error of the database must not spoil the caller's transaction.
        with transaction.atomic(using=router.db_for_write(Event)):
            return digest(get_handler(event.type).idempotency_key(event))
    except Exception:
        # No handler, or a field that it needs is missing: the name that an effect has by default.
        return digest("event:" + event.dedup_key)
