"""Rehearse: run an event's handler, undo everything, and tell what would have become of the event."""

import re
from collections import namedtuple
from typing import Any, List

from django.db import connections, router, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ..conf import get_handler, get_provider, settings
from ..exceptions import NotReady, Overtaken, ParseError, PermanentFailure
from ..handlers import Handler
from ..models import Event, digest
from ..processing import apply
from ..providers.pruned import is_pruned

Rehearsal = namedtuple("Rehearsal", "outcome explanation statements")

# What is not a status: a worker has the event, and a failed attempt would be repeated.
TAKEN, RETRIED = "taken", "retried"


class Rehearsed(Exception):
    """Raised with an outcome and its explanation, so that the transaction is undone."""


def rehearse(event: Event) -> Rehearsal:
    """Tell what would become of an event if it were replayed, or taken by a worker, now. Nothing is left behind.

    The event is read again. Its handler's ``prepare``, ``is_ready`` and ``apply`` run in a transaction that is rolled
    back; ``deliver`` is never called. Nothing is enqueued, and none of the app's signals is sent. What a handler does
    to anything but the events' database can't be undone: it has no business there.

    Returns a named tuple. ``outcome`` is the status that the event would get, ``retried`` if its attempt would fail
    and be repeated, or ``taken`` if a worker has it at the moment. ``explanation`` is a sentence. ``statements`` are
    the INSERT, UPDATE and DELETE statements that would have changed the host's tables; there are none unless the
    outcome is ``applied``. Raises ``Event.DoesNotExist`` if the row is gone.
    """
    event = Event.objects.get(pk=event.pk)
    if event.status in (Event.PROCESSED, Event.DUPLICATE):
        return Rehearsal(event.status, "It is %s: nothing would be done." % event.status, [])
    if is_pruned(event.body):
        return Rehearsal(event.status, "Its body was pruned: it can't be replayed.", [])
    if not event.type:
        return rehearse_parsing(event)
    if event.idempotency_key:
        text = "Its effects are committed. Only its delivery would be repeated, which can't be rehearsed."
        return Rehearsal(Event.APPLIED, text, [])
    if is_taken(event):
        return Rehearsal(TAKEN, "A worker has it at the moment.", [])
    with CaptureQueriesContext(connections[router.db_for_write(Event)]) as captured:
        try:
            rehearse_handler(event)
        except Rehearsed as done:
            outcome, explanation = done.args
        except NotReady as unmet:
            outcome, explanation = Event.WAITING, str(unmet)
        except Overtaken:
            outcome, explanation = TAKEN, "A worker took it meanwhile."
        except Exception as error:
            outcome, explanation = find_outcome(event, error), repr(error)[:500]
    return Rehearsal(
        outcome, explanation, find_writes(captured) if outcome == Event.APPLIED else []
    )


def rehearse_handler(event: Event) -> None:
    """Run an event's handler. Raises ``Rehearsed``, or what the handler raises."""
    handler = get_handler(event.type)
    if handler is None:
        raise Rehearsed(Event.IGNORED, "There is no handler for its type.")
    with transaction.atomic(using=router.db_for_write(Event)):
        handler.prepare(event)
        # Looked for here, as the core would tell a conflict to everybody.
        original = Event.objects.filter(
            idempotency_key=digest(handler.idempotency_key(event))
        ).first()
        if original:
            conflict = (
                ""
                if original.data == event.data
                else " It says something else: money may have moved twice."
            )
            raise Rehearsed(Event.DUPLICATE, "It says the same as %s.%s" % (original, conflict))
        apply(event, handler)
        is_delivered = getattr(type(handler), "deliver", None) is not Handler.deliver
        delivery = " Then it would be delivered." if is_delivered else ""
        raise Rehearsed(Event.APPLIED, "Its effects would be committed." + delivery)


def rehearse_parsing(event: Event) -> Rehearsal:
    """Tell what would be stored if a body that could not be parsed were received again."""
    try:
        rows = get_provider(event.provider).parse({}, bytes(event.body))
    except ParseError as error:
        return Rehearsal(Event.FAILED, "It still can't be parsed. %s" % error, [])
    except Exception as error:
        return Rehearsal(Event.FAILED, "Its provider can't parse it: %s" % repr(error)[:500], [])
    texts = []
    for row in rows:
        is_known = Event.objects.filter(
            dedup_key=digest(event.provider, row["provider_event_id"])
        ).exists()
        order = " of order %s" % row["order_id"] if row.get("order_id") else ""
        stored = "is stored already" if is_known else "would be stored"
        texts.append("%s %s%s %s." % (row["type"], row["provider_event_id"], order, stored))
    return Rehearsal(Event.PROCESSED, "It can be parsed by now. " + " ".join(texts), [])


def is_taken(event: Event) -> bool:
    """Return whether a worker has an event, as far as its row tells."""
    database, now = router.db_for_write(Event), timezone.now()
    # A failed attempt would have left its error: this is the lease of the first.
    if (
        event.status == Event.RECEIVED
        and event.attempts
        and not event.error
        and event.due_at
        and event.due_at > now
    ):
        return True
    if not connections[database].features.has_select_for_update_skip_locked:
        return False
    with transaction.atomic(using=database):
        return (
            not Event.objects.select_for_update(skip_locked=True)
            .filter(pk=event.pk)
            .values_list("pk")
        )


def find_outcome(event: Event, error: Exception) -> str:
    """Return what becomes of an event whose attempt ends with an error, as the core decides it."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    is_rejected = 400 <= status < 500 and status not in (408, 425, 429)
    # A replayed event has all its attempts again.
    attempt = 1 if event.finished_at else event.attempts + 1
    is_last = attempt >= settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS
    return (
        Event.FAILED if is_rejected or is_last or isinstance(error, PermanentFailure) else RETRIED
    )


def find_writes(captured: Any) -> List[str]:
    """Return the statements that change a table other than the events' own."""
    events = re.escape(connections[router.db_for_write(Event)].ops.quote_name(Event._meta.db_table))
    change = re.compile(
        r"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(?!%s)" % events, re.IGNORECASE
    )
    return [query["sql"] for query in captured.captured_queries if change.match(query["sql"] or "")]
