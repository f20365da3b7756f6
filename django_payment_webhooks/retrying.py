"""Decides what follows from an attempt's error, for the worker and the dry run alike."""

from __future__ import annotations

import random
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Iterator, NamedTuple, Sequence

from appconf import AppConf
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, IntegrityError, connections, router
from django.utils import translation
from django.utils.http import parse_http_date_safe
from django.utils.module_loading import import_string
from kombu.utils.functional import retry_over_time

from . import signals
from .conf import get_provider, settings
from .exceptions import NothingToDo, NotReady, Overtaken, PermanentFailure
from .handlers import Handler
from .models import Event, digest
from .providers.causes import describe_origin, name_cause
from .providers.comparison import find_difference
from .providers.confirmed import UNCONFIRMED, accept, is_unconfirmed
from .providers.escaping import cut
from .providers.loading import find_loading_problem
from .providers.modes import check_mode
from .providers.subject import find_order, has_had, learn_order

# MySQL's and PostgreSQL's codes for errors that pass: a lock that another session holds, a lock
# timeout, a row that changed, a deadlock.
LOCK_TIMEOUTS = {1205, 3572, "55P03"}
TRANSIENT_ERRORS = {1020, 1213, "40001", "40P01", *LOCK_TIMEOUTS}
# The client errors that can pass: 408, 425 (RFC 8470) and 429 (RFC 6585).
PASSING_STATUSES = {408, 425, 429}
# What a method returns if it is not a plain function: none of its body has run.
UNFINISHED = (Awaitable, Generator, AsyncGenerator)
# Statements that change something, even after a WITH.
WRITE = re.compile(
    r"(\s|/\*.*?\*/)*(WITH\b.*\b)?"
    r"(INSERT|UPDATE|DELETE|REPLACE|MERGE|CREATE|ALTER|DROP|TRUNCATE|CALL|COPY)\b",
    re.IGNORECASE | re.DOTALL,
)
MAX_REASON = 500
# Why an event without a handler is ignored.
NO_HANDLER = "There is no handler for its type."


class RetryConf(AppConf):
    """How long an event waits, and how often and how soon it is retried. Times are in seconds."""

    # A waiting event is looked at after the grace, then after twice as long each time.
    SWEEP_CEILING = 60 * 60
    WAIT_DEADLINE = 3 * 24 * 60 * 60
    # A failed attempt is retried after base, 2 base, 4 base, ... but never later than the ceiling.
    MAX_ATTEMPTS = 25
    BACKOFF_BASE = 5
    BACKOFF_CEILING = 4 * 60 * 60

    class Meta:
        prefix = "payment_webhooks"


class Decision(NamedTuple):
    """What follows from an attempt's error.

    The event gets the ``status``, with the ``reason``. It is due again in ``delay`` seconds, or is
    finished if that is None; ``attempts`` is the number that counts from now on. ``holder`` is the
    event that had the effect, if this one contradicts it.
    """

    status: str
    reason: str
    delay: float | None = None
    attempts: int = 0
    holder: Event | None = None


class RetryPolicy:
    """Backs off exponentially, respects ``Retry-After``, and gives up when there is no point."""

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function, and retry it at once a few times after an error that asks for it.

        Time is bounded, too: what has waited long for a lock does not wait again.
        """
        return retry_over_time(
            function, DatabaseError, args, errback=pause, max_retries=5, timeout=3
        )

    def insert(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that inserts, and retry it also if another process was first.

        Even a single INSERT can be a deadlock's victim.
        """
        return retry_over_time(
            function, DatabaseError, args, errback=pause_unless_lost, max_retries=5, timeout=3
        )

    def call(self, method: Callable[[Event], Any], event: Event) -> Any:
        """Call a method of a handler.

        Raises ``PermanentFailure`` if it did nothing, or if the event has no attempt left.
        """
        if event.attempts > settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS:
            raise PermanentFailure(f"The worker did not survive the last attempt. {event.error}")
        result = method(event)
        if result is not None and isinstance(result, UNFINISHED):
            name = getattr(method, "__name__", "the handler")
            raise PermanentFailure(f"{name}() is async or a generator: it did nothing.")
        return result

    def find_handler(self, event: Event) -> Handler:
        """Return the handler for an event, once its provider has confirmed it if it must.

        Raises ``NothingToDo`` if there is none, and whatever asking the provider raises.
        """
        if is_unconfirmed(event):
            accept(event, self.call(get_provider(event.provider).confirm, event))
        handler = get_handler(event.type)
        if handler is None:
            raise NothingToDo(NO_HANDLER)
        return handler

    def prepare(self, handler: Handler, event: Event) -> None:
        """Find an event's order, and let its handler prepare.

        Raises ``NothingToDo`` for a test-mode event if only live ones count, and the reverse.
        """
        check_mode(event)
        learn_order(event)
        self.call(handler.prepare, event)

    def is_ready(self, handler: Handler, event: Event) -> bool:
        """Return whether an event can be applied: its handler says so, and its order is known."""
        # Last, as what the event waited for may have named the order since it was prepared.
        return bool(self.call(handler.is_ready, event)) and find_order(event) is None

    def has_had(self, types: Sequence[str], event: Event) -> bool:
        """Return whether other events of these types and this subject have had their effects."""
        return has_had(types, event)

    def deliver(self, handler: Handler, event: Event) -> None:
        """Let a handler call other systems, with at least half the lease left."""
        lease = settings.PAYMENT_WEBHOOKS_LEASE
        if event.due_at < time.time() + lease / 2:
            event.reschedule(lease)
        self.call(handler.deliver, event)

    def call_guarded(self, method: Callable[[Event], Any], event: Event) -> Any:
        """Call a handler's method in its transaction. It may write to that database alone."""
        with write_nowhere_else():
            return self.call(method, event)

    def find_key(self, handler: Handler, event: Event) -> str:
        """Return the key of an event's effect. Raises ``PermanentFailure`` if it has no name."""
        name = self.call(handler.idempotency_key, event)
        if not isinstance(name, str) or not name.strip():
            raise PermanentFailure(f"idempotency_key() returned {name!r}, which names no effect.")
        return digest(name)

    def record(self, event: Event, error: Exception) -> None:
        """Record what follows from an attempt's error. Raises a soft time limit's error again."""
        if isinstance(error, Overtaken):
            return  # another process has the event now
        decision = self.decide(event, error)
        try:
            carry_out(event, decision, error)
        except Overtaken:
            signals.event_overtaken.send_robust(Event, event=event, error=error)
        if isinstance(error, SoftTimeLimitExceeded):
            raise error

    def decide(self, event: Event, error: Exception) -> Decision:
        """Return what follows from an error. Never raises, however broken the error is."""
        held = decide_by_holder(event, error)
        if held is not None:
            return held
        if isinstance(error, NothingToDo):
            return decide_nothing(event, error)
        if isinstance(error, NotReady) and event.status != Event.APPLIED:
            return decide_wait(event, error)
        return decide_retry(event, error)


def start_over(event: Event) -> None:
    """Make an event due as if it were new. If its effect is committed, only its delivery is."""
    event.reschedule(
        0,
        settings.PAYMENT_WEBHOOKS_SWEEP_GRACE,
        status=Event.APPLIED if event.idempotency_key else Event.RECEIVED,
        attempts=0,
        error="",
        cause_key=None,
        waiting_since=None,
        finished_at=None,
        # The provider is asked again, as its answer may have changed.
        confirmation=None if event.confirmation is None else UNCONFIRMED,
    )


def get_handler(event_type: str) -> Handler | None:
    """Return a new handler for a type of event, or None."""
    path = settings.PAYMENT_WEBHOOKS_HANDLERS.get(event_type)
    return import_string(path)() if path else None


def pause(error: DatabaseError, *_: Any) -> float:
    """Return how many seconds to pause. Raises an error that will not pass."""
    if not is_transient(error):
        raise error
    return random.uniform(0.01, 0.1)


def is_transient(error: DatabaseError) -> bool:
    """Return whether a database error can pass without anyone's help."""
    return bool(find_codes(error) & TRANSIENT_ERRORS) or "is locked" in describe(error)


def pause_unless_lost(error: DatabaseError, *_: Any) -> float:
    """Return how many seconds to pause, even if a unique key shows that another was first."""
    return 0.01 if isinstance(error, IntegrityError) else pause(error)


def find_codes(error: DatabaseError) -> set[int | str]:
    """Return the codes that the database driver gave to an error."""
    cause = error.__cause__
    codes = [getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *error.args[:1]]
    # A handler can raise such an error itself, with arguments of any kind.
    return {code for code in codes if isinstance(code, (int, str))}


@contextmanager
def write_nowhere_else() -> Iterator[None]:
    """Refuse writes to any database but the events', since they could not be rolled back together.

    Django 1.11 has no such hook: there, only the system check finds it.
    """

    def refuse(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if WRITE.match(sql):
            raise PermanentFailure(
                "The handler wrote to another database than the events'. They can't be committed "
                "together: route both to one database, or write in deliver()."
            )
        return execute(sql, *args)

    with ExitStack() as stack:
        for alias in set(connections) - {router.db_for_write(Event)}:
            if hasattr(connections[alias], "execute_wrapper"):
                stack.enter_context(connections[alias].execute_wrapper(refuse))
        yield


# ---- what follows from an error


def decide_nothing(event: Event, reason: NothingToDo) -> Decision:
    """Return how an event ends when it, or its delivery, has nothing to do.

    If the handler is gone from the settings, an effect that was not delivered is a failure.
    """
    text = storable(str(reason))
    if event.status != Event.APPLIED:
        return Decision(Event.IGNORED, text)
    if get_handler(event.type) is None:
        return Decision(Event.FAILED, text)
    return Decision(Event.PROCESSED, text)


def decide_wait(event: Event, unmet: NotReady) -> Decision:
    """Return how long an event waits for what it requires. A look does not count as an attempt."""
    since = event.waiting_since or time.time()
    left = settings.PAYMENT_WEBHOOKS_WAIT_DEADLINE - (time.time() - since)
    if left <= 0:
        return Decision(Event.FAILED, storable(f"{unmet} That did not come in time."))
    delay = min(find_pause(since), left)
    return Decision(Event.WAITING, storable(str(unmet)), delay, max(event.attempts - 1, 0))


def find_pause(since: float) -> float:
    """Return how many seconds to leave an event alone: as long as it has waited, within bounds."""
    age = min(time.time() - since, settings.PAYMENT_WEBHOOKS_SWEEP_CEILING)
    pause: float = max(age, settings.PAYMENT_WEBHOOKS_SWEEP_GRACE)
    return pause


def decide_by_holder(event: Event, error: Exception) -> Decision | None:
    """Return what follows if an event has had the effect already, or None if none has.

    If that is the event itself, it was half applied: its transaction ended before its handler.
    """
    key = vars(event).get("claimed")
    holder = find_holder(key) if key and event.status != Event.APPLIED else None
    if holder is None:
        return None
    if holder.pk == event.pk and holder.version == event.version + 1:
        event.version = holder.version
        event.idempotency_key = holder.idempotency_key
        text = (
            "A part of its effects is committed: the handler ended the transaction (by COMMIT, or "
            "by DDL on MySQL), then failed. Complete them by hand, then resolve the event. The "
            f"error was {describe(error)}."
        )
        return Decision(Event.FAILED, storable(text))
    if holder.pk == event.pk or not isinstance(error, IntegrityError):
        return None
    if event.order_key and holder.order_key not in ("", event.order_key):
        text = f"{holder}, of order {holder.order_id}, had this effect already."
        return Decision(Event.FAILED, storable(text))
    difference = find_difference(holder, event)
    text = f"{holder} had this effect already. {difference}".strip()
    return Decision(Event.DUPLICATE, storable(text), holder=holder if difference else None)


def find_holder(key: str) -> Event | None:
    """Return the event that has an effect, or None if there is none or the database can't say."""
    try:
        holder: Event | None = Event.objects.filter(idempotency_key=key).defer("body").first()
    except DatabaseError:
        return None
    return holder


def decide_retry(event: Event, error: Exception) -> Decision:
    """Return when a failed attempt is retried, if it is."""
    reason = describe(error)
    if isinstance(error, DatabaseError) and find_codes(error) & LOCK_TIMEOUTS:
        # Another process holds what the event needs: that does not count as an attempt.
        delay = settings.PAYMENT_WEBHOOKS_BACKOFF_BASE
        return Decision(event.status, reason, delay, max(event.attempts - 1, 0))
    with translation.override(None):  # what is stored is in English
        problem = find_loading_problem(event.provider)
    if problem:
        # A mistake in the settings never counts as an attempt: the event is not to blame.
        delay = settings.PAYMENT_WEBHOOKS_LEASE
        return Decision(event.status, storable(problem), delay, max(event.attempts - 1, 0))
    is_last = event.attempts >= settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS
    if is_last or isinstance(error, PermanentFailure) or is_rejected(error):
        return Decision(Event.FAILED, reason)
    ceiling = settings.PAYMENT_WEBHOOKS_BACKOFF_CEILING
    backoff = min(settings.PAYMENT_WEBHOOKS_BACKOFF_BASE * 2 ** (event.attempts - 1), ceiling)
    asked = min(find_retry_after(error), ceiling)
    delay = max(random.uniform(backoff / 2, backoff), asked)
    return Decision(event.status, reason, delay, event.attempts)


def describe(error: Exception) -> str:
    """Return an error as text that every database can store."""
    try:
        return storable(f"{error!r}{describe_origin(error)}")
    except Exception:
        return f"{type(error).__name__}, which can't be described"


def storable(text: str) -> str:
    """Return a text of bounded length, without what some database can't store."""
    text = text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    return cut(text, MAX_REASON)


def find_response(error: Exception, name: str) -> Any:
    """Return an attribute of an error's response, as in requests and httpx; None without one."""
    try:
        return getattr(getattr(error, "response", None), name, None)
    except Exception:
        return None


def is_rejected(error: Exception) -> bool:
    """Return whether another system has said that it will never accept this."""
    status = find_response(error, "status_code")
    return isinstance(status, int) and 400 <= status < 500 and status not in PASSING_STATUSES


def find_retry_after(error: Exception) -> float:
    """Return how many seconds another system asks us to wait: RFC 9110, 10.2.3."""
    try:
        asked = str(find_response(error, "headers").get("Retry-After", "")).strip()
        if asked.isdecimal():
            return float(asked[:9])
        moment = parse_http_date_safe(asked)
    except Exception:
        return 0.0
    return moment - time.time() if moment else 0.0


def carry_out(event: Event, decision: Decision, error: Exception) -> None:
    """Change the event's row as decided. Raises ``Overtaken``."""
    waits = isinstance(error, NotReady) and decision.status == Event.WAITING
    has_failed = decision.status == Event.FAILED or not (waits or decision.delay is None)
    key = name_cause(event, decision.reason, error) if has_failed else None
    if decision.delay is None:
        raised = error if has_failed else None
        event.finish(decision.status, decision.reason, key, raised=raised)
        if decision.holder is not None:
            signals.event_conflicted.send_robust(Event, event=decision.holder, other=event)
        return
    values: dict[str, Any] = {
        "status": decision.status,
        "error": decision.reason,
        "cause_key": key,
        "attempts": decision.attempts,
    }
    if waits:
        values["waiting_since"] = event.waiting_since or time.time()
    event.reschedule(decision.delay, raised=error, **values)
    if not waits:
        signals.event_retried.send_robust(Event, event=event, error=error)
