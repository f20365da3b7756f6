"""Dry run: runs an event's handler, undoes everything, and says what would have happened."""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple, NoReturn

from django.db import connections, router, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.translation import gettext

from ..conf import get_provider, load, settings
from ..exceptions import NotReady, Overtaken
from ..models import Event
from ..processing import apply
from ..providers.pruned import is_pruned
from ..publisher import unless_locked
from ..retrying import describe

# Outcomes that are not statuses: a worker has the event; a failed attempt would be retried.
TAKEN = "taken"
RETRIED = "retried"


class DryRun(NamedTuple):
    """What would happen to an event.

    ``outcome`` is the status that it would get, ``retried`` if its attempt would fail and be
    retried, or ``taken`` if a worker has it. ``explanation`` is a sentence. ``statements`` are the
    INSERT, UPDATE and DELETE statements that would have changed the host's tables; there are none
    unless its effects would be committed. ``is_english`` says that the explanation would be stored,
    and so is not in the reader's language.
    """

    outcome: str
    explanation: str
    statements: list[str]
    is_english: bool = False


class Undone(Exception):
    """Raised once everything has run, to roll the transaction back."""


def dry_run(event: Event) -> DryRun:
    """Return what would happen to an event if it were replayed, or taken by a worker, now.

    The event is read again. Its handler's ``prepare``, ``is_ready`` and ``apply`` run in a
    transaction that is rolled back; ``deliver`` is never called. Nothing is enqueued, and none of
    the app's signals is sent. What a handler does outside the events' database can't be undone.
    Raises ``Event.DoesNotExist`` if the row is gone.
    """
    event = Event.objects.get(pk=event.pk)
    if event.status in (Event.PROCESSED, Event.DUPLICATE):
        return DryRun(event.status, gettext("It is finished: nothing would happen."), [])
    if is_pruned(event.body):
        return DryRun(event.status, gettext("Its body was pruned: it can't be replayed."), [])
    if not event.type:
        return parse_again(event)
    if event.idempotency_key:
        text = gettext("Its effects are committed. Only its delivery would be repeated.")
        return DryRun(Event.APPLIED, text, [])
    if is_taken(event):
        return DryRun(TAKEN, gettext("A worker is processing it."), [])
    return run_handler(event)


def run_handler(event: Event) -> DryRun:
    """Run an event's handler, and undo it."""
    pretend_taken(event)
    captured = CaptureQueriesContext(connections[router.db_for_write(Event)])
    try:
        with captured:
            apply_and_undo(event)
    except Undone as undone:
        return DryRun(Event.APPLIED, str(undone), find_writes(captured))
    except Overtaken:
        return DryRun(TAKEN, gettext("A worker has taken it in the meantime."), [])
    except Exception as error:
        return describe_end(event, error)


def pretend_taken(event: Event) -> None:
    """Make an event look as if a worker had just taken it, after a replay if it is final."""
    if event.status in (Event.FAILED, Event.IGNORED):
        replayed = {"status": Event.RECEIVED, "attempts": 0, "waiting_since": None, "error": ""}
        event.__dict__.update(replayed)
    event.attempts += 1
    event.due_at = time.time() + settings.PAYMENT_WEBHOOKS_LEASE


def describe_end(event: Event, error: Exception) -> DryRun:
    """Return what the worker would decide after an attempt's error."""
    decision = load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY).decide(event, error)
    # To the worker, a waiting event whose attempt fails still waits.
    is_repeated = decision.delay is not None and not isinstance(error, NotReady)
    outcome = RETRIED if is_repeated else decision.status
    return DryRun(outcome, decision.reason, [], is_english=True)


def apply_and_undo(event: Event) -> NoReturn:
    """Do what a worker does. Raises ``Undone``, or what the handler raises."""
    policy = load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY)
    with transaction.atomic(using=router.db_for_write(Event)):
        handler = policy.find_handler(event)
        policy.prepare(handler, event)
        apply(policy, event, handler)
        if handler.delivers:
            raise Undone(gettext("Its effects would be committed. Then it would be delivered."))
        raise Undone(gettext("Its effects would be committed."))


def parse_again(event: Event) -> DryRun:
    """Return what would be stored if an unparsed body were received again."""
    try:
        drafts = get_provider(event.provider).parse({}, bytes(event.body))
    except Exception as error:
        text = gettext("Its provider can't parse it: {error}").format(error=describe(error))
        return DryRun(Event.FAILED, text, [])
    if drafts and not drafts[0].type:
        text = gettext("It still can't be parsed.")
        return DryRun(Event.FAILED, f"{text} {drafts[0].error}", [])
    texts = [describe_draft(draft) for draft in drafts]
    text = " ".join([gettext("It can be parsed now."), *texts])
    return DryRun(Event.PROCESSED, text, [])


def describe_draft(draft: Event) -> str:
    """Return whether an event in a body would be stored, in words."""
    if Event.objects.filter(dedup_key=draft.dedup_key).exists():
        return gettext("{event} has already been stored.").format(event=draft)
    if not draft.order_id:
        return gettext("{event} would be stored.").format(event=draft)
    text = gettext("{event} of order {order} would be stored.")
    return text.format(event=draft, order=draft.order_id)


def is_taken(event: Event) -> bool:
    """Return whether a worker has an event, as far as its row shows."""
    is_first = event.status == Event.RECEIVED and event.attempts and not event.error
    # A failed attempt would have left its error, so this is the lease of the first.
    if is_first and event.due_at and event.due_at > time.time():
        return True
    try:
        with unless_locked(event):
            return False
    except Overtaken:
        return True


def find_writes(captured: Any) -> list[str]:
    """Return the statements that change a table other than the events' own."""
    quote = connections[router.db_for_write(Event)].ops.quote_name
    events = re.escape(quote(Event._meta.db_table))
    write = rf"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(?!{events})"
    statements = [query["sql"] or "" for query in captured.captured_queries]
    return [sql for sql in statements if re.match(write, sql, re.IGNORECASE)]
