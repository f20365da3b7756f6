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
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence
from unittest import mock

from django.db import router, transaction
from django.db.models import F
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import reverse

from . import history, publisher, retrying
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
MAX_EVENTS = 5  # in every order, which are 120

# ---- the provider


def sign(
    body: bytes,
    provider: str = "default",
    headers: Mapping[str, str] | None = None,
    age: float = 0,
    forged: bool = False,
) -> dict[str, str]:
    """Return the headers with which a provider sends a body: ``headers``, and its signature.

    They have their usual names. ``age`` is how many seconds ago it was signed, if the scheme has a
    time. A ``forged`` signature looks genuine, but nobody has its key. Raises ``ValueError`` if the
    provider is unknown, has no usable secret, or can't sign like this.
    """
    return make_signed(body, provider, headers, age, forged).headers


def make_signed(
    body: bytes, provider: str, headers: Mapping[str, str] | None, age: float, forged: bool
) -> Webhook:
    """Return a signed webhook."""
    return prove(provider, Webhook(body, dict(headers or {})), age, forged)


def prove(provider: str, webhook: Webhook, age: float, forged: bool) -> Webhook:
    """Return a webhook with its signature, or a forged one."""
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

    ``client`` is a :class:`django.test.Client`, by default a new one; ``path`` is by default the
    provider's own. The rest is as in :func:`sign`.
    """
    webhook = make_signed(body, provider, headers, age, forged)
    return post_webhook(webhook, provider, client, path)


def post_webhook(
    webhook: Webhook, provider: str, client: Client | None = None, path: str = ""
) -> HttpResponse:
    """Post a signed webhook to the project, and return the answer."""
    path = path or find_path(provider)
    path = f"{path}?{webhook.query}" if webhook.query else path
    meta = {name: value for name, value in webhook.meta.items() if name != "QUERY_STRING"}
    content_type = webhook.headers.get("Content-Type", "application/json")
    return (client or Client()).post(path, data=webhook.body, content_type=content_type, **meta)


def find_path(provider: str) -> str:
    """Return the path to which a provider posts."""
    if provider == "default":
        return str(reverse("payment_webhooks:receive"))
    return str(reverse("payment_webhooks:receive_from", args=[provider]))


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

    ``values`` are the event's fields, by the names in the provider's ``FIELDS``:
    ``order_id="A1", amount="25.00"``. What is not given is made up: ``provider_event_id``,
    ``occurred_at``, and for a charge, a refund or a dispute its id, and 10.00 EUR. The other
    arguments are as in :func:`post_body`. Raises ``ValueError`` if the provider would read
    something else than what is given.
    """
    sender = find_provider(provider)
    webhook = compose(sender, make_values(sender, type, **values))
    return post_webhook(prove(provider, webhook, age, forged), provider, client, path)


# ---- the worker and the clock


class SilentPublisher:
    """In place of what publishes: sends nothing, starts no thread."""

    def publish(self, events: Sequence[Event]) -> None:
        """Leave the events to :func:`run_due`."""

    def flush(self, timeout: float) -> bool:
        """Return whether everything is sent: there is nothing to wait for."""
        return True


@contextmanager
def without_broker() -> Iterator[None]:
    """Let no message go to a broker, and no thread of the app's start. Also if Celery is eager.

    Events are stored, and no worker processes them until :func:`run_due` does. If the app's history
    is installed, rejected webhooks are not counted in it.
    """
    silent = f"{SilentPublisher.__module__}.{SilentPublisher.__qualname__}"
    with ExitStack() as stack:
        stack.enter_context(override_settings(PAYMENT_WEBHOOKS_PUBLISHER=silent))
        stack.enter_context(history.without_rejections())
        yield


def run_due() -> list[Event]:
    """Process every event that is due, and what becomes due by that, as a worker does but at once.

    Returns the events in the order of the attempts at them, as they are at the end. An attempt that
    fails makes its event due later: see :func:`pass_time`.
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
    """Return the keys of the events that are due, the first that was stored first."""
    due = Event.objects.filter(due_at__lte=time.time()).order_by("pk")
    return list(due.values_list("pk", flat=True))


def process_one(key: int) -> None:
    """Process an event, and release what waits for it: within a transaction nobody else does.

    What is sent on commit is not sent there, and the release is.
    """
    publisher.process([key])
    if not transaction.get_connection(router.db_for_write(Event)).in_atomic_block:
        return
    event = Event.objects.defer("body").get(pk=key)
    if event.status in (Event.APPLIED, Event.PROCESSED, Event.DUPLICATE):
        release(event)


def pass_time(seconds: float) -> None:
    """Let a number of seconds pass for every event that is not finished.

    Its times move into the past.
    """
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
    """The end of a worker. No ``except Exception`` sees it."""


@contextmanager
def crash_after_effect() -> Iterator[None]:
    """Kill the worker once a handler has changed the database, before that is committed.

    The block ends there. What the handler did is rolled back, and its event is due again when its
    lease has ended: ``pass_time(settings.PAYMENT_WEBHOOKS_LEASE)``. Raises ``AssertionError`` if no
    handler came so far.
    """

    def find_doomed(event_type: str) -> Handler | None:
        handler = get_handler(event_type)
        if handler is not None:
            # An instance is made for each attempt: nobody else has this one.
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
    """Return a function that does the same, and ends the worker."""

    def apply_and_die(event: Event) -> None:
        apply(event)
        raise Crash

    return apply_and_die


def assert_one_outcome(events: list[Mapping[str, Any]], read_state: Callable[[], Any]) -> Any:
    """Assert that some events end the same in whatever order they come.

    ``events`` are at most five, each the arguments of :func:`post_event`:
    ``{"type": ..., "order_id": ...}``. They are posted in every order; each event twice in a row,
    or all of them once more at the end; and processed after each, or at the end. ``read_state``
    returns what the project knows then, in plain values without primary keys: they are compared,
    and so is how many events of each type have which status.

    Each time is rolled back, so that it begins with the database as it is, and nothing happens on
    commit. Returns the one state. Raises ``AssertionError`` with the two orders that end
    differently.
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
    """How a project and the events end that came in one order."""

    order: str
    state: Any
    events: dict[str, int]

    def show(self) -> str:
        """Return it as text."""
        end = pprint.pformat({"state": self.state, "events": self.events})
        return f"\n\n{self.order}:\n{end}"


def complete(number: int, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event that says the same each time it is posted."""
    values = {"provider_event_id": f"evt_{number}", **event}
    provider = find_provider(values.pop("provider", "default"))
    return {**make_values(provider, values.pop("type"), **values), "provider": provider.name}


def list_orders(events: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Give every order of the events, with each of them twice."""
    for order in itertools.permutations(events):
        yield [event for event in order for _ in range(2)]
        yield [*order, *order]


def play(events: list[dict[str, Any]], at_once: bool, read_state: Callable[[], Any]) -> Outcome:
    """Post the events, process them, and return how it ends. Undo it all."""
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
