"""Prune: forget what final events said, and still give each of them one effect.

What is kept of a pruned event deduplicates: its keys, its type, its times and its status, and
digests of its payload and its data, so that a repetition that says something else is still noticed.
Its body is gone, so it can't be replayed.
"""

from copy import copy
from datetime import datetime
from typing import Any, Dict, Tuple

from django.apps import apps
from django.db import models, router, transaction
from django.db.models.functions import Substr

from .. import history
from ..conf import settings
from ..exceptions import Overtaken
from ..models import Event, digest
from ..providers.pruned import ANYTHING, MARK, PrunedError, is_pruned, prune_body

# Replayed, an ignored event may have its effect after all: until it is pruned, which is what its
# age is for.
PRUNABLE = (Event.PROCESSED, Event.DUPLICATE, Event.IGNORED)
FINAL = (*PRUNABLE, Event.FAILED)
# For so long a provider may send an event again: 90 days at Checkout.com, by hand
# (https://www.checkout.com/docs/workflows/retrigger-events); 30 days at Stripe, by hand
# (https://docs.stripe.com/cli/events/resend), and at Adyen, by itself
# (https://docs.adyen.com/development-resources/webhooks/troubleshoot).
RESEND_DAYS = 90
# In the place of a body that nobody can read any more, as its provider is gone from the settings.
UNREADABLE = MARK + ("%s:%s" % (ANYTHING, ANYTHING)).encode()
ERASED = "erased"


class PruneError(Exception):
    """An event can't be pruned. The message says why."""


def find_final(before: datetime, include_failed: bool = False) -> models.QuerySet:
    """Return the events that were received, and became final, before a moment. Failed ones can be left out."""
    statuses = FINAL if include_failed else PRUNABLE
    return Event.objects.filter(received_at__lt=before, finished_at__lt=before, status__in=statuses)


def find_unpruned(events: models.QuerySet) -> models.QuerySet:
    """Return those of some events whose bodies are still there."""
    start = Substr("body", 1, len(MARK), output_field=models.BinaryField())
    return events.annotate(start=start).exclude(start=MARK)


def prune(event: Event) -> bool:
    """Put digests in the place of a final event's body, and return whether it was done.

    It is not done if the event is not final, was pruned before, or changed since it was read.
    Raises ``PruneError`` if a repetition of the event would not be recognized any more.
    """
    if event.status not in FINAL or is_pruned(event.body):
        return False
    return change(event, body=find_pruned_body(event))


def change(event: Event, **values: Any) -> bool:
    """Change an event's row, and return whether it was as it was read."""
    try:
        event.change(**values)
    except Overtaken:
        return False
    # What was read from the old body is cached.
    event.__dict__.pop("payload", None)
    event.__dict__.pop("data", None)
    return True


def find_pruned_body(event: Event) -> bytes:
    """Return what takes the place of an event's body. Raises ``PruneError``."""
    if is_pruned(event.body):
        return bytes(event.body)
    payload = data = None
    try:
        if not event.type:
            body = MARK
        elif event.provider not in settings.PAYMENT_WEBHOOKS_PROVIDERS:
            return UNREADABLE
        else:
            payload, data = read_afresh(event, event.body)
            body = prune_body(payload, data)
        left, left_data = read_afresh(event, body)
        is_recognized = not (left != payload or left_data != data)
    except PrunedError:
        is_recognized = not event.type
    except Exception as error:
        raise PruneError("The provider %s can't read it: %r" % (event.provider, error)) from error
    if not is_recognized:
        text = "The provider %s does not read pruned bodies. Let its payload() and read() call those of Provider."
        raise PruneError(text % event.provider)
    return body


def read_afresh(event: Event, body: Any) -> Tuple[Any, Any]:
    """Return the payload and the data that an event would have with a body."""
    other = copy(event)
    other.__dict__.pop("payload", None)
    other.__dict__.pop("data", None)
    other.body = body
    return other.payload, other.data


def delete(event: Event) -> bool:
    """Delete a final event with its history, and return whether it was done.

    From then on nothing tells that it was here: sent again, it is stored and applied again, and
    what requires it waits in vain. It is not done if the event is not final, if another event of
    its order is not, or if it changed since it was read.
    """
    if event.status not in FINAL or event.order_id and find_unfinished(event.order_id):
        return False
    database = router.db_for_write(Event)
    with transaction.atomic(using=database):
        # As in the core: the first statement locks the row, and proves that it is as it was read.
        if not change(event, error=event.error):
            return False
        Event.objects.filter(pk=event.pk).delete()
    return True


# ---- one order


def find_of_order(order_id: str) -> models.QuerySet:
    """Return the events of an order."""
    return Event.objects.filter(order_key=digest(order_id)).exclude(order_id="")


def find_unfinished(order_id: str) -> Dict[int, str]:
    """Return the events of an order that are not final: the status of each, by its primary key."""
    return dict(find_of_order(order_id).exclude(status__in=FINAL).values_list("pk", "status"))


def erase(event: Event) -> bool:
    """Erase what tells about its order from a final event and its history, and return whether it was done.

    The body, the order's id, the event's id and the error go. The keys that deduplicate stay; they are digests. It is
    not done if the event is not final or changed since it was read. Raises ``PruneError`` as :func:`prune` does.
    """
    if event.status not in FINAL:
        return False
    values = {
        "body": find_pruned_body(event),
        "provider_event_id": ERASED,
        "order_id": "",
        "error": "",
    }
    # Whoever guesses the order's id must not find the event by it. It no longer counts for what
    # requires it.
    if not change(event, order_key=digest(ERASED, event.dedup_key), **values):
        return False
    if apps.is_installed(history.__name__):
        entries = apps.get_model("payment_webhooks_history", "Entry")
        entries._default_manager.using(router.db_for_write(entries)).filter(
            event_id=event.pk
        ).update(text="")
    return True
