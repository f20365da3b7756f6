"""Prune: what an event said is forgotten, and it still has one effect."""

import datetime
import json

import pytest
from django.db.models import F
from django.utils import timezone

from django_payment_webhooks import history
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import Overtaken
from django_payment_webhooks.history.models import AuditRecord, Entry
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.operations.batches import iterate
from django_payment_webhooks.operations.dry_run import dry_run
from django_payment_webhooks.operations.pruning import (
    Audit,
    PruneError,
    delete,
    erase,
    erase_order,
    find_final,
    find_unpruned,
    prune,
    run_audited,
)
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.operations.resolve import resolve
from django_payment_webhooks.operations.transactions import LockedError
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.publisher import process
from django_payment_webhooks.receiving import receive_events

from ..doubles import another_connection, handle
from ..factories import EventFactory, sign
from .final_events import CANARY, FINAL, UNFINISHED, columns, everything, old, read

pytestmark = pytest.mark.django_db(transaction=True)


# ---- what pruning leaves


@pytest.mark.parametrize("status", FINAL)
def test_of_a_final_event_only_the_body_goes(status):
    event = old(status=status, error="why", data={"name": CANARY}, idempotency_key=digest("k"))
    before = columns(event)
    assert prune(event) is True
    after = columns(event)
    body = bytes(after.pop("body"))
    assert body.startswith(b"pruned:")
    assert len(body) == len("pruned:") + 32 + 1 + 32
    assert CANARY.encode() in bytes(before.pop("body"))
    assert CANARY not in everything()
    assert after.pop("version") == before.pop("version") + 1
    assert after == before


@pytest.mark.parametrize("status", UNFINISHED)
@pytest.mark.parametrize("action", [prune, delete, erase])
def test_an_event_that_is_not_final_is_left_as_it_is(status, action):
    event = old(status=status)
    before = columns(event)
    assert action(event) is False
    assert columns(event) == before


@pytest.mark.parametrize("action", [prune, delete, erase])
def test_an_event_that_changed_since_it_was_read_is_left_as_it_is(action):
    event = old()
    Event.objects.update(version=F("version") + 1)
    before = columns(event)
    assert action(event) is False
    assert columns(event) == before


def test_a_pruned_event_is_not_pruned_again():
    event = old()
    assert prune(event) is True
    before = columns(event)
    assert prune(event) is False
    assert prune(read(event)) is False
    assert columns(event) == before


def test_no_signal_is_sent_and_nothing_is_enqueued(received_signals, published):
    assert prune(old())
    assert received_signals == []
    assert published() == []


# ---- a pruned event deduplicates


def test_a_repetition_of_a_pruned_event_is_a_duplicate_and_no_conflict(
    paid, post, received_signals, published
):
    body = bytes(paid.body)
    assert prune(paid)
    before = columns(paid)
    del received_signals[:]
    published()
    for repeated in (body, json.dumps(json.loads(body.decode()), indent=3).encode()):
        response = post(repeated, HTTP_X_SIGNATURE=sign(repeated))
        assert (response.status_code, response.json()["status"]) == (200, "duplicate")
    assert received_signals.names() == ["webhook_received"] * 2
    assert columns(paid) == before
    assert published() == []


def test_a_pruned_event_still_shows_that_a_repetition_says_something_else(
    paid, webhook, received_signals
):
    assert prune(paid)
    del received_signals[:]
    response = webhook(
        event_id="evt_1", order_id="A1", amount="99.00", currency="EUR", charge_id="ch_1"
    )
    assert (response.status_code, response.json()["status"]) == (200, "duplicate")
    assert received_signals.names() == ["event_conflicted", "webhook_received"]


@pytest.mark.parametrize("is_pruned", [False, True])
@pytest.mark.parametrize(("charge", "signals"), [("ch_1", []), ("ch_2", ["event_conflicted"])])
def test_another_event_of_the_same_effect_is_a_duplicate(
    paid, webhook, run_due, shop_state, received_signals, is_pruned, charge, signals
):
    if is_pruned:
        assert prune(paid)
    del received_signals[:]
    webhook(event_id="evt_2", order_id="A1", amount="10.00", currency="EUR", charge_id=charge)
    run_due()
    assert Event.objects.get(provider_event_id="evt_2").status == "duplicate"
    assert received_signals.names()[2:] == ["event_duplicate", *signals]
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_what_a_body_differed_in_is_forgotten_with_it(paid, webhook, history):
    webhook(event_id="evt_1", order_id="A1", amount="99.00", currency="EUR", name=CANARY)
    assert Entry.objects.filter(verb="conflicted").exclude(text="").exists()
    assert prune(read(paid))
    assert Entry.objects.filter(verb="conflicted", text="").exists()
    assert CANARY not in everything()


def test_a_refund_that_comes_long_after_still_finds_its_charge(paid, webhook, run_due, shop_state):
    assert prune(paid)
    webhook(type="refund.created", order_id="A1", refund_id="re_1", amount="1.00", currency="EUR")
    run_due()
    assert shop_state()["refunds"] == [("A1", "re_1")]


def test_two_pruned_events_are_compared_by_their_digests():
    one, same, other = (
        old(data={"amount": amount, "charge_id": "ch_1"}, type="t") for amount in ("1", "1", "2")
    )
    for event in (one, same, other):
        assert prune(event)
    assert read(one).data == read(same).data
    assert read(one).data != read(other).data
    assert read(one).payload != read(same).payload  # their ids differ


def test_a_pruned_payload_is_a_dictionary_that_has_nothing_of_it():
    event = old(data={"name": CANARY})
    prune(event)
    assert CANARY not in json.dumps([event.payload, event.data, read(event).payload])
    assert event.data.get("amount") is None
    assert isinstance(event.payload, dict)


@pytest.mark.parametrize("event_type", ["charge.succeeded", ""])
@pytest.mark.parametrize("action", [prune, erase])
def test_the_admin_shows_what_is_left(admin_client, event_type, action):
    event = old(data={"name": CANARY}, type=event_type, status=Event.FAILED)
    assert action(event)
    page = "/admin/payment_webhooks/event/%d/change/" % event.pk
    response = admin_client.get(page, {"payload": 1})
    assert response.status_code == 200
    assert (
        "pruned:" in response.content.decode() or "&quot;pruned&quot;" in response.content.decode()
    )
    assert CANARY not in response.content.decode()
    assert admin_client.get("/admin/payment_webhooks/event/").status_code == 200


# ---- a pruned event can't be replayed


@pytest.mark.parametrize("status", [Event.FAILED, Event.IGNORED])
def test_a_pruned_event_is_not_replayed_and_not_run_dry(status, published):
    event = old(status=status)
    prune(event)
    before = columns(event)
    assert replay(event) is False
    assert dry_run(event)[:3] == (status, "Its body was pruned: it can't be replayed.", [])
    assert columns(event) == before
    assert published() == []


def test_a_pruned_failed_event_can_still_be_handled_by_hand():
    event = old(status=Event.FAILED)
    prune(event)
    assert resolve(event, "alice", "refunded by hand")
    assert (read(event).status, read(event).idempotency_key) == (
        "processed",
        digest(f"order-paid:{digest('A1')}"),
    )


def test_an_event_that_is_replayed_while_it_is_pruned_is_replayed_or_pruned_never_both(
    order, run_due
):
    for first, second in ((replay, prune), (prune, replay)):
        event = old(status=Event.FAILED)
        one, two = read(event), read(event)
        assert (first(one), second(two)) == (True, False)
        row = read(event)
        assert (row.status == Event.RECEIVED) is not bytes(row.body).startswith(b"pruned:")


def test_a_worker_that_has_the_row_locked_wins_over_a_deletion(quick_lock_wait):
    event = old(status=Event.FAILED)
    with another_connection() as other:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            values = "status = 'received', version = version + 1"
            cursor.execute(
                "UPDATE payment_webhooks_event SET %s WHERE id = %d" % (values, event.pk)
            )
        with pytest.raises(LockedError):
            delete(event)
        other.commit()
    assert delete(event) is False
    assert read(event).status == "received"


def test_an_erasure_and_its_record_are_written_together_or_not_at_all(paid, monkeypatch):
    def fail(*args):
        raise ZeroDivisionError

    before = columns(paid)
    monkeypatch.setattr(history, "write_audit", fail)
    with pytest.raises(ZeroDivisionError):
        erase_order(paid, "alice", "a request")
    with pytest.raises(ZeroDivisionError):
        run_audited(paid, prune, Audit("pruned", "all", "alice", ""))
    assert columns(paid) == before
    monkeypatch.undo()
    audit = Audit("pruned", "all", "alice", "")
    assert run_audited(paid, prune, audit)
    assert not run_audited(read(paid), prune, audit)
    assert erase_order(read(paid), "alice", "a request")
    facts = AuditRecord.objects.order_by("pk").values_list("verb", "number")
    assert list(facts) == [("pruned", 1), ("erased", 1)]


def test_an_order_is_erased_wholly_or_not_at_all(paid, monkeypatch):
    """What names the payment alone could not be found any more by an order that is erased."""
    other = old(order_id="A1")
    before = [columns(paid), columns(other)]

    def overtake_the_second(event):
        if event.pk == other.pk:
            raise Overtaken
        forget(event)

    forget = history.forget
    monkeypatch.setattr(history, "forget", overtake_the_second)
    with pytest.raises(PruneError, match=f"^Event {other.pk} has just changed."):
        erase_order(read(paid), "alice")
    assert [columns(paid), columns(other)] == before
    assert not AuditRecord.objects.exists()


# ---- bodies that can't be parsed, providers that are gone, providers of another kind


@pytest.fixture
def unparsed():
    """Return the event of a body that could not be parsed, and was handled by hand."""
    receive_events(get_provider("default"), {}, b'{"name": "%s"}' % CANARY.encode())
    event = Event.objects.get()
    assert resolve(event, "alice", "it was a test")
    return event


def test_a_repetition_of_an_unparsed_body_is_answered_as_before(unparsed, post, received_signals):
    body = bytes(unparsed.body)
    before = post(body, HTTP_X_SIGNATURE=sign(body))
    assert prune(unparsed)
    assert CANARY not in everything()
    after = post(body, HTTP_X_SIGNATURE=sign(body))
    assert before.status_code == after.status_code == 400
    assert Event.objects.count() == 1
    assert received_signals.names()[-2:] == ["webhook_rejected"] * 2
    with pytest.raises(ValueError):
        assert read(unparsed).payload


def test_what_a_provider_said_that_is_gone_is_forgotten_and_nothing_differs_from_it(
    paid, post, settings
):
    body, providers = bytes(paid.body), settings.PAYMENT_WEBHOOKS_PROVIDERS
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {}
    assert prune(paid)
    assert CANARY not in everything()
    settings.PAYMENT_WEBHOOKS_PROVIDERS = providers
    assert post(body, HTTP_X_SIGNATURE=sign(body)).json()["status"] == "duplicate"


class Stranger(Provider):
    """A provider that reads bodies in its own way."""

    def payload(self, body):
        return json.loads(body.decode())


class Forgetful(Provider):
    """A provider that adds to a payload what is not in its body."""

    def payload(self, body):
        return dict(super().payload(body), more=1)


@pytest.mark.parametrize("provider", [Stranger, Forgetful])
@pytest.mark.parametrize("event_type", ["charge.succeeded", ""])
def test_events_of_a_provider_that_does_not_know_pruned_bodies_are_left_as_they_are(
    settings, provider, event_type
):
    backend = "tests.operations.test_pruning." + provider.__name__
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"BACKEND": backend}}
    event = old(type=event_type)
    before = columns(event)
    if provider is Forgetful and not event_type:
        assert prune(event) is True
        return
    for action in (prune, erase):
        with pytest.raises(PruneError, match="The provider default"):
            action(event)
    assert columns(event) == before


# ---- which events


def test_events_are_chosen_by_their_age_and_their_end():
    chosen = [old(31).pk, old(31, status=Event.DUPLICATE).pk, old(31, status=Event.IGNORED).pk]
    failed = old(31, status=Event.FAILED).pk
    old(29)
    old(31, finished_at=timezone.now() - datetime.timedelta(days=29))
    for status in UNFINISHED:
        old(31, status=status, finished_at=None)
    before = timezone.now() - datetime.timedelta(days=30)
    assert [event.pk for event in find_final(before).order_by("pk")] == chosen
    assert [event.pk for event in find_final(before, include_failed=True).order_by("pk")] == [
        *chosen,
        failed,
    ]


def test_only_bodies_that_are_still_there_are_found():
    events = [old(order_id="A%d" % number) for number in range(3)]
    prune(events[1])
    found = find_unpruned(Event.objects.order_by("pk"))
    assert [event.pk for event in found] == [events[0].pk, events[2].pk]


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_events_are_read_in_batches_each_once(batch, django_assert_num_queries):
    keys = [old().pk for _ in range(4)]
    with django_assert_num_queries({1: 5, 2: 3, 3: 2, 100: 1}[batch]):
        assert [event.pk for event in iterate(Event.objects.all(), batch)] == keys


# ---- erasing


def test_an_erased_event_that_was_pruned_before_keeps_its_digests(paid):
    prune(paid)
    body = bytes(read(paid).body)
    assert erase(read(paid))
    assert (bytes(read(paid).body), read(paid).order_id) == (body, "")


def test_the_event_that_a_worker_has_is_not_erased_under_its_hands(settings, order):
    erased = []
    handle(settings, prepare=lambda self, event: erased.append(erase(read(event))))
    event = EventFactory()
    process([event.pk])
    assert erased == [False]
    assert read(event).status == "processed"


def test_without_the_history_an_order_is_erased_as_well(settings):
    settings.INSTALLED_APPS = [
        app for app in settings.INSTALLED_APPS if not app.startswith(history.__name__)
    ]
    assert erase(old())
