"""Runs an operation on one event completely or not at all, whatever else changes its rows."""

from __future__ import annotations

from functools import partial, wraps
from typing import Any, Callable

from django.db import DatabaseError, connections, router, transaction
from django.utils.translation import gettext

from ..conf import load, settings
from ..exceptions import Overtaken
from ..models import Event
from ..retrying import is_transient


class OperationError(Exception):
    """An operation was refused, and nothing has changed. The message tells an operator why."""


class LockedError(OperationError):
    """Another process keeps a row locked that must be changed."""


def operation(function: Callable[..., bool]) -> Callable[..., bool]:
    """Make a function change one event, its first argument, completely or not at all.

    It runs in a transaction, and is retried at once while the database is briefly locked. It
    returns whether it was done: not if another process has changed the event since it was read. If
    it raises, the event is as it was read. Raises ``LockedError`` if the row stays locked.
    """

    @wraps(function)
    def run(event: Event, *args: Any, **kwargs: Any) -> bool:
        try:
            done: bool = commit(partial(run_once, function, event, *args, **kwargs))
        except Overtaken:
            return False
        return done

    return run


def commit(change: Callable[[], Any]) -> Any:
    """Call a function in a transaction, and return its result.

    It is retried at once, a few times, while the database is briefly locked. Raises ``LockedError``
    if that lasts. Inside another transaction it is called once, as only the one that began the
    transaction can retry it.
    """
    database = router.db_for_write(Event)
    change = transaction.atomic(using=database)(change)
    if connections[database].in_atomic_block:
        return change()
    try:
        return load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY).run(change)
    except DatabaseError as error:
        if not is_transient(error):
            raise
        text = gettext("Another process has it locked. Nothing was changed; try again later.")
        raise LockedError(text) from error


def run_once(function: Callable[..., bool], event: Event, *args: Any, **kwargs: Any) -> bool:
    """Change an event whose row is locked, or leave it as it was read."""
    before = dict(vars(event))
    try:
        lock(event)
        return function(event, *args, **kwargs)
    except BaseException:
        event.__dict__.clear()
        event.__dict__.update(before)
        raise


def lock(event: Event) -> None:
    """Lock an event's row. Raises an error, where possible, if another process has it for long.

    Not on SQLite, where a transaction that has read may not be allowed to write.
    """
    if connections[router.db_for_write(Event)].features.has_select_for_update_nowait:
        rows = Event.objects.select_for_update(nowait=True).filter(pk=event.pk)
        list(rows.values_list("pk"))
