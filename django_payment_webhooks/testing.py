"""For the host's tests: play the provider, the worker and the clock, without a broker.

The functions work with any test framework. In pytest, the fixture ``payment_webhooks`` is this
module, with the broker disabled. All of them work inside a test's transaction (``TestCase``,
``django_db``); only what happens on commit, such as an event's signals, needs a test that commits
(``TransactionTestCase``, ``django_db(transaction=True)``).
"""

from __future__ import annotations

import itertools
import pprint
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence
from unittest import mock

from django.db import router, transaction
from django.db.models import F
from django.http import HttpResponse
from django.test import Client, override_settings

from . import history, publisher, retrying
from .handlers import Handler
from .models import Event
from .providers.posting import find_webhook_path
from .providers.sending import (
    Webhook,
    compose,
    find_provider,
    forge_webhook,
    make_values,
    sign_webhook,
)
from .retrying import get_handler
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
MAX_EVENTS = 5  # which have 120 orders

# ---- the provider


def sign(
    body: bytes,
    provider: str = "default",
    headers: Mapping[str, str] | None = None,
    age: float = 0,
    forged: bool = False,
) -> dict[str, str]:
    """Return the headers with which a provider sends a body: ``headers``, and the signature.

    They have their usual names. ``age`` is how many seconds ago the body was signed, if the scheme
    has a timestamp. A ``forged`` signature looks genuine, but is made with a random key. Raises
    ``ValueError`` if the provider is unknown, has no usable secret, or can't sign like this.
    """
    return make_signed(body, provider, headers, age, forged).headers


def make_signed(
    body: bytes, provider: str, headers: Mapping[str, str] | None, age: float, forged: bool
) -> Webhook:
    """Return a signed webhook."""
    return prove(provider, Webhook(body, dict(headers or {})), age, forged)


def prove(provider: str, webhook: Webhook, age: float, forged: bool) -> Webhook:
    """Return a webhook with a genuine or a forged signature."""
    make = forge_webhook if forged else sign_webhook
    return make(find_provider(provider), webhook, age)


def post_body(
    body: bytes,
    provider: str = "default",
    client: Client | None = None,
    path: str = "",
    headers: Mapping[str, str] | None = None,
    age: float = 0,
    forged: bool = False,
) -> HttpResponse:
    """Sign a body as a provider does, post it to the project, and return the answer.

    ``client`` is a :class:`django.test.Client`, by default a new one. ``path`` defaults to the
    provider's own. The other arguments are those of :func:`sign`.
    """
    webhook = make_signed(body, provider, headers, age, forged)
    return post_webhook(webhook, provider, client, path)


def post_webhook(
    webhook: Webhook, provider: str, client: Client | None = None, path: str = ""
) -> HttpResponse:
    """Post a signed webhook to the project, and return the answer."""
    path = path or find_webhook_path(provider)
    path = f"{path}?{webhook.query}" if webhook.query else path
    meta = {name: value for name, value in webhook.meta.items() if name != "QUERY_STRING"}
    content_type = webhook.headers.get("Content-Type", "application/json")
    return (client or Client()).post(path, data=webhook.body, content_type=content_type, **meta)


def post_event(
    type: str,
    provider: str = "default",
    client: Client | None = None,
    path: str = "",
    age: float = 0,
    forged: bool = False,
    **values: Any,
) -> HttpResponse:
    """Sign and post an event as a provider does, and return the answer.

    ``values`` are the event's fields, by their names in the provider's ``FIELDS``:
    ``order_id="A1", amount="25.00"``. Missing ones are made up: ``provider_event_id``,
    ``occurred_at``, and for a charge, a refund or a dispute its id and 10.00 EUR. The other
    arguments are those of :func:`post_body`. Raises ``ValueError`` if the provider would not read
    the given values back.
    """
    sender = find_provider(provider)
    webhook = compose(sender, make_values(sender, type, **values))
    return post_webhook(prove(provider, webhook, age, forged), provider, client, path)


# ---- the worker and the clock


class SilentPublisher:
    """A publisher that sends nothing and starts no thread."""

    def publish(self, events: Sequence[Event]) -> None:
        """Leave the events to :func:`run_due`."""

    def flush(self, timeout: float) -> bool:
        """Return that everything is sent: there is nothing to wait for."""
        return True


@contextmanager
def without_broker() -> Iterator[None]:
    """Send no messages to a broker, and start none of the app's threads, even if Celery is eager.

    Events are stored, and are not processed until you call :func:`run_due`. If the app's history is
    installed, it does not count rejected webhooks.
    """
    silent = f"{SilentPublisher.__module__}.{SilentPublisher.__qualname__}"
    with ExitStack() as stack:
        stack.enter_context(override_settings(PAYMENT_WEBHOOKS_PUBLISHER=silent))
        stack.enter_context(history.without_rejections())
        yield


def run_due() -> list[Event]:
    """Process every event that is due, as a worker does, and those that thereby become due.

    Returns the events in the order of the attempts, in their final state. A failed attempt
    makes its event due later: see :func:`pass_time`.
    """
    done: list[int] = []
    for _ in range(MAX_ROUNDS):
        keys = find_due()
        if not keys:
            events = Event.objects.in_bulk(done)
            return [events[key] for key in done]
        for key in keys:
            process_one(key)
        done += keys
    left = find_due()
    raise AssertionError(f"After {MAX_ROUNDS} rounds there is still something due: events {left}.")


def find_due() -> list[int]:
    """Return the keys of the events that are due, in the order in which they were stored."""
    due = Event.objects.filter(due_at__lte=time.time()).order_by("pk")
    return list(due.values_list("pk", flat=True))


def process_one(key: int) -> None:
    """Process an event. Inside a transaction, also release what waits for it.

    There, the signal that releases it would only be sent on commit.
    """
    publisher.process([key])
    if not transaction.get_connection(router.db_for_write(Event)).in_atomic_block:
        return
    event = Event.objects.defer("body").get(pk=key)
    if event.status in (Event.APPLIED, Event.PROCESSED, Event.DUPLICATE):
        release(event)


def pass_time(seconds: float) -> None:
    """Let a number of seconds pass for every unfinished event, which moves its times back."""
    Event.objects.filter(finished_at=None).update(
        due_at=F("due_at") - seconds,
        enqueue_at=F("enqueue_at") - seconds,
        waiting_since=F("waiting_since") - seconds,
    )
    for event in Event.objects.filter(finished_at=None).only("received_at"):
        received_at = event.received_at - timedelta(seconds=seconds)
        Event.objects.filter(pk=event.pk).update(received_at=received_at)


# ---- what must not matter


class Crash(BaseException):
    """The end of a worker. ``except Exception`` does not catch it."""


@contextmanager
def crash_after_effect() -> Iterator[None]:
    """Kill the worker once a handler has changed the database, before the commit.

    The block ends there. The handler's changes are rolled back, and its event is due again when its
    lease ends: ``pass_time(settings.PAYMENT_WEBHOOKS_LEASE)``. Raises ``AssertionError`` if no
    handler was applied.
    """

    def find_doomed(event_type: str) -> Handler | None:
        handler = get_handler(event_type)
        if handler is not None:
            # Each attempt gets an instance of its own, so this affects no other.
            vars(handler)["apply"] = die_after(handler.apply)
        return handler

    with mock.patch.object(retrying, "get_handler", find_doomed):
        try:
            yield
        except Crash:
            return
    raise AssertionError(
        "No worker was killed, as no handler was applied: is an event due, and what is its status?"
    )


def die_after(apply: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return a function that does the same, and then ends the worker."""

    def apply_and_die(event: Event) -> None:
        apply(event)
        raise Crash

    return apply_and_die


def assert_one_outcome(events: list[Mapping[str, Any]], read_state: Callable[[], Any]) -> Any:
    """Assert that events have the same outcome in whatever order they arrive.

    ``events`` are at most five, each the arguments of :func:`post_event`:
    ``{"type": ..., "order_id": ...}``. They are posted in every order, with each event twice in a
    row or all of them again at the end, and processed after each one or at the end.
    ``read_state`` returns what the project then knows, in plain values without primary keys. These
    values are compared, as is the number of events of each type in each status.

    Each run is rolled back, so that every run starts from the same database, and nothing happens on
    commit. Returns the one state. Raises ``AssertionError`` with two orders whose outcomes differ.
    """
    if len(events) > MAX_EVENTS:
        raise ValueError(f"More than {MAX_EVENTS} events have too many orders.")
    drafts = [complete(number, event) for number, event in enumerate(events, 1)]
    first: Outcome | None = None
    for order, at_once in itertools.product(list_orders(drafts), (True, False)):
        outcome = play(order, at_once, read_state)
        first = first or outcome
        if (outcome.state, outcome.events) != (first.state, first.events):
            raise AssertionError(f"Two orders end differently.{first.show()}{outcome.show()}")
    return first.state if first else read_state()


class Outcome(NamedTuple):
    """How a project and its events end up after one order of arrival."""

    order: str
    state: Any
    events: dict[str, int]

    def show(self) -> str:
        """Return the outcome as text."""
        end = pprint.pformat({"state": self.state, "events": self.events})
        return f"\n\n{self.order}:\n{end}"


def complete(number: int, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event that says the same thing each time it is posted."""
    values = {"provider_event_id": f"evt_{number}", **event}
    provider = find_provider(values.pop("provider", "default"))
    return {**make_values(provider, values.pop("type"), **values), "provider": provider.name}


def list_orders(events: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield every order of the events, each event twice."""
    for order in itertools.permutations(events):
        yield [event for event in order for _ in range(2)]
        yield [*order, *order]


def play(events: list[dict[str, Any]], at_once: bool, read_state: Callable[[], Any]) -> Outcome:
    """Post and process the events, return the outcome, and undo everything."""
    names = ", ".join(describe(event) for event in events)
    database = router.db_for_write(Event)
    with transaction.atomic(using=database):
        for event in events:
            post_accepted(event)
            if at_once:
                run_due()
        run_due()
        pairs = Event.objects.values_list("type", "status")
        statuses = Counter(f"{event_type} {status}" for event_type, status in pairs)
        when = "processed after each" if at_once else "processed at the end"
        outcome = Outcome(f"{names}, {when}", read_state(), dict(statuses))
        transaction.set_rollback(True, using=database)
    return outcome


def post_accepted(event: dict[str, Any]) -> None:
    """Post an event. Raises ``AssertionError`` if it is refused."""
    answer = post_event(**event)
    if answer.status_code != 200:
        said = answer.content[:500]
        raise AssertionError(f"{describe(event)} was answered with {answer.status_code}: {said}")


def describe(event: Mapping[str, Any]) -> str:
    """Return an event's type and id."""
    return f"{event['type']} {event['provider_event_id']}"
