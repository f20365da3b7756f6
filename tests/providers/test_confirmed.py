"""Trust: what a webhook does not prove is asked of its provider before it counts."""

from __future__ import annotations

import json

import pytest

from django_payment_webhooks.exceptions import NothingToDo
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.operations.dry_run import dry_run
from django_payment_webhooks.operations.pruning import erase, prune
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.publisher import process
from django_payment_webhooks.testing import post_body

from ..doubles import DownstreamError, handle
from ..factories import SECRET, PayloadFactory
from ..rows import read

pytestmark = pytest.mark.django_db(transaction=True)


class Unproven(Provider):
    """A provider whose webhooks prove nothing of what they say."""

    needs_confirmation = True


class Truth:
    """What the provider says when it is asked, and how often it was."""

    def __init__(self):
        self.asked = []
        self.type = "charge.succeeded"
        self.data = {"order_id": "A1", "charge_id": "pay_1", "amount": "10.00", "currency": "EUR"}
        self.error = None

    def __call__(self, event):
        self.asked.append(event.provider_event_id)
        if self.error:
            raise self.error
        return PayloadFactory(event_id="evt_1", type=self.type, data=self.data)


def ask(event):
    """Be the function that the settings name."""
    return truth(event)


truth = Truth()


@pytest.fixture(autouse=True)
def unproven(settings, order, monkeypatch):
    """The default provider is one that must be asked. Returns what it says."""
    monkeypatch.setitem(globals(), "truth", Truth())
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "default": {
            "BACKEND": f"{__name__}.Unproven",
            "SECRETS": [SECRET],
            "CONFIRM": f"{__name__}.ask",
        }
    }
    return truth


@pytest.fixture
def applied(settings):
    """Return what a handler of charges was told."""
    seen = []

    def apply(self, event):
        seen.append((event.order_id, str(event.money), event.payload["type"]))

    handle(settings, apply=apply, idempotency_key=lambda self, event: f"paid:{event.order_key}")
    return seen


def send(**fields):
    """Send a webhook, and return its event."""
    body = json.dumps(PayloadFactory(**{"event_id": "evt_1", **fields})).encode()
    assert post_body(body).status_code == 200
    return Event.objects.get(provider_event_id=fields.get("event_id", "evt_1"))


def test_what_the_provider_says_counts_and_not_what_was_sent(unproven, applied):
    event = send(data__order_id="A2", data__amount="0.01", data__charge_id="pay_9")
    assert (event.order_id, bytes(event.confirmation), unproven.asked) == ("A2", b"", [])
    process([event.pk])
    row = read(event)
    assert (row.status, unproven.asked) == ("processed", ["evt_1"])
    assert applied == [("A1", "10.00 EUR", "charge.succeeded")]
    assert (row.order_id, row.order_key) == ("A1", digest("A1"))
    assert (row.payment_id, row.payment_key) == ("pay_1", digest("default", "pay_1"))
    assert json.loads(bytes(row.confirmation).decode())["data"] == unproven.data
    assert json.loads(bytes(row.body).decode())["data"]["order_id"] == "A2"
    assert row.data["amount"] == "10.00"


def test_what_does_not_succeed_at_the_provider_becomes_another_type(unproven, applied):
    unproven.type = "charge.pending"
    event = send()
    process([event.pk])
    row = read(event)
    assert (row.status, row.type, applied) == ("ignored", "charge.pending", [])
    assert row.error == "There is no handler for its type."


def test_what_is_not_paid_at_the_provider_has_nothing_to_do(unproven, settings):
    def prepare(self, event):
        if event.data["amount"] == "0.00":
            raise NothingToDo("It is not paid.")

    handle(settings, prepare=prepare, apply=lambda self, event: 1 / 0)
    unproven.data["amount"] = "0.00"
    event = send()
    process([event.pk])
    assert (read(event).status, read(event).error) == ("ignored", "It is not paid.")


def test_a_type_that_only_the_provider_knows_is_handled(unproven, applied):
    event = send(type="something.changed")
    process([event.pk])
    assert (read(event).status, read(event).type) == ("processed", "charge.succeeded")


def test_an_order_that_the_provider_does_not_know_of_is_not_believed(unproven, applied):
    del unproven.data["order_id"]
    event = send(data__order_id="A1")
    process([event.pk])
    assert (read(event).order_id, read(event).order_key) == ("", "")
    assert [order_id for order_id, *_ in applied] == [""]


@pytest.mark.parametrize("error", [ConnectionError("down"), DownstreamError(503), OSError("slow")])
def test_a_provider_that_is_down_is_asked_again_later(error, unproven, applied, pass_time):
    unproven.error = error
    event = send()
    process([event.pk])
    row = read(event)
    assert (row.status, row.attempts, bytes(row.confirmation)) == ("received", 1, b"")
    assert applied == []
    unproven.error = None
    pass_time(60)
    process([event.pk])
    assert (read(event).status, len(unproven.asked), len(applied)) == ("processed", 2, 1)


def test_an_object_that_the_provider_does_not_have_fails_at_once(unproven, applied):
    unproven.error = DownstreamError(404)
    event = send()
    process([event.pk])
    assert (read(event).status, read(event).attempts, applied) == ("failed", 1, [])


@pytest.mark.parametrize("answer", [None, [], "paid", {}, {"event_id": "evt_1"}, {1, 2}, b"\xff"])
def test_an_answer_that_makes_no_sense_fails_and_is_not_kept(answer, monkeypatch, applied):
    monkeypatch.setitem(globals(), "truth", lambda event: answer)
    event = send()
    process([event.pk])
    row = read(event)
    assert (row.status, bytes(row.confirmation), applied) == ("failed", b"", [])
    assert "What the provider confirmed can't be read" in row.error


def test_a_provider_is_asked_once_however_often_its_event_is_tried(unproven, settings, pass_time):
    handle(settings, apply=lambda self, event: 1 / 0)
    event = send()
    for _ in range(3):
        process([event.pk])
        pass_time(600)
    assert (read(event).attempts, unproven.asked) == (3, ["evt_1"])


def test_a_delivery_does_not_ask_again(unproven, settings):
    told = []
    handle(settings, deliver=lambda self, event: told.append(event.order_id))
    event = send(data__order_id="A2")
    process([event.pk])
    assert (read(event).status, told, len(unproven.asked)) == ("processed", ["A1"], 1)


# ---- asked again


@pytest.mark.parametrize("order_of_events", ["forged first", "genuine alone"])
def test_a_forged_webhook_before_the_payment_does_not_lose_it(
    order_of_events, unproven, applied, published
):
    """An attacker who knows a payment's id sends its webhook before it is paid."""
    if order_of_events == "forged first":
        unproven.type = "charge.pending"
        process([send().pk])
        assert Event.objects.get().status == "ignored"
        unproven.type = "charge.succeeded"
        published()
    event = send()
    assert published() == [event.pk]
    process([event.pk])
    assert (read(event).status, applied) == (
        "processed",
        [("A1", "10.00 EUR", "charge.succeeded")],
    )


def test_an_event_that_is_sent_again_while_it_is_asked_about_is_asked_about_again(
    unproven, applied, monkeypatch, published
):
    """The first answer is older than the second webhook."""
    answers = iter(["charge.pending", "charge.succeeded"])

    def say(event):
        unproven.type = next(answers)
        answer = unproven(event)
        if unproven.type == "charge.pending":
            send()
        return answer

    event = send()
    monkeypatch.setitem(globals(), "truth", say)
    process([event.pk])
    assert (read(event).status, read(event).type) == ("received", "charge.succeeded")
    process([event.pk])
    assert (read(event).status, len(applied)) == ("processed", 1)


def test_an_event_that_has_its_effect_is_not_asked_about_again(unproven, applied, published):
    event = send()
    process([event.pk])
    published()
    before = read(event).version
    send()
    assert (read(event).version, published(), len(unproven.asked)) == (before, [], 1)


def test_a_replayed_event_is_asked_about_again(unproven, applied):
    unproven.type = "charge.pending"
    event = send()
    process([event.pk])
    unproven.type = "charge.succeeded"
    assert replay(read(event))
    process([event.pk])
    assert (read(event).status, len(applied)) == ("processed", 1)


def test_a_dry_run_asks_and_keeps_nothing(unproven, applied):
    event = send(data__order_id="A2")
    assert dry_run(event).outcome == Event.APPLIED
    assert (read(event).order_id, bytes(read(event).confirmation)) == ("A2", b"")
    assert len(unproven.asked) == 1


# ---- what is kept of it


def test_what_was_confirmed_is_pruned_with_the_body_and_a_repetition_is_none(
    unproven, applied, received_signals
):
    event = send(data__order_id="A2", data__charge_id="pay_1")
    process([event.pk])
    assert prune(read(event))
    row = read(event)
    assert (row.confirmation, bytes(row.body)[:7]) == (None, b"pruned:")
    send(data__order_id="A2", data__charge_id="pay_1")
    assert received_signals.of("event_conflicted") == []
    send(data__order_id="A3", data__charge_id="pay_1")
    assert len(received_signals.of("event_conflicted")) == 1


def test_what_was_confirmed_is_erased_with_the_order(unproven, applied):
    event = send()
    process([event.pk])
    assert erase(read(event))
    row = read(event)
    assert (row.confirmation, row.order_id, row.payment_id) == (None, "", "")
    assert (row.order_key, row.payment_key) == ("", "")


def test_a_repetition_is_compared_with_what_was_sent_and_not_with_what_was_confirmed(
    unproven, applied, received_signals
):
    event = send(data__charge_id="pay_1", data__order_id="A2")
    process([event.pk])
    send(data__charge_id="pay_1", data__order_id="A2")
    assert received_signals.of("event_conflicted") == []


def test_a_webhook_that_proves_itself_is_not_asked_about(settings, unproven, applied):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"SECRETS": [SECRET]}}
    event = send()
    process([event.pk])
    assert (read(event).status, read(event).confirmation, unproven.asked) == ("processed", None, [])


# ---- a real one


def test_a_yookassa_payment_that_is_forged_first_pays_its_order_and_is_refunded(
    settings, order, monkeypatch, published, shop_state, post
):
    """The first webhook claims what is not confirmed yet; the refund names no order."""
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "yookassa": {"PRESET": "yookassa", "CONFIRM": f"{__name__}.ask"}
    }
    money = {"amount": {"value": "10.00", "currency": "EUR"}}
    times = {"created_at": "2026-11-23T10:00:00.000Z"}
    paid = {"id": "pay_1", "status": "succeeded", "metadata": {"order_id": "A1"}, **money, **times}
    refund = {"id": "rf_1", "status": "succeeded", "payment_id": "pay_1", **money, **times}

    def tell(claimed, event, true=None):
        monkeypatch.setitem(globals(), "truth", lambda _: true or claimed)
        body = {"type": "notification", **claimed}
        assert post(json.dumps(body).encode(), "yookassa").status_code == 200
        process(published())
        return Event.objects.get(provider_event_id=event)

    charge = {"event": "payment.succeeded", "object": paid}
    pending = {"event": "payment.waiting_for_capture", "object": {**paid, "status": "pending"}}
    forged = tell(charge, "payment.succeeded:pay_1", true=pending)
    assert (forged.status, shop_state()["ledger"]) == ("ignored", [])
    genuine = tell(charge, "payment.succeeded:pay_1")
    assert (genuine.pk, genuine.status) == (forged.pk, "processed")
    back = tell({"event": "refund.succeeded", "object": refund}, "refund.succeeded:rf_1")
    assert (back.status, back.order_id) == ("processed", "A1")
    assert shop_state()["ledger"] == [("payment", "A1"), ("refund", "A1")]
