"""For the host's tests: play the provider, the worker and the clock, without a broker.

The functions are for any test framework. With pytest the fixture ``payment_webhooks`` is this
module, with the broker away. All of them work inside a test's transaction (``TestCase``,
``django_db``); only what happens on commit, such as the signals of an event, needs one that commits
(``TransactionTestCase``, ``django_db(transaction=True)``).
"""

from __future__ import annotations

import itertools
import pprint
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple
from unittest import mock

from django.apps import apps
from django.db import router, transaction
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import reverse

from . import history, processing, publisher
from .conf import get_handler
from .handlers import Handler
from .models import Event
from .providers.sending import (
    Webhook,
    compose,
    find_provider,
    forge_webhook,
    make_values,
    sign_webhook,
)
from .sweeper import release

__all__ = [
    "assert_one_outcome",
    "crash_after_effect",
    "pass_time",
    "post_body",
    "post_event",
    "run_due",
    "sign",
    "without_broker",
]

MAX_ROUNDS = 100
MAX_EVENTS = 5  # in every order, which are 120

# ---- the provider


def sign(
    body: bytes,
    provider: str = "default",
    headers: Optional[Mapping[str, str]] = None,
    age: float = 0,
    forged: bool = False,
) -> Dict[str, str]:
    """Return the headers with which a provider sends a body, by their usual names: ``headers``, and its signature.

    ``age`` is how many seconds ago it was signed, if the scheme has a time. A ``forged`` signature looks genuine, but
    nobody has its key. Raises ``ValueError`` if the provider is unknown, has no usable secret, or can't
    sign like this.
    """
    return make_signed(body, provider, headers, age, forged).headers


def make_signed(
    body: bytes, provider: str, headers: Optional[Mapping[str, str]], age: float, forged: bool
) -> Webhook:
    """Return a signed webhook."""
    return (forge_webhook if forged else sign_webhook)(
        find_provider(provider), Webhook(body, dict(headers or {})), age
    )


def post_body(
    body: bytes,
    provider: str = "default",
    client: Optional[Client] = None,
    path: str = "",
    headers: Optional[Mapping[str, str]] = None,
    age: float = 0,
    forged: bool = False,
) -> HttpResponse:
    """Sign a body as a provider does, post it to the project, and return the answer.

    ``client`` is a :class:`django.test.Client`, by default a new one; ``path`` is by default the provider's own. The
    rest is as in :func:`sign`.
    """
    webhook = make_signed(body, provider, headers, age, forged)
    default = [] if provider == "default" else [provider]
    path = path or reverse("payment_webhooks:receive" + ("_from" if default else ""), args=default)
    return (client or Client()).post(
        path, data=body, content_type="application/json", **webhook.meta
    )


def post_event(
    type: str,
    provider: str = "default",
    client: Optional[Client] = None,
    path: str = "",
    age: float = 0,
    forged: bool = False,
    **values: Any,
) -> HttpResponse:
    """Sign and post an event as a provider does, and return the answer.

    ``values`` are the event's fields, by the names in the provider's ``FIELDS``: ``order_id="A1", amount="25.00"``.
    What is not given is made up: ``provider_event_id``, ``occurred_at``, and for a charge, a refund
    or a dispute its id, and 10.00 EUR. The other arguments are as in :func:`post_body`. Raises
    ``ValueError`` if the provider would read something else than what is given.
    """
    sender = find_provider(provider)
    webhook = compose(sender, make_values(sender, type, **values))
    return post_body(webhook.body, provider, client, path, webhook.headers, age, forged)


# ---- the worker and the clock


class SilentPublisher:
    """In place of what publishes: sends nothing, starts no thread."""

    def publish(self, events: Sequence[Event]) -> None:
        """Leave the events to :func:`run_due`."""


@contextmanager
def without_broker() -> Iterator[None]:
    """Let no message go to a broker, and no thread of the app's start. Also if Celery is eager.

    Events are stored, and nobody works on them until :func:`run_due` does. If the app's history is
    installed, rejected webhooks are not counted in it.
    """
    publisher = f"{SilentPublisher.__module__}.{SilentPublisher.__qualname__}"
    with ExitStack() as stack:
        stack.enter_context(override_settings(PAYMENT_WEBHOOKS_PUBLISHER=publisher))
        if apps.is_installed(history.__name__):
            rejections = import_module(history.__name__ + ".receivers").rejections
            stack.enter_context(mock.patch.object(rejections, "count"))
        yield


def run_due() -> List[Event]:
    """Process every event that is due, and what becomes due by that, as a worker does but here and now.

    Returns the events in the order of the attempts at them, as they are at the end. An attempt that fails makes its
    event due later: see :func:`pass_time`.
    """
    done: List[int] = []
    for _ in range(MAX_ROUNDS):
        due = list(
            Event.objects.filter(due_at__lte=time.time())
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        if not due:
            events = Event.objects.in_bulk(done)
            return [events[pk] for pk in done]
        for pk in due:
            process_one(pk)
        done += due
    raise AssertionError(
        "After %d rounds there is still something due: the events %s." % (MAX_ROUNDS, due)
    )


def process_one(pk: int) -> None:
    """Process an event, and release what waits for it: within a transaction nobody else does."""
    publisher.process([pk])
    if not transaction.get_connection(router.db_for_write(Event)).in_atomic_block:
        return
    event = Event.objects.defer("body").get(pk=pk)
    if event.status in (Event.APPLIED, Event.PROCESSED, Event.DUPLICATE):
        release(event)


def pass_time(seconds: float) -> None:
    """Let a number of seconds pass for every event that is not finished: its times move into the past."""
    passed = timedelta(seconds=seconds)
    for event in Event.objects.filter(finished_at=None):
        names = ("due_at", "enqueue_at", "waiting_since")
        times = {name: getattr(event, name) for name in names}
        moved: Dict[str, Any] = {name: at - seconds for name, at in times.items() if at is not None}
        moved["received_at"] = event.received_at - passed
        Event.objects.filter(pk=event.pk).update(**moved)


# ---- what must not matter


class Crash(BaseException):
    """The end of a worker. No ``except Exception`` sees it."""


@contextmanager
def crash_after_effect() -> Iterator[None]:
    """Kill the worker once a handler has changed the database, before that is committed.

    The block ends there. What the handler did is rolled back, and its event is due again when its
    lease has ended:
    ``pass_time(settings.PAYMENT_WEBHOOKS_LEASE)``. Raises ``AssertionError`` if no handler came so far.
    """

    def find_doomed(event_type: str) -> Optional[Handler]:
        handler: Any = get_handler(event_type)
        if handler:
            handler.apply = die_after(handler.apply)
        return handler

    with mock.patch.object(processing, "get_handler", find_doomed):
        try:
            yield
        except Crash:
            return
    raise AssertionError(
        "No worker was killed, as no handler was applied: is an event due, and what is its status?"
    )


def die_after(apply: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return a function that does the same, and ends the worker."""

    def apply_and_die(event: Event) -> None:
        apply(event)
        raise Crash

    return apply_and_die


def assert_one_outcome(events: List[Mapping[str, Any]], read_state: Callable[[], Any]) -> Any:
    """Assert that the outcome is the same in whatever order these events come, doubled, and worked on soon or late.

    ``events`` are at most five, each the arguments of :func:`post_event`: ``{"type": ..., "order_id": ...}``. They are
    posted in every order; each event twice in a row, or all of them once more at the end; and worked on after each, or
    at the end. ``read_state`` returns what the project knows then, in plain values without primary keys: they are
    compared, and so is how many events of each type have which status.

    Each time is rolled back, so that it begins with the database as it is, and nothing happens on commit. Returns the
    one state. Raises ``AssertionError`` with the two orders that end differently.
    """
    if len(events) > MAX_EVENTS:
        raise ValueError("More than %d events have too many orders." % MAX_EVENTS)
    drafts = [complete(number, event) for number, event in enumerate(events, 1)]
    first: Optional[Tuple[str, Any]] = None
    for order, at_once in itertools.product(list_orders(drafts), (True, False)):
        outcome = play(order, at_once, read_state)
        names = ", ".join("%(type)s %(provider_event_id)s" % event for event in order)
        told = "%s, %s" % (names, "worked on after each" if at_once else "worked on at the end")
        if first is None:
            first = told, outcome
        elif outcome != first[1]:
            ends = "".join(
                "\n\n%s:\n%s" % (how, pprint.pformat(end)) for how, end in (first, (told, outcome))
            )
            raise AssertionError("Two orders end differently." + ends)
    return first[1]["state"] if first else read_state()


def complete(number: int, event: Mapping[str, Any]) -> Dict[str, Any]:
    """Return an event that says the same each time it is posted."""
    values = dict({"provider_event_id": "evt_%d" % number}, **event)
    provider = find_provider(values.pop("provider", "default"))
    return dict(make_values(provider, values.pop("type"), **values), provider=provider.name)


def list_orders(events: List[Dict[str, Any]]) -> Iterator[List[Dict[str, Any]]]:
    """Return every order of the events, with each of them twice."""
    for order in itertools.permutations(events):
        yield [event for event in order for _ in range(2)]
        yield [*order, *order]


def play(
    events: List[Dict[str, Any]], at_once: bool, read_state: Callable[[], Any]
) -> Dict[str, Any]:
    """Post the events, work on them, and return what is known then. Undo it all."""
    database = router.db_for_write(Event)
    with transaction.atomic(using=database):
        for event in events:
            answer = post_event(**event)
            if answer.status_code != 200:
                text = "%(type)s %(provider_event_id)s" % event
                raise AssertionError(
                    "%s was answered with %d: %s" % (text, answer.status_code, answer.content[:500])
                )
            if at_once:
                run_due()
        run_due()
        statuses = Counter("%s %s" % row for row in Event.objects.values_list("type", "status"))
        outcome = {"state": read_state(), "events": dict(statuses)}
        transaction.set_rollback(True, using=database)
    return outcome
