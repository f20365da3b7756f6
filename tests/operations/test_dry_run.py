"""Dry run: what would become of an event is shown, and nothing is left behind."""

import time

import django
import pytest
from django.db import connection, connections, transaction
from django.utils import timezone
from shop.models import LedgerEntry, Order

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import NothingToDo, PermanentFailure
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.operations.dry_run import dry_run
from django_payment_webhooks.publisher import process
from django_payment_webhooks.receiving import receive_events

from ..doubles import DownstreamError, another_connection, handle
from ..factories import EventFactory, OrderFactory

pytestmark = pytest.mark.django_db(transaction=True)

FAILED = {"status": Event.FAILED, "due_at": None, "enqueue_at": None, "error": "the reason"}


@pytest.fixture(autouse=True)
def nothing_changed(received_signals, published, shop_state):
    """Demand of every test that its dry runs left nothing behind."""

    def run_and_compare(event):
        before = list(Event.objects.order_by("pk").values()), shop_state()
        del received_signals[:]
        published()
        facts = dict(vars(event))
        run = dry_run(event)
        after = list(Event.objects.order_by("pk").values()), shop_state()
        assert after == before
        assert received_signals == []
        assert published() == []
        assert vars(event) == facts
        return run

    return run_and_compare


@pytest.fixture
def trial(nothing_changed):
    """Do a dry run of an event, and assert that it left nothing behind."""
    return nothing_changed


def raising(error):
    """Return a method of a handler that raises."""

    def method(self, event):
        raise error

    return method


# ---- outcomes


@pytest.mark.parametrize("values", [{}, FAILED, dict(FAILED, status=Event.IGNORED, error="")])
def test_an_event_that_could_be_applied_shows_what_it_would_change(order, trial, values):
    event = EventFactory(finished_at=timezone.now() if values else None, **values)
    run = trial(event)
    assert run.outcome == "applied"
    assert run.explanation == "Its effects would be committed. Then it would be delivered."
    if connection.vendor != "mysql" or django.VERSION >= (
        2,
        0,
    ):  # older ones do not see what PyMySQL executes
        ledger, paid = sorted(run.statements)
        assert ledger.startswith("INSERT INTO") and "shop_ledgerentry" in ledger
        assert paid.startswith("UPDATE") and "shop_order" in paid and "paid" in paid


def test_a_handler_that_delivers_nothing_says_nothing_of_it(settings, trial):
    handle(settings)
    assert trial(EventFactory())[:3] == ("applied", "Its effects would be committed.", [])


def test_deliver_is_never_called(settings, trial):
    handle(settings, deliver=raising(AssertionError("It was delivered.")))
    assert trial(EventFactory()).outcome == "applied"


def test_what_prepare_writes_is_undone_as_well(settings, trial):
    handle(settings, prepare=lambda self, event: OrderFactory(id="A9"))
    assert trial(EventFactory()).outcome == "applied"
    assert not Order.objects.exists()


def test_what_would_be_done_on_commit_is_not_done(settings, trial):
    done = []
    handle(settings, apply=lambda self, event: transaction.on_commit(lambda: done.append(event)))
    assert trial(EventFactory()).outcome == "applied"
    assert done == []


def test_an_event_that_lacks_what_it_requires_would_wait(order, trial):
    event = EventFactory(type="refund.created", data={"refund_id": "re_1"})
    assert trial(event)[:3] == ("waiting", "It waits for charge.succeeded.", [])


def test_a_waiting_event_whose_time_has_come_would_be_applied(order, trial, run_due):
    refund = EventFactory(
        type="refund.created", data={"refund_id": "re_1", "amount": "1.00", "currency": "EUR"}
    )
    run_due()
    assert Event.objects.get().status == "waiting"
    EventFactory(status=Event.PROCESSED, idempotency_key="k", due_at=None)
    assert trial(refund).outcome == "applied"


def test_an_event_without_a_handler_would_be_ignored(trial):
    assert trial(EventFactory(type="customer.updated"))[:3] == (
        "ignored",
        "There is no handler for its type.",
        [],
    )


def test_an_event_whose_effect_another_had_would_be_a_duplicate(order, trial, run_due):
    first = EventFactory(data={"charge_id": "ch_1"})
    run_due()
    second = EventFactory(data={"charge_id": "ch_1"}, **FAILED)
    assert trial(second)[:3] == (
        "duplicate",
        f"{first} had this effect already.",
        [],
    )


def test_a_conflict_is_explained_and_not_signalled(order, trial, run_due):
    first = EventFactory(data={"charge_id": "ch_1"})
    run_due()
    difference = 'charge_id was "ch_1", here it is "ch_2".'
    assert trial(EventFactory(data={"charge_id": "ch_2"}, **FAILED))[:3] == (
        "duplicate",
        f"{first} had this effect already. {difference}",
        [],
    )


def test_an_event_whose_effect_another_order_had_would_fail(settings, trial):
    handle(settings, idempotency_key=lambda self, event: "the same")
    holder = EventFactory(
        order_id="A7", status=Event.PROCESSED, idempotency_key=digest("the same"), due_at=None
    )
    text = f"{holder}, of order A7, had this effect already."
    assert trial(EventFactory(**FAILED))[:3] == ("failed", text, [])


@pytest.mark.parametrize("method", ["prepare", "is_ready", "apply"])
def test_an_event_of_which_nothing_is_to_be_done_would_be_ignored(settings, trial, method):
    handle(settings, **{method: raising(NothingToDo("The session is not paid."))})
    assert trial(EventFactory(**FAILED))[:3] == ("ignored", "The session is not paid.", [])


def test_an_error_at_an_event_that_waits_would_be_repeated(order, settings, trial, run_due):
    refund = EventFactory(type="refund.created", data={"refund_id": "re_1"})
    run_due()
    handle(settings, "refund.created", apply=raising(ValueError("broken")))
    assert trial(refund)[:3] == ("retried", repr(ValueError("broken")), [])


def test_an_event_past_its_deadline_would_fail(order, trial, run_due, pass_time):
    refund = EventFactory(type="refund.created", data={"refund_id": "re_1"})
    run_due()
    pass_time(4 * 86400)
    text = "It waits for charge.succeeded. That did not come in time."
    assert trial(refund)[:3] == ("failed", text, [])
    run_due()
    assert Event.objects.get().status == "failed"
    # Replayed, it would wait again, from the beginning.
    assert trial(refund)[:3] == ("waiting", "It waits for charge.succeeded.", [])


@pytest.mark.parametrize(
    ("event_type", "values", "members"),
    [
        ("charge.succeeded", {}, {}),
        ("charge.succeeded", {}, {"deliver": lambda self, event: None}),
        ("charge.succeeded", {}, {"apply": raising(PermanentFailure("no"))}),
        ("charge.succeeded", {}, {"apply": raising(NothingToDo("unpaid"))}),
        ("charge.succeeded", {}, {"prepare": raising(ValueError("broken"))}),
        ("charge.succeeded", {}, {"requires": ("another.type",)}),
        ("charge.succeeded", {}, {"idempotency_key": lambda self, event: ""}),
        ("customer.updated", {}, {}),
    ],
)
def test_a_dry_run_says_what_the_worker_then_does(settings, trial, event_type, values, members):
    handle(settings, **members)
    event = EventFactory(type=event_type, **values)
    run = trial(event)
    process([event.pk])
    row = Event.objects.get()
    status = row.status
    if row.status == Event.RECEIVED:
        status = "retried"
    elif row.status == Event.PROCESSED:
        status = "applied"
    assert run.outcome == status
    assert row.error in ("", run.explanation)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (PermanentFailure("no such order"), "failed"),
        (DownstreamError(404), "failed"),
        (DownstreamError(429), "retried"),
        (DownstreamError(503), "retried"),
        (ValueError("broken"), "retried"),
    ],
)
@pytest.mark.parametrize("method", ["prepare", "is_ready", "apply", "idempotency_key"])
def test_an_error_is_shown_with_what_would_follow(settings, trial, method, error, outcome):
    handle(settings, **{method: raising(error)})
    assert trial(EventFactory(**FAILED))[:3] == (outcome, repr(error), [])


def test_what_was_written_before_an_error_is_not_shown_as_an_effect(settings, trial):
    def apply(self, event):
        OrderFactory(id="A9")
        raise ValueError("broken")

    handle(settings, apply=apply)
    assert trial(EventFactory())[:3] == ("retried", repr(ValueError("broken")), [])


def test_an_error_in_the_last_attempt_is_final_but_a_replayed_event_has_all_attempts(
    settings, trial
):
    handle(settings, apply=raising(ValueError("broken")))
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 3
    assert trial(EventFactory(attempts=1, error="x")).outcome == "retried"
    assert trial(EventFactory(attempts=2, error="x")).outcome == "failed"
    assert (
        trial(EventFactory(attempts=3, finished_at=timezone.now(), **FAILED)).outcome == "retried"
    )


def test_a_handler_that_can_not_be_imported_is_an_error_of_the_attempt(settings, trial):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": "no.such.handler"}
    outcome, explanation, *_ = trial(EventFactory(**FAILED))
    assert outcome == "retried"
    assert "ModuleNotFoundError" in explanation


@pytest.mark.parametrize("status", [Event.PROCESSED, Event.DUPLICATE])
def test_an_event_that_is_done_stays_so(trial, status):
    assert trial(EventFactory(status=status))[:3] == (
        status,
        "It is finished: nothing would happen.",
        [],
    )


@pytest.mark.parametrize("status", [Event.APPLIED, Event.FAILED])
def test_of_a_committed_effect_only_the_delivery_is_left(settings, trial, status):
    handle(settings, apply=raising(AssertionError("It was applied again.")))
    run = trial(EventFactory(status=status, idempotency_key=digest("k")))
    text = "Its effects are committed. Only its delivery would be repeated."
    assert run[:3] == ("applied", text, [])


def test_a_row_that_is_gone_raises(settings):
    event = EventFactory()
    Event.objects.all().delete()
    with pytest.raises(Event.DoesNotExist):
        dry_run(event)


# ---- workers


def test_an_event_that_a_worker_has_is_left_to_it(order, trial):
    event = EventFactory()
    Event.objects.get().reschedule(300, attempts=1)
    assert trial(event)[:3] == ("taken", "A worker is processing it.", [])


def test_an_event_between_two_attempts_is_run_dry(order, trial):
    event = EventFactory(attempts=1, error="broken", due_at=time.time() + 3600)
    assert trial(event).outcome == "applied"


def test_a_row_that_another_connection_has_locked_is_left_to_it(order, trial):
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("This database, or this Django, can't look past a lock.")
    event = EventFactory(**FAILED)
    with another_connection() as other:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT id FROM payment_webhooks_event FOR UPDATE")
        assert trial(event).outcome == "taken"
        other.rollback()
    assert trial(event).outcome == "applied"


def test_a_worker_that_comes_first_while_the_handler_prepares_wins(settings, received_signals):
    def prepare(self, event):
        Event.objects.get(pk=event.pk).reschedule(0)

    handle(settings, prepare=prepare)
    assert dry_run(EventFactory())[:3] == ("taken", "A worker has taken it in the meantime.", [])


# ---- within a transaction


def test_within_a_transaction_only_the_dry_run_is_undone(
    order, shop_state, received_signals, published
):
    event = EventFactory()
    with transaction.atomic():
        OrderFactory(id="A2")
        assert dry_run(event).outcome == "applied"
        assert shop_state()["orders"] == {"A1": "new", "A2": "new"}
    assert shop_state() == {
        "orders": {"A1": "new", "A2": "new"},
        "refunds": [],
        "disputes": [],
        "ledger": [],
    }
    assert received_signals == []
    assert published() == []
    assert Event.objects.get().version == 0


def test_within_a_transaction_an_error_of_the_database_does_not_spoil_it(settings, order):
    def apply(self, event):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nonsense FROM nowhere")

    handle(settings, apply=apply)
    event = EventFactory()
    with transaction.atomic():
        assert dry_run(event).outcome == "retried"
        assert Order.objects.count() == 1
        LedgerEntry.objects.create(kind="k", order=order)
    assert LedgerEntry.objects.count() == 1


def test_statements_are_recorded_for_the_dry_run_alone(order, trial):
    forced = connections["default"].force_debug_cursor
    trial(EventFactory())
    assert connections["default"].force_debug_cursor == forced


# ---- bodies that can't be parsed


@pytest.fixture
def unparsed():
    """Return the event of a body whose id is where the provider does not look for it."""
    body = b'{"uid": "evt_1", "type": "charge.succeeded", "data": {"order_id": "A1"}}'
    receive_events(get_provider("default"), {}, body)
    return Event.objects.get()


def test_a_body_that_still_can_not_be_parsed_says_why(unparsed, trial):
    outcome, explanation, statements, _ = trial(unparsed)
    assert (outcome, statements) == ("failed", [])
    assert explanation.startswith("It still can't be parsed. event_id is missing")


def test_a_body_that_can_be_parsed_by_now_says_what_would_be_stored(unparsed, trial, settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"FIELDS": {"provider_event_id": "uid"}}}
    text = "It can be parsed now. charge.succeeded evt_1 of order A1 would be stored."
    assert trial(unparsed)[:3] == ("processed", text, [])
    EventFactory(provider_event_id="evt_1")
    assert trial(unparsed).explanation.endswith("charge.succeeded evt_1 has already been stored.")


def test_a_provider_that_is_gone_is_said(unparsed, trial, settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {}
    assert trial(unparsed)[:3] == ("failed", "Its provider can't parse it: KeyError('default')", [])
