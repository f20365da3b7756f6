"""The messages that nudge a worker: the task that reads them, and the thread that sends them.

A project with a schema for each tenant names a class that knows its tenants. Each message then
carries the tenant's name.
"""

from __future__ import annotations

import abc
import os
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from contextvars import Context, copy_context
from functools import partial
from logging import getLogger
from multiprocessing.util import Finalize
from queue import Empty, Full, Queue
from threading import Event as Flag
from threading import RLock, Thread
from typing import Any, ContextManager, Iterable, Iterator, NamedTuple, Sequence

from appconf import AppConf
from celery import shared_task
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router, transaction
from django.dispatch import Signal

from . import signals
from .conf import load, settings
from .exceptions import Overtaken
from .models import Event
from .processing import process_event

logger = getLogger(__name__)

# One second of tolerance, as clocks differ: an event that looks early must not wait for a sweep.
AHEAD = 1
# The difference of two floating-point times is not exact.
ROUNDING = 0.001
# The sweeper has whatever exceeds this. A script can enqueue thousands in one transaction.
MAX_UNSENT = 20000
# Beyond this many, messages carry no trace: a context can be large, a key is not.
MAX_CONTEXTS = 1000
# How long a process waits for its messages before it ends, in seconds.
LAST_WAIT = 5
# How long after a message events gather for the next one, in seconds.
GATHERING_TIME = 0.02
# From this version on, uWSGI runs Python threads by default; 2.0.26 was seen not to.
UWSGI_WITH_THREADS = (2, 0, 28)
NO_THREADS = (
    "uWSGI runs no threads: messages are only sent while a request is answered, so that each one "
    "waits for the next request."
)
#: None of the events in a message is in this database. Arguments: ``keys``.
events_missing = Signal()


class PublisherConf(AppConf):
    """How many events a message names, and the times of its task and its publisher, in seconds."""

    MESSAGE_SIZE = 100
    # The time after which a task hands back the rest of its message.
    TASK_TIME = 1
    # How long a process leaves the broker alone after a failure.
    PUBLISH_PAUSE = 5
    # The class that knows the project's tenants, each with a schema of its own.
    TENANTS = "django_payment_webhooks.publisher.NoTenants"

    class Meta:
        prefix = "payment_webhooks"


# ---- where the events are


class Tenants(abc.ABC):
    """The tenants of a project, each with a non-empty name."""

    @abc.abstractmethod
    def current(self) -> str:
        """Return the name of the tenant whose rows are in use now, or "" if there is none."""

    @abc.abstractmethod
    def enter(self, name: str) -> ContextManager[Any]:
        """Return a context manager in which a tenant's rows are read and written.

        On exit it restores the previous state. Raises an error if there is no such tenant.
        """

    @abc.abstractmethod
    def all(self) -> Iterable[str]:
        """Return the names of all tenants that have events."""


class NoTenants(Tenants):
    """All events are in one place."""

    def current(self) -> str:
        """Return the empty name, which stands for no tenant."""
        return ""

    def enter(self, name: str) -> ContextManager[Any]:
        """Refuse a name: its sender knows tenants. Raises ``ImproperlyConfigured``."""
        raise ImproperlyConfigured(
            f"A message is for the tenant {name!r}, and PAYMENT_WEBHOOKS_TENANTS names none in this"
            " process. Start it with the settings of the process that sent the message."
        )

    def all(self) -> Iterable[str]:
        """Return the only place there is."""
        return [""]


def get_tenants() -> Tenants:
    """Return the tenants that the settings name."""
    tenants: Tenants = load(settings.PAYMENT_WEBHOOKS_TENANTS)
    return tenants


def enter_tenant(name: str) -> ContextManager[Any]:
    """Return a context manager in which a tenant's rows, "" for no tenant's, are in use."""
    return get_tenants().enter(name) if name else nullcontext()


# ---- what a message does


@shared_task(name="payment_webhooks.process_events", ignore_result=True)
def process(keys: Sequence[int], tenant: str = "") -> None:
    """Process those of these events whose rows say that they are due. This is all a worker does.

    What is left after the task's time, or when the worker must stop, is handed back as two messages
    so that a burst spreads over the workers.
    """
    ends_at = time.monotonic() + settings.PAYMENT_WEBHOOKS_TASK_TIME
    with enter_tenant(tenant):
        events = find_due(keys)
        try:
            while events:
                attempt(events.pop(0))
                if time.monotonic() > ends_at:
                    break
        finally:
            middle = len(events) // 2
            enqueue(events[:middle])
            enqueue(events[middle:])


def find_due(keys: Sequence[int]) -> list[Event]:
    """Return the events of a message that are due, the oldest first.

    Reports a message whose events do not exist: its sender may use another database.
    """
    named = Event.objects.filter(pk__in=keys)
    due = named.filter(due_at__lte=time.time() + AHEAD)
    events = list(due.defer("body").order_by("pk"))
    if not events and keys and not named.exists():
        events_missing.send_robust(Event, keys=keys)
    return events


def attempt(event: Event) -> None:
    """Make an attempt at an event, unless its lease is over and its worker still has it."""
    connection = connections[router.db_for_write(Event)]
    # A new event can only be locked by a worker that has since taken it and changed its version, so
    # that no look at the lock is needed. MySQL would still wait for that lock.
    if event.attempts or connection.vendor == "mysql":
        try:
            with unless_locked(event):
                pass
        except Overtaken:
            return
    process_event(event)


@contextmanager
def unless_locked(event: Event) -> Iterator[None]:
    """Hold the lock of an event's row without waiting for it: its holder is working on the event.

    Raises ``Overtaken`` if it is locked. Waits on a database that can't skip locked rows.
    """
    database = router.db_for_write(Event)
    with transaction.atomic(using=database):
        if connections[database].features.has_select_for_update_skip_locked:
            free = Event.objects.select_for_update(skip_locked=True).filter(pk=event.pk)
            if not free.values_list("pk"):
                raise Overtaken
        yield


def enqueue(events: Sequence[Event]) -> None:
    """Nudge the workers about the events that are due, once those are committed."""
    load(settings.PAYMENT_WEBHOOKS_PUBLISHER).publish(events)


def flush(timeout: float = LAST_WAIT) -> bool:
    """Wait, at most ``timeout`` seconds, until everything this process has enqueued is sent.

    Returns whether it is; the sweeper has the rest. A process that ends waits automatically, unless
    ``os._exit`` or a signal ends it.
    """
    is_sent: bool = load(settings.PAYMENT_WEBHOOKS_PUBLISHER).flush(timeout)
    return is_sent


def send_message(keys: Sequence[int], tenant: str | None = None) -> None:
    """Send a message that names events, at once; the current tenant's unless another is given.

    Raises what the broker's client raises.
    """
    name = get_tenants().current() if tenant is None else tenant
    arguments = (list(keys), name) if name else (list(keys),)
    process.apply_async(arguments, retry=False)


class Nudge(NamedTuple):
    """The keys of a tenant's due events, and the context in which they became due."""

    keys: list[int]
    context: Context
    travels_alone: bool
    tenant: str = ""


class ThreadPublisher:
    """Sends the gathered events as one message.

    The first event is sent at once; those that come soon after it gather for a moment, so that
    under load a message names many. After a failure the broker is left alone for a while. Messages
    may be lost: the sweeper makes up for them.
    """

    def __init__(self) -> None:
        self.reset()
        # In a forked child: the parent sends its own messages.
        os.register_at_fork(after_in_child=self.reset)
        if lacks_threads():
            logger.error("%s Set enable-threads = true.", NO_THREADS)

    def reset(self) -> None:
        """Start with nothing to send and no thread."""
        self.unsent: Queue[Nudge] = Queue(MAX_UNSENT)
        self.next: Nudge | None = None
        self.thread = Thread()
        # One caller at a time looks whether there is a thread.
        self.starting = RLock()
        # Waits for the last messages when the process ends.
        self.last_wait: Finalize | None = None
        # Set while a caller waits for everything to be sent.
        self.is_urgent = Flag()

    def publish(self, events: Sequence[Event]) -> None:
        """Enqueue the events that are due, once they are committed.

        Neither waits for the broker nor raises. An event that may have killed a worker travels
        alone. Several events stay together and are not joined by others, as the caller divided them
        so.
        """
        now = time.time() + AHEAD
        due = [event for event in events if event.due_at is not None and event.due_at <= now]
        if due:
            # By the time of the commit, another tenant may be current.
            nudge = partial(self.nudge, due, get_tenants().current())
            transaction.on_commit(nudge, using=router.db_for_write(Event))

    def nudge(self, events: Sequence[Event], tenant: str = "") -> None:
        """Pass the due events to the thread. With an eager Celery, process them here."""
        if process.app.conf.task_always_eager:
            process([event.pk for event in events], tenant)
            return
        is_alone = len(events) == 1 and is_suspect(events[0])
        # Several swept events stay together: no worker has tried them since.
        suspects = [event.pk for event in events if is_alone or event.attempts]
        others = [event.pk for event in events if event.pk not in suspects]
        size = settings.PAYMENT_WEBHOOKS_MESSAGE_SIZE
        for key in suspects:
            self.put([key], True, tenant)
        for start in range(0, len(others), size):
            self.put(others[start : start + size], len(others) > 1, tenant)

    def put(self, keys: list[int], travels_alone: bool, tenant: str = "") -> None:
        """Pass a nudge to the thread, and start the thread if there is none."""
        # With the caller's context, so that its trace continues in the message.
        context = copy_context() if self.unsent.qsize() < MAX_CONTEXTS else Context()
        with suppress(Full):
            self.unsent.put_nowait(Nudge(keys, context, travels_alone, tenant))
        self.start()

    def start(self) -> None:
        """Start the thread if there is none, as in a process that was just forked."""
        with self.starting:
            if self.thread.is_alive():
                return
            self.thread = Thread(target=self.run, daemon=True)
            with suppress(RuntimeError):  # no thread is left: the sweeper has it
                self.thread.start()
                # Not by atexit, which children of multiprocessing skip.
                self.last_wait = self.last_wait or Finalize(
                    None, self.flush, [LAST_WAIT], exitpriority=0
                )

    def run(self) -> None:
        """Send messages for ever. This is the thread."""
        while True:
            nudges = self.gather()
            try:
                self.send(nudges)
            except Exception as error:
                signals.enqueue_failed.send_robust(Event, error=error)
                time.sleep(settings.PAYMENT_WEBHOOKS_PUBLISH_PAUSE)
            for _ in nudges:
                self.unsent.task_done()
            if not nudges[0].travels_alone:
                # The web server's threads need the interpreter more than the next message does.
                self.is_urgent.wait(GATHERING_TIME)

    def gather(self) -> list[Nudge]:
        """Return nudges that can travel together: the next, and those already waiting behind it."""
        nudges = [self.next or self.unsent.get()]
        self.next = None
        while not nudges[0].travels_alone and len(nudges) < settings.PAYMENT_WEBHOOKS_MESSAGE_SIZE:
            try:
                found = self.unsent.get_nowait()
            except Empty:
                break
            if found.travels_alone:
                self.next = found
                break
            nudges.append(found)
        return nudges

    def send(self, nudges: Sequence[Nudge]) -> None:
        """Send one message for each tenant. Raises what the broker's client raises."""
        for tenant in dict.fromkeys(nudge.tenant for nudge in nudges):
            self.send_together([nudge for nudge in nudges if nudge.tenant == tenant])

    def send_together(self, nudges: Sequence[Nudge]) -> None:
        """Send one message for the nudges of one tenant."""
        keys = [key for nudge in nudges for key in nudge.keys]
        if len(nudges) == 1:
            nudges[0].context.run(send_message, keys, nudges[0].tenant)
            return
        with self.link([nudge.context for nudge in nudges]):
            send_message(keys, nudges[0].tenant)

    def link(self, contexts: Sequence[Context]) -> ContextManager[Any]:
        """Return a context manager for sending several nudges: here it does nothing."""
        return nullcontext()

    def flush(self, timeout: float) -> bool:
        """Wait until everything is sent, at most ``timeout`` seconds. Returns whether it is."""
        ends_at = time.monotonic() + timeout
        if self.unsent.unfinished_tasks:
            self.start()
        self.is_urgent.set()
        with self.unsent.all_tasks_done:
            while self.unsent.unfinished_tasks and self.thread.is_alive():
                left = ends_at - time.monotonic()
                if left <= 0:
                    break
                self.unsent.all_tasks_done.wait(left)
        self.is_urgent.clear()
        return not self.unsent.unfinished_tasks


def find_limit_faults(hard: float | None, soft: float | None) -> Iterator[str]:
    """Yield problems with Celery's time limits, in seconds; None or 0 is no limit."""
    limits = {"Celery's hard time limit": hard, "Celery's soft time limit": soft}
    given = {name: limit for name, limit in limits.items() if limit}
    for name, limit in list(given.items())[:1]:
        lease = settings.PAYMENT_WEBHOOKS_LEASE
        if limit >= lease:
            yield (
                f"{name} is {limit} seconds, and PAYMENT_WEBHOOKS_LEASE is {lease}: while a task "
                f"hangs, a second worker takes its event, and deliver() can run twice at once."
            )
    for name, limit in given.items():
        task_time = settings.PAYMENT_WEBHOOKS_TASK_TIME
        if limit <= task_time:
            yield (
                f"{name} is {limit} seconds, and PAYMENT_WEBHOOKS_TASK_TIME is {task_time}: it "
                f"ends tasks that are not slow, and each counts as a failed attempt of an event."
            )


def lacks_threads() -> bool:
    """Return whether this is a uWSGI process that runs no Python threads."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None or tuple(uwsgi.version_info[:3]) >= UWSGI_WITH_THREADS:
        return False
    # The values are bytes or True; the keys were bytes only in Python 2.
    return not any(uwsgi.opt.get(option) for option in ("enable-threads", "threads"))


def is_suspect(event: Event) -> bool:
    """Return whether an event was tried or swept before, so that it may have killed a worker."""
    if event.attempts or event.due_at is None or event.enqueue_at is None:
        return True
    swept: bool = event.enqueue_at > event.due_at + settings.PAYMENT_WEBHOOKS_SWEEP_GRACE + ROUNDING
    return swept
