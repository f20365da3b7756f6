"""Replay: an operator puts a finished event back on its way, once the reason of its failure is mended."""

from functools import partial

from django.db import router, transaction

from .. import signals
from ..conf import get_provider, settings
from ..exceptions import Overtaken
from ..models import Event
from ..processing import enqueue, receive_events

REPLAYABLE = {Event.FAILED, Event.IGNORED, Event.WAITING}


def replay(event: Event) -> bool:
    """Make an event due again, with all its attempts, and return whether that was possible.

    Only a failed, an ignored or a waiting event can be replayed. It can't double an effect: one whose effect is
    committed is only delivered again. A body that could not be parsed is received again; that raises ``ParseError``
    if it still can't be.
    """
    if event.status not in REPLAYABLE:
        return False
    try:
        if event.type:
            status = Event.APPLIED if event.idempotency_key else Event.RECEIVED
            cleared = {"attempts": 0, "error": "", "waiting_since": None, "finished_at": None}
            event.schedule(0, settings.PAYMENT_WEBHOOKS_SWEEP_GRACE, status=status, **cleared)
            transaction.on_commit(partial(enqueue, event.pk), using=router.db_for_write(Event))
        else:
            receive_events(get_provider(event.provider), {}, bytes(event.body), event.verified_by)
            event.finish(Event.PROCESSED)
    except Overtaken:
        return False
    signals.event_replayed.send_robust(Event, event=event)
    return True
