"""The messages that nudge a worker: the task that reads them, and a thread that sends them.

A project that keeps each tenant's rows in a schema of its own names a class that knows the tenants:
the name of the tenant travels with each message.
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
from threading import Thread
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

# A second ahead, as the clocks of two machines differ: an event must not be late for being early.
AHEAD = 1
# A difference of two times is not exact.
ROUNDING = 0.001
# Beyond this many, the sweeper has the rest. A script can enqueue thousands in one transaction.
MAX_UNSENT = 20000
# Beyond this many, an event has no trace in its message: a context can be large, a key is not.
MAX_CONTEXTS = 1000
# How long a process that ends waits for its messages, in seconds.
LAST_WAIT = 5
# How long what comes after a message gathers for the next one, in seconds.
GATHERING_TIME = 0.02
# From this version on uWSGI was seen to run Python threads unasked; 2.0.26 does not.
UWSGI_WITH_THREADS = (2, 0, 28)
NO_THREADS = (
    "uWSGI runs no threads: messages are only sent while a request is answered, so that each one "
    "waits for the next request."
)
#: A message names events of which none is in this database. Arguments: ``keys``.
events_missing = Signal()


class PublisherConf(AppConf):
    """How much a message names, and how long, in seconds, its task and its publisher take."""

    MESSAGE_SIZE = 100
    # After how long a task hands back what is left of its message.
    TASK_TIME = 1
    # How long a process leaves the broker alone after it failed.
    PUBLISH_PAUSE = 5
    # The class that knows the tenants of a project, each with a schema of its own.
    TENANTS = "django_payment_webhooks.publisher.NoTenants"

    class Meta:
        prefix = "payment_webhooks"


# ---- where the events are


class Tenants(abc.ABC):
    """The tenants of a project, each known by a name that is not empty."""

    @abc.abstractmethod
    def current(self) -> str:
        """Return the name of the tenant whose rows are read and written now; "" if it is none's."""

    @abc.abstractmethod
    def enter(self, name: str) -> ContextManager[Any]:
        """Return a context manager within which the rows of a tenant are read and written.

        Afterwards it is as it was before. Raises an error if there is no such tenant.
        """

    @abc.abstractmethod
    def all(self) -> Iterable[str]:
        """Return the names of all tenants that have events."""


class NoTenants(Tenants):
    """All events are in one place."""

    def current(self) -> str:
        """Return the name that stands for no tenant."""
        return ""

    def enter(self, name: str) -> ContextManager[Any]:
        """Refuse: whoever sent this name knows tenants. Raises ``ImproperlyConfigured``."""
        raise ImproperlyConfigured(
            f"A message is for the tenant {name!r}, and PAYMENT_WEBHOOKS_TENANTS names none in this"
            " process. Start it with the settings of the process that sent the message."
        )

    def all(self) -> Iterable[str]:
        """Return the one place that there is."""
        return [""]


def get_tenants() -> Tenants:
    """Return the tenants that the settings name."""
    tenants: Tenants = load(settings.PAYMENT_WEBHOOKS_TENANTS)
    return tenants


def enter_tenant(name: str) -> ContextManager[Any]:
    """Return a context manager within which the rows of a tenant, "" for none, are at hand."""
    return get_tenants().enter(name) if name else nullcontext()


# ---- what a message does


@shared_task(name="payment_webhooks.process_events", ignore_result=True)
def process(keys: Sequence[int], tenant: str = "") -> None:
    """Do what the rows of these events say is due, or nothing. This is all that a worker does.

    What is left after the task's time, or when the worker must stop, is handed back as two
    messages, so that a burst spreads over the workers.
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

    Reports it if there is none of them at all: whoever sent the message may write to another
    database.
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
    # One that is read as new can only be locked by a worker that has taken it since, which changed
    # its version: MySQL would wait for that lock all the same.
    if event.attempts or connection.vendor == "mysql":
        try:
            with unless_locked(event):
                pass
        except Overtaken:
            return
    process_event(event)


@contextmanager
def unless_locked(event: Event) -> Iterator[None]:
    """Lock an event's row meanwhile, but never wait for it: whoever has it is at work on it.

    Raises ``Overtaken`` if it is locked. Where the database can't skip locked rows, this waits.
    """
    database = router.db_for_write(Event)
    with transaction.atomic(using=database):
        if connections[database].features.has_select_for_update_skip_locked:
            free = Event.objects.select_for_update(skip_locked=True).filter(pk=event.pk)
            if not free.values_list("pk"):
                raise Overtaken
        yield


def enqueue(events: Sequence[Event]) -> None:
    """Nudge the workers about those events that are due, once they are committed."""
    load(settings.PAYMENT_WEBHOOKS_PUBLISHER).publish(events)


def flush(timeout: float = LAST_WAIT) -> bool:
    """Wait until what this process has enqueued is sent, for a bounded number of seconds.

    Returns whether it is; what is not is left to the sweeper. A process that ends waits by itself,
    unless ``os._exit`` or a signal ends it.
    """
    is_sent: bool = load(settings.PAYMENT_WEBHOOKS_PUBLISHER).flush(timeout)
    return is_sent


def send_message(keys: Sequence[int], tenant: str | None = None) -> None:
    """Send a message that names events, now; of the current tenant unless another is given.

    Raises what the broker's client raises.
    """
    name = get_tenants().current() if tenant is None else tenant
    arguments = (list(keys), name) if name else (list(keys),)
    process.apply_async(arguments, retry=False)


class Nudge(NamedTuple):
    """The keys of a tenant's events that are due, and the context in which they became so."""

    keys: list[int]
    context: Context
    travels_alone: bool
    tenant: str = ""


class ThreadPublisher:
    """Sends what has gathered as one message.

    An event that comes alone is sent at once; what comes soon after it gathers for a moment, so
    that a message names many under load. After a failure the broker is left alone for a while. No
    message must arrive: the sweeper has what is lost.
    """

    def __init__(self) -> None:
        self.reset()
        # In a process that was forked: the parent sends what is the parent's.
        os.register_at_fork(after_in_child=self.reset)
        if lacks_threads():
            logger.error("%s Set enable-threads = true.", NO_THREADS)

    def reset(self) -> None:
        """Begin with nothing to send, and without a thread."""
        self.unsent: Queue[Nudge] = Queue(MAX_UNSENT)
        self.next: Nudge | None = None
        self.thread = Thread()
        # What waits for the last messages when the process ends.
        self.last_wait: Finalize | None = None
        # Whether a caller waits for all to be sent.
        self.is_urgent = Flag()

    def publish(self, events: Sequence[Event]) -> None:
        """Have messages sent that name those events that are due, once they are committed.

        Neither waits for the broker nor raises. What may have killed a worker travels alone.
        Several events stay together, and join no others: whoever divided them did so on purpose.
        """
        now = time.time() + AHEAD
        due = [event for event in events if event.due_at is not None and event.due_at <= now]
        if due:
            # The tenant can be another one by the time of the commit.
            nudge = partial(self.nudge, due, get_tenants().current())
            transaction.on_commit(nudge, using=router.db_for_write(Event))

    def nudge(self, events: Sequence[Event], tenant: str = "") -> None:
        """Leave to the thread which events are due. With an eager Celery, process them here."""
        if process.app.conf.task_always_eager:
            process([event.pk for event in events], tenant)
            return
        is_alone = len(events) == 1 and is_suspect(events[0])
        # Of several those that were swept stay together: nobody has tried them since.
        suspects = [event.pk for event in events if is_alone or event.attempts]
        others = [event.pk for event in events if event.pk not in suspects]
        size = settings.PAYMENT_WEBHOOKS_MESSAGE_SIZE
        for key in suspects:
            self.put([key], True, tenant)
        for start in range(0, len(others), size):
            self.put(others[start : start + size], len(others) > 1, tenant)

    def put(self, keys: list[int], travels_alone: bool, tenant: str = "") -> None:
        """Leave something to the thread, and start that if there is none."""
        # In the caller's context, so that its trace goes on in the message.
        context = copy_context() if self.unsent.qsize() < MAX_CONTEXTS else Context()
        with suppress(Full):
            self.unsent.put_nowait(Nudge(keys, context, travels_alone, tenant))
        self.start()

    def start(self) -> None:
        """Start the thread if there is none, or if a fork has left it behind."""
        if not self.thread.is_alive():
            self.thread = thread = Thread(target=self.run, daemon=True)
            with suppress(RuntimeError):  # no thread is left: the sweeper has it
                thread.start()
                # Not by atexit, which the children of multiprocessing do not ask.
                self.last_wait = self.last_wait or Finalize(
                    None, self.flush, [LAST_WAIT], exitpriority=0
                )

    def run(self) -> None:
        """Send messages, for ever, however long each takes. This is the thread."""
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
        """Return what can travel together: a nudge, and those that are there by now."""
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
        """Send one message, for nudges of one tenant."""
        keys = [key for nudge in nudges for key in nudge.keys]
        if len(nudges) == 1:
            nudges[0].context.run(send_message, keys, nudges[0].tenant)
            return
        with self.link([nudge.context for nudge in nudges]):
            send_message(keys, nudges[0].tenant)

    def link(self, contexts: Sequence[Context]) -> ContextManager[Any]:
        """Return what surrounds the message of several nudges: nothing, unless it is traced."""
        return nullcontext()

    def flush(self, timeout: float) -> bool:
        """Wait until everything is sent, at most so many seconds. Returns whether it is."""
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
    """Give what is wrong with Celery's time limits, in seconds; None or 0 is no limit."""
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
    """Return whether this process is one of uWSGI's that runs no threads of Python's."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None or tuple(uwsgi.version_info[:3]) >= UWSGI_WITH_THREADS:
        return False
    # The values are bytes, or True; the keys were bytes in Python 2 alone.
    return not any(uwsgi.opt.get(option) for option in ("enable-threads", "threads"))


def is_suspect(event: Event) -> bool:
    """Return whether an event was tried or swept before, and so may have killed a worker."""
    if event.attempts or event.due_at is None or event.enqueue_at is None:
        return True
    swept: bool = event.enqueue_at > event.due_at + settings.PAYMENT_WEBHOOKS_SWEEP_GRACE + ROUNDING
    return swept
