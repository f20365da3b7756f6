"""The journey of an event: store, enqueue, take, apply, deliver, finish; beside the road: wait, release, fail."""

import random
import time
from contextlib import suppress
from contextvars import copy_context
from copy import copy
from datetime import datetime, timedelta
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, List, Mapping, Tuple

from celery import shared_task
from django.db import DatabaseError, IntegrityError, router, transaction
from django.utils import timezone
from django.utils.http import parse_http_date_safe
from kombu.utils.functional import retry_over_time

from . import signals
from .conf import get_handler, settings
from .exceptions import NotReady, Overtaken, ParseError, PermanentFailure
from .handlers import Handler
from .models import Event, digest

TRANSIENT_ERRORS = {
    1020,
    1205,
    1213,
    "40001",
    "40P01",
}  # changed, locked, deadlock: MySQL's and PostgreSQL's codes

unpublished: SimpleQueue = SimpleQueue()
publisher = Thread()


def receive_events(
    provider: Any, meta: Mapping, body: bytes, verified_by: str = ""
) -> List[Tuple[Event, bool]]:
    """Store and enqueue the events of a webhook that is known to come from its provider.

    The view calls this once it has verified a webhook. Call it with what you learned on another
    road, too: on the return page, by polling, after an outage. An event is stored once, whichever
    road it came first.

    Returns each event with whether it is new. Raises ``ParseError`` if the body can't be
    understood; it is then kept as a failed event, to be replayed when the provider's options have
    been mended.
    """
    now = timezone.now()
    row = {"provider": provider.name, "body": body, "verified_by": verified_by, "received_at": now}
    try:
        events = provider.parse(meta, body)
    except ParseError as error:
        row.update(occurred_at=now, status=Event.FAILED, error=str(error), finished_at=now)
        receive_event(provider_event_id="unparsed:" + digest(body.hex()), **row)
        raise
    row.update(
        due_at=now, enqueue_at=now + timedelta(seconds=settings.PAYMENT_WEBHOOKS_SWEEP_GRACE)
    )
    return [receive_event(**row, **values) for values in events]


def receive_event(**row: Any) -> Tuple[Event, bool]:
    """Store one event and enqueue it, again if it is repeated before a worker took it."""
    event, created = retry(store, kwargs=row)
    other = Event(**row)
    if created:
        event.announce()
    elif bytes(event.body) != other.body and event.payload != other.payload:
        signals.event_conflicted.send_robust(Event, event=event, other=other)
    if event.status == Event.RECEIVED:
        transaction.on_commit(partial(enqueue, event.pk), using=router.db_for_write(Event))
    return event, created


def store(**row: Any) -> Tuple[Event, bool]:
    """Return the event and whether it is new. Its row is committed, or was seen to be."""
    key = digest(row["provider"], row["provider_event_id"])
    stored = Event.objects.filter(dedup_key=key).first()
    if stored:
        return stored, False
    with transaction.atomic(using=router.db_for_write(Event)):
        return Event.objects.create(
            dedup_key=key, order_key=digest(row.get("order_id", "")), **row
        ), True


def pause_if_transient(error: DatabaseError, *_: Any) -> float:
    """Return how long to wait before the same statements are tried again. Raises an error that is here to stay.

    Even a single INSERT can be the victim of a deadlock. An IntegrityError tells that somebody else was first,
    whose row the next look sees.
    """
    codes = {
        getattr(error.__cause__, "sqlstate", None),
        getattr(error.__cause__, "pgcode", None),
        *error.args[:1],
    }
    if not (
        isinstance(error, IntegrityError) or codes & TRANSIENT_ERRORS or "is locked" in str(error)
    ):
        raise error
    return random.uniform(0.01, 0.1)


# Bounded in time, too: what has waited long for a lock does not wait for it again.
retry: Any = partial(
    retry_over_time, catch=DatabaseError, errback=pause_if_transient, max_retries=5, timeout=3
)


def enqueue(pk: int) -> None:
    """Nudge a worker, by a thread that waits for the broker in our place. A lost nudge is left to the sweeper."""
    global publisher
    if process.app.conf.task_always_eager:
        return process(pk)
    if not publisher.is_alive():  # not started yet, or left behind by a fork
        publisher = thread = Thread(target=publish, daemon=True)
        with suppress(RuntimeError):  # no thread is left: the sweeper has it
            thread.start()
    if unpublished.qsize() < 1000:
        # In the caller's context, so that what traces a request finds its way into the message.
        unpublished.put(partial(copy_context().run, process.apply_async, (pk,), retry=False))


def publish() -> None:
    """Send the messages to the broker, however long it takes. After a failure, leave the broker alone for a while."""
    while True:
        try:
            unpublished.get()()
        except Exception as error:
            signals.enqueue_failed.send_robust(Event, error=error)
            time.sleep(settings.PAYMENT_WEBHOOKS_PUBLISH_PAUSE)


@shared_task(name="payment_webhooks.process_event", ignore_result=True)
def process(pk: int) -> None:
    """Do what the event's row says is due, or nothing. This is all that a worker does.

    An attempt that fails is recorded in the row. Raises ``Overtaken`` from its error if the row is
    not ours any more, so that at least the worker's log has it.
    """
    # A second ahead, as the clocks of two machines differ: an event must not be late for being
    # early.
    event = Event.objects.filter(pk=pk, due_at__lte=timezone.now() + timedelta(seconds=1)).first()
    if event is None:
        return
    try:
        # Taken before any work, and counted: work can kill a worker.
        event.schedule(settings.PAYMENT_WEBHOOKS_LEASE, attempts=event.attempts + 1)
        advance(event)
    except (NotReady, Overtaken):
        pass  # it waits, or it is somebody else's
    except Exception as error:
        fail(event, error)


def advance(event: Event) -> None:
    """Bring an event that is ours to its end, or as far as it can go now."""
    if event.attempts > settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS:
        raise PermanentFailure("The worker did not survive the last attempt. %s" % event.error)
    handler = get_handler(event.type)
    if handler is None:
        return event.finish(Event.IGNORED)
    if event.status != Event.APPLIED:
        handler.prepare(event)
        try:
            retry(apply, args=(event, handler))
        except NotReady as unmet:
            wait(event, unmet)
            retry(
                apply, args=(event, handler)
            )  # what it requires may have come before the wait was committed
    if event.status == Event.APPLIED:
        release(event)
        handler.deliver(event)
        event.finish(Event.PROCESSED)


def apply(event: Event, handler: Handler) -> None:
    """Commit the effects and the event's new status in one transaction, or neither."""
    key = digest(handler.idempotency_key(event))
    original = Event.objects.filter(idempotency_key=key).first()
    if original:
        if original.data != event.data:
            signals.event_conflicted.send_robust(Event, event=event, other=original)
        return event.finish(Event.DUPLICATE, "It says the same as %s." % original)
    fenced = copy(event)
    with transaction.atomic(using=router.db_for_write(Event)):
        # The fence locks the row, proves that it is still ours, and claims the effect for this
        # event.
        fenced.change(idempotency_key=key)
        if not handler.is_ready(fenced):
            raise NotReady("It waits for %s." % (", ".join(handler.requires) or "its handler"))
        handler.apply(fenced)
        try:
            fenced.schedule(settings.PAYMENT_WEBHOOKS_LEASE, status=Event.APPLIED, error="")
        except Overtaken:
            # MySQL has undone the fence and everything up to the deadlock.
            raise transaction.TransactionManagementError(
                "The handler hid an error of the database."
            ) from None
    event.__dict__.update(fenced.__dict__)


def wait(event: Event, unmet: NotReady) -> None:
    """Commit that the event waits, so that it can be released. Raises ``PermanentFailure`` past the deadline."""
    since = event.waiting_since or timezone.now()
    left = settings.PAYMENT_WEBHOOKS_WAIT_DEADLINE - (timezone.now() - since).total_seconds()
    if left <= 0:
        raise PermanentFailure("%s That did not come in time." % unmet)
    looked = {"waiting_since": since, "error": str(unmet), "attempts": event.attempts - 1}
    event.schedule(min(gap(since), left), status=Event.WAITING, **looked)


def release(event: Event) -> None:
    """Make the events due that wait for this event's order, and are not due already."""
    for other in Event.objects.filter(
        order_key=event.order_key, status=Event.WAITING, due_at__gt=timezone.now()
    ):
        with suppress(Overtaken):
            other.schedule(0, settings.PAYMENT_WEBHOOKS_SWEEP_GRACE)
            signals.event_released.send_robust(Event, event=other, by=event)
            enqueue(other.pk)


def fail(event: Event, error: Exception) -> None:
    """Record a failed attempt: the event is due again later, or has failed if that is pointless."""
    response = getattr(error, "response", None)  # as requests and httpx have it
    status = getattr(response, "status_code", 0)
    rejected = 400 <= status < 500 and status not in (408, 425, 429)
    if (
        rejected
        or isinstance(error, PermanentFailure)
        or event.attempts >= settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS
    ):
        return event.finish(Event.FAILED, repr(error)[:500])
    ceiling = settings.PAYMENT_WEBHOOKS_BACKOFF_CEILING
    backoff = min(settings.PAYMENT_WEBHOOKS_BACKOFF_BASE * 2 ** (event.attempts - 1), ceiling)
    asked = getattr(response, "headers", {}).get(
        "Retry-After", ""
    )  # seconds or a date: RFC 9110, 10.2.3
    pause = (
        int(asked[:9]) if asked.isdecimal() else (parse_http_date_safe(asked) or 0) - time.time()
    )
    event.schedule(
        max(random.uniform(backoff / 2, backoff), min(pause, ceiling)), error=repr(error)[:500]
    )
    signals.event_retried.send_robust(Event, event=event, error=error)


def gap(since: datetime) -> float:
    """Return how many seconds to leave an event alone: as many as since then, within bounds."""
    age = (timezone.now() - since).total_seconds()
    return min(
        max(age, settings.PAYMENT_WEBHOOKS_SWEEP_GRACE), settings.PAYMENT_WEBHOOKS_SWEEP_CEILING
    )
