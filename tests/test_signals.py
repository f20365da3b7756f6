"""Signals: each is sent somewhere, with the facts that it promises, and no receiver can do harm."""

from __future__ import annotations

import json

import pytest
from django.dispatch import Signal
from shop.handlers import MarkOrderPaid
from shop.models import LedgerEntry, Order

from django_payment_webhooks import signals
from django_payment_webhooks.conf import load
from django_payment_webhooks.conf import settings as app_settings
from django_payment_webhooks.exceptions import PermanentFailure
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.processing import process_event
from django_payment_webhooks.providers.payloads import ParseError
from django_payment_webhooks.publisher import process
from django_payment_webhooks.sweeper import sweep
from django_payment_webhooks.views import receive_webhook

from .doubles import DownstreamError, handle
from .factories import EventFactory, OrderFactory

pytestmark = pytest.mark.django_db(transaction=True)

# What each signal promises, beside its sender: the names of its facts.
FACTS = {
    "webhook_received": {"provider", "events", "seconds"},
    "webhook_rejected": {"provider", "status", "reason", "seconds", "error"},
    "event_received": {"event", "error"},
    "event_waiting": {"event", "error"},
    "event_applied": {"event", "error"},
    "event_processed": {"event", "error"},
    "event_duplicate": {"event", "error"},
    "event_ignored": {"event", "error"},
    "event_failed": {"event", "error"},
    "event_conflicted": {"event", "other"},
    "event_released": {"event", "by"},
    "event_retried": {"event", "error"},
    "event_overtaken": {"event", "error"},
    "event_replayed": {"event", "by", "reason"},
    "enqueue_failed": {"error"},
    "sweep_finished": {"enqueued"},
}


def all_signals():
    """Return the signals of the module by their names."""
    return {name: signal for name, signal in vars(signals).items() if isinstance(signal, Signal)}


def sender_of(name):
    """Return the sender of a signal: the view for a webhook, and the event's class for everything
    else.
    """
    return receive_webhook if name.startswith("webhook") else Event


def be_overtaken():
    """Fail at an event that another worker has since taken."""
    event = Event.objects.get(provider_event_id="evt_2")
    other = Event.objects.get(pk=event.pk)
    other.change(error=other.error)
    load(app_settings.PAYMENT_WEBHOOKS_RETRY_POLICY).record(event, ValueError("too late"))


@pytest.fixture
def story(webhook, settings, monkeypatch, run_due, pass_time):
    """Play everything that can happen to a webhook, and return what the shop and the events are
    like at the end.
    """

    def story():
        refused = []

        def deliver(self, event):
            if not refused:
                refused.append(event)
                raise DownstreamError(503)

        def send(*args, **options):
            raise ConnectionRefusedError("no broker")

        handle(settings, parent=MarkOrderPaid, deliver=deliver)
        for name in ("A1", "A2"):
            OrderFactory(id=name)
        monkeypatch.setattr(process, "apply_async", send)
        answers = [
            webhook(signature="0" * 64),
            webhook(body=b"{}"),
            webhook(event_id="evt_1", type="refund.created", refund_id="re_1"),
            webhook(event_id="evt_2", type="customer.updated"),
            webhook(event_id="evt_3", order_id="A2", amount="1.00"),
        ]
        run_due()
        answers += [
            webhook(event_id="evt_4", charge_id="ch_4"),
            webhook(event_id="evt_4", charge_id="ch_5"),
            webhook(event_id="evt_6", charge_id="ch_6"),
        ]
        load(app_settings.PAYMENT_WEBHOOKS_PUBLISHER).flush(10)
        run_due()
        pass_time(3600)
        sweep(process)
        assert replay(Event.objects.get(provider_event_id="evt_3"))
        with pytest.raises(ParseError):
            replay(Event.objects.get(type=""))
        run_due()
        be_overtaken()
        return {
            "answers": [(answer.status_code, answer.json()) for answer in answers],
            "events": sorted(
                Event.objects.values_list("provider_event_id", "status", "attempts", "error")
            ),
            "orders": sorted(Order.objects.values_list("pk", "status")),
            "ledger": sorted(LedgerEntry.objects.values_list("kind", "order_id")),
        }

    return story


def test_the_module_has_the_signals_that_are_promised():
    assert set(all_signals()) == set(FACTS)


def test_each_status_has_its_signal():
    assert {f"event_{name}" for name in Event.TRANSITIONS} <= set(FACTS)


def test_each_signal_is_sent_somewhere_with_the_facts_that_it_promises(story, received_signals):
    story()
    assert set(received_signals.names()) == set(FACTS)
    for name, facts in received_signals:
        assert set(facts) - {"sender"} == FACTS[name]
        assert facts["sender"] is sender_of(name)


def test_the_story_ends_as_it_should(story):
    end = story()
    statuses = {name: (status, attempts) for name, status, attempts, _ in end["events"]}
    unparsed = [name for name in statuses if name.startswith("unparsed:")]
    assert [statuses.pop(name) for name in unparsed] == [("failed", 0)]
    assert statuses == {
        "evt_1": ("processed", 1),
        "evt_2": ("ignored", 1),
        "evt_3": ("failed", 1),
        "evt_4": ("processed", 2),
        "evt_6": ("duplicate", 1),
    }
    assert end["orders"] == [("A1", "paid"), ("A2", "new")]
    assert end["ledger"] == [("payment", "A1"), ("refund", "A1")]
    assert [code for code, _ in end["answers"]] == [401, 400, 200, 200, 200, 200, 200, 200]


def test_a_receiver_that_raises_changes_nothing(story):
    raised = []

    def fail(signal, **facts):
        raised.append(signal)
        raise ValueError("from a receiver")

    for signal in all_signals().values():
        signal.connect(fail)
    try:
        end = story()
    finally:
        for signal in all_signals().values():
            signal.disconnect(fail)
    assert {id(signal) for signal in raised} == {id(signal) for signal in all_signals().values()}
    statuses = sorted((name.partition(":")[0], status) for name, status, _, _ in end["events"])
    assert statuses == [
        ("evt_1", "processed"),
        ("evt_2", "ignored"),
        ("evt_3", "failed"),
        ("evt_4", "processed"),
        ("evt_6", "duplicate"),
        ("unparsed", "failed"),
    ]
    assert end["ledger"] == [("payment", "A1"), ("refund", "A1")]
    assert [code for code, _ in end["answers"]] == [401, 400, 200, 200, 200, 200, 200, 200]


def test_a_receiver_that_raises_does_not_keep_the_others_from_hearing(webhook, received_signals):
    def fail(**facts):
        raise ValueError

    heard = []

    def hear(event, **facts):
        heard.append(event.provider_event_id)

    signals.event_received.connect(fail)
    signals.event_received.connect(hear)
    try:
        assert webhook(event_id="evt_1").status_code == 200
    finally:
        signals.event_received.disconnect(fail)
        signals.event_received.disconnect(hear)
    assert heard == ["evt_1"]
    assert received_signals.names() == ["event_received", "webhook_received"]


def test_a_receiver_sees_what_is_committed(webhook, settings, run_due):
    seen = []

    def look(event, **facts):
        seen.append((event.status, Event.objects.get(pk=event.pk).status))

    handle(settings, deliver=lambda self, event: None)
    for name in ("event_received", "event_applied", "event_processed"):
        getattr(signals, name).connect(look)
    try:
        webhook()
        run_due()
    finally:
        for name in ("event_received", "event_applied", "event_processed"):
            getattr(signals, name).disconnect(look)
    assert seen == [(name, name) for name in ("received", "applied", "processed")]


def test_a_webhook_is_reported_with_its_events(webhook, received_signals):
    webhook(event_id="evt_1", charge_id="ch_1")
    webhook(event_id="evt_1", charge_id="ch_1")
    event = Event.objects.get()
    first, second = received_signals.of("webhook_received")
    assert (first["events"], second["events"]) == ([event], [event])
    assert [facts["events"][0].is_new for facts in (first, second)] == [True, False]
    assert {facts["provider"] for facts in (first, second)} == {"default"}
    assert all(facts["seconds"] >= 0 for facts in (first, second))


@pytest.mark.parametrize(
    "provider, body, signature, status, reason",
    [
        (None, b"{}", "0" * 64, 401, "mismatch"),
        (None, b"{}", None, 401, "no_signature"),
        (None, b"{}", "genuine", 400, "unparsed"),
        ("nobody", b"{}", "genuine", 404, "unknown_provider"),
    ],
)
def test_a_refused_webhook_is_reported_with_its_reason(
    provider, body, signature, status, reason, webhook, received_signals
):
    webhook(body=body, provider=provider, signature=signature)
    (facts,) = received_signals.of("webhook_rejected")
    assert (facts["provider"], facts["status"], facts["reason"]) == (
        provider or "default",
        status,
        reason,
    )
    assert json.dumps(facts["status"])


def test_the_exception_of_a_failed_attempt_is_part_of_its_signal(settings, order, received_signals):
    errors = [ValueError("first"), PermanentFailure("second")]
    handle(settings, apply=lambda self, event: raise_next(errors))
    event = EventFactory()
    for error in list(errors):
        process_event(Event.objects.get(pk=event.pk))
        facts = received_signals[-1].facts
        assert facts["error"] is error
        assert facts["error"].__traceback__ is not None
    assert received_signals.names() == ["event_retried", "event_failed"]


def raise_next(errors):
    """Raise the next error."""
    raise errors.pop(0)
