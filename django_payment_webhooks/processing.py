"""The worker's side: take, apply, deliver and finish an event. The policy handles failures."""

from contextlib import suppress
from typing import Any

from django.db import router, transaction

from .conf import load, settings
from .exceptions import NotReady
from .handlers import Handler
from .models import Event


def process_event(event: Event) -> None:
    """Make one attempt at an event that is due. Records in the event's row what it raises."""
    try:
        event.take()
        handler = load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY).find_handler(event)
        if event.status != Event.APPLIED:
            apply_or_wait(event, handler)
        if event.status == Event.APPLIED:
            load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY).deliver(handler, event)
            event.finish(Event.PROCESSED)
    except Exception as error:
        load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY).record(event, error)


def apply_or_wait(event: Event, handler: Handler) -> None:
    """Commit an event's effects, or the fact that it waits for what it requires."""
    try:
        prepare_and_apply(event, handler)
    except NotReady as unmet:
        load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY).record(event, unmet)
        if event.status == Event.WAITING:
            # What it requires may have been applied before the wait was committed.
            with suppress(NotReady):
                prepare_and_apply(event, handler)


def prepare_and_apply(event: Event, handler: Handler) -> None:
    """Prepare an event, then apply it. Retries at once what fails only for a passing lock."""
    policy = load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY)
    policy.prepare(handler, event)
    policy.run(apply, policy, event, handler)


def apply(policy: Any, event: Event, handler: Handler) -> None:
    """Commit the effects and the event's new status in one transaction."""
    key = policy.find_key(handler, event)
    claimed = Event.__new__(Event)  # copy() goes through pickle's protocol, and is slow
    claimed.__dict__.update(event.__dict__)
    event.claimed = key
    with transaction.atomic(using=router.db_for_write(Event)):
        written = claimed.claim(key, handler.delivers)
        if not policy.is_ready(handler, claimed):
            raise NotReady(f"It waits for {', '.join(handler.requires) or 'its handler'}.")
        policy.call_guarded(handler.apply, claimed)
        claimed.confirm(written)
        event.claimed = None
    event.__dict__.update(claimed.__dict__)
