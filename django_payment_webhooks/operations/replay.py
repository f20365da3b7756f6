"""Replay: lets an operator make an event due again."""

from __future__ import annotations

import time
from functools import partial
from typing import Sequence

from django.db import router, transaction
from django.db.models import Q

from .. import signals
from ..conf import get_provider
from ..models import Event
from ..providers.payloads import ParseError
from ..providers.pruned import is_pruned
from ..publisher import enqueue
from ..receiving import receive_events
from ..retrying import start_over
from .transactions import operation

REPLAYABLE = {Event.FAILED, Event.IGNORED, Event.WAITING}
# Events with these statuses can be replayed if they are being retried.
RETRIED = {Event.RECEIVED, Event.APPLIED}


@operation
def replay(event: Event, by: str = "", reason: str = "") -> bool:
    """Make an event due again, with all its attempts, and return whether that was possible.

    Only a failed, ignored or waiting event can be replayed, or one that is being retried and that
    no worker has; and only if its body is not pruned. An effect can't happen twice: if it is
    committed, the event is only delivered again. A body that could not be parsed is received again;
    raises ``ParseError`` if it still can't be. Raises ``LockedError`` if another process keeps the
    event's row locked.

    ``by`` and ``reason`` say who replays it and why. The signal ``event_replayed`` passes them on;
    the event's row does not keep them.
    """
    if not is_replayable(event) or is_pruned(event.body):
        return False
    report = partial(signals.event_replayed.send_robust, Event, event=event, by=by, reason=reason)
    # Before the signal of the new status.
    transaction.on_commit(report, using=router.db_for_write(Event))
    if event.type:
        start_over(event)
        enqueue([event])
    else:
        receive_again(event)
    return True


def match_replayable() -> Q:
    """Return the condition for events that can be replayed unless a worker has them."""
    return Q(status__in=REPLAYABLE) | Q(status__in=RETRIED, cause_key__isnull=False)


def is_replayable(event: Event) -> bool:
    """Return whether an event has no effect yet, or waits for its next attempt."""
    if event.status in REPLAYABLE:
        return True
    return event.status in RETRIED and event.cause_key is not None and not is_taken(event)


def is_taken(event: Event) -> bool:
    """Return whether a worker seems to have an event that was tried before.

    Taking it moves one of its two times, which are the same for as long as it is to be retried.
    """
    return bool(event.due_at != event.enqueue_at and (event.due_at or 0) > time.time())


def receive_again(event: Event) -> None:
    """Receive an unparsed body again. Raises ``ParseError`` if it still can't be parsed."""
    provider = get_provider(event.provider)
    body = bytes(event.body)
    check_parsed(provider.parse({}, body))
    receive_events(provider, {}, body, event.verified_by)
    event.finish(Event.PROCESSED)


def check_parsed(drafts: Sequence[Event]) -> None:
    """Raise ``ParseError`` if these drafts stand for a body that could not be parsed."""
    for draft in drafts:
        if not draft.type:
            raise ParseError(400, "unparsed", draft.error)
