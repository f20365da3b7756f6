"""What the host's tests are given: the provider, the worker and the clock are played, and no broker
is needed.
"""

import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from celery import current_app
from django.db import connection
from django.http import HttpResponse
from django.test import Client, TestCase
from shop.handlers import MarkOrderPaid, RecordRefund
from shop.models import LedgerEntry, Order

from django_payment_webhooks import conf, publisher, testing
from django_payment_webhooks.history.receivers import rejections
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.testing import (
    assert_one_outcome,
    crash_after_effect,
    pass_time,
    post_body,
    post_event,
    run_due,
    sign,
    without_broker,
)

from .factories import SECRET, EventFactory, OrderFactory
from .factories import sign as sign_independently

pytestmark = pytest.mark.django_db

CHARGE = {"type": "charge.succeeded", "order_id": "A1", "charge_id": "ch_1", "amount": "10.00"}
REFUND = {"type": "refund.created", "order_id": "A1", "refund_id": "re_1", "amount": "2.50"}
DISPUTE = {"type": "dispute.opened", "order_id": "A1", "dispute_id": "dp_1"}


@pytest.fixture
def order(db):
    """The order A1 of 10.00 EUR, in a transaction that is rolled back."""
    return OrderFactory(id="A1")


def load_publisher():
    """Return what sends messages at present."""
    return conf.load(conf.settings.PAYMENT_WEBHOOKS_PUBLISHER)


# ---- the provider


def test_a_signature_is_the_one_that_the_partner_makes():
    assert sign(b"{}") == {"X-Signature": sign_independently(b"{}")}


def test_a_signature_with_a_time_has_both_in_its_header(client):
    headers = sign(b"{}", "timed", {"X-More": "1"})
    assert headers["X-More"] == "1"
    timestamp, _, mac = headers["X-Signature"].partition(",v1=")
    content = timestamp[len("t=") :].encode() + b".{}"
    assert mac == sign_independently(content, "a-secret-of-the-timed-partner!!!")


def test_a_forged_signature_looks_genuine_and_is_not_twice_the_same():
    first, second = sign(b"{}", forged=True)["X-Signature"], sign(b"{}", forged=True)["X-Signature"]
    assert len(first) == len(second) == 64
    assert len({first, second, sign_independently(b"{}")}) == 3


@pytest.mark.parametrize("provider", ["default", "timed"])
def test_an_event_is_posted_and_accepted_once_and_then_a_duplicate(provider):
    fields = dict(CHARGE, provider=provider, provider_event_id="evt_7")
    assert post_event(**fields).json() == {"status": "accepted", "event_id": "evt_7"}
    assert post_event(**fields).json() == {"status": "duplicate", "event_id": "evt_7"}
    event = Event.objects.get()
    assert (event.provider, event.type, event.order_id) == (provider, "charge.succeeded", "A1")
    assert (event.data["charge_id"], event.data["amount"], event.data["currency"]) == (
        "ch_1",
        "10.00",
        "EUR",
    )


def test_what_is_not_given_is_made_up_and_new_each_time():
    for event_type in (
        "charge.succeeded",
        "charge.succeeded",
        "refund.created",
        "dispute.opened",
        "payout.paid",
    ):
        assert post_event(event_type).status_code == 200
    events = list(Event.objects.order_by("pk"))
    assert len({event.provider_event_id for event in events}) == 5
    ids = [
        event.data["charge_id"] or event.data["refund_id"] or event.data["dispute_id"]
        for event in events
    ]
    assert len(set(ids[:4])) == 4 and ids[4] is None
    assert [event.data["amount"] for event in events] == ["10.00"] * 4 + [None]


def test_a_forged_or_an_old_webhook_is_refused_and_leaves_no_trace():
    assert post_event("charge.succeeded", forged=True).status_code == 401
    assert post_event("charge.succeeded", "timed", age=301).status_code == 401
    assert post_event("charge.succeeded", "timed", age=-310).status_code == 401
    assert not Event.objects.exists()
    assert post_event("charge.succeeded", "timed", age=200).status_code == 200


def test_any_body_can_be_posted_signed():
    assert post_body(b"not json").status_code == 400
    assert Event.objects.get().status == Event.FAILED


def test_it_is_posted_by_the_given_client_to_the_given_path():
    class Recorder(Client):
        def post(self, path, **options):
            return path, options

    path, options = post_body(b"{}", client=Recorder(), path="/elsewhere", headers={"X-More": "1"})
    assert path == "/elsewhere"
    assert (options["HTTP_X_MORE"], options["HTTP_X_SIGNATURE"]) == ("1", sign_independently(b"{}"))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            {"provider": "nobody"},
            "There is no provider 'nobody' in PAYMENT_WEBHOOKS_PROVIDERS. There are: default",
        ),
        ({"age": 5}, "The provider default signs no time"),
        (
            {"provider_event_id": None},
            "The provider default can't read what was composed: event_id is missing",
        ),
    ],
)
def test_what_can_not_be_posted_is_said(arguments, error):
    with pytest.raises(ValueError, match=error):
        post_event("charge.succeeded", **arguments)


def test_without_a_secret_nothing_can_be_signed(settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"SECRETS": ["short"]}}
    with pytest.raises(ValueError, match="The provider default has no usable secret") as raised:
        post_event("charge.succeeded")
    assert "short" not in str(raised.value)


# ---- the broker


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_nothing_is_published_by_anything_and_no_thread_starts(
    published, pass_time
):
    waiting = EventFactory(
        type="refund.created", order_id="A1", status=Event.FAILED, due_at=None, enqueue_at=None
    )
    OrderFactory(id="A1")
    threads = set(threading.enumerate())
    with without_broker():
        post_event(**REFUND)
        run_due()
        post_event(**CHARGE)
        run_due()
        assert replay(Event.objects.get(pk=waiting.pk))
        publisher.enqueue([Event.objects.get(pk=waiting.pk)])
        assert set(threading.enumerate()) <= threads
    assert published() == []
    assert Counter(Event.objects.values_list("status", flat=True)) == {
        "processed": 2,
        "received": 1,
    }


@pytest.mark.django_db(transaction=True)
def test_afterwards_all_is_published_as_before(published):
    with without_broker():
        pass
    post_event(**CHARGE)
    assert published() == [Event.objects.get().pk]


@pytest.mark.django_db(transaction=True)
def test_nothing_is_processed_before_it_is_asked_for_even_if_celery_is_eager(order):
    current_app.conf.task_always_eager = True
    try:
        with without_broker():
            post_event(**CHARGE)
            assert Event.objects.get().status == Event.RECEIVED
        assert current_app.conf.task_always_eager is True
        post_event(**dict(CHARGE, provider_event_id="evt_2"))
        assert Event.objects.latest("pk").status == Event.PROCESSED
    finally:
        current_app.conf.task_always_eager = False


def test_rejected_webhooks_start_no_thread_of_the_history_either(history, monkeypatch):
    monkeypatch.setattr(rejections, "start", lambda: pytest.fail("A thread was started."))
    with without_broker():
        post_event("charge.succeeded", forged=True)
    assert not rejections.counts


def test_an_error_brings_the_broker_back_too():
    with pytest.raises(ZeroDivisionError), without_broker():
        assert type(load_publisher()) is testing.SilentPublisher
        raise ZeroDivisionError
    assert type(load_publisher()) is publisher.ThreadPublisher


# ---- the worker and the clock


def test_what_is_due_is_processed_and_what_becomes_due_by_that(payment_webhooks, order, shop_state):
    payment_webhooks.post_event(**REFUND)
    (refund,) = run_due()
    assert refund.status == Event.WAITING
    payment_webhooks.post_event(**CHARGE)
    assert [(event.type, event.status) for event in run_due()] == [
        ("charge.succeeded", "processed"),
        ("refund.created", "processed"),
    ]
    assert run_due() == []
    assert shop_state()["ledger"] == [("payment", "A1"), ("refund", "A1")]


def test_an_event_that_is_always_due_is_not_tried_for_ever(
    payment_webhooks, settings, order, monkeypatch
):
    monkeypatch.setattr(MarkOrderPaid, "apply", lambda *_: 1 / 0)
    settings.PAYMENT_WEBHOOKS_BACKOFF_BASE = 0
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 1000
    payment_webhooks.post_event(**CHARGE)
    with pytest.raises(
        AssertionError, match=r"After 100 rounds there is still something due: events \[\d+\]"
    ):
        run_due()


def test_a_failed_attempt_is_repeated_when_its_time_has_passed(
    payment_webhooks, order, monkeypatch
):
    with monkeypatch.context() as broken:
        broken.setattr(MarkOrderPaid, "apply", lambda *_: 1 / 0)
        payment_webhooks.post_event(**CHARGE)
        run_due()
    assert run_due() == []
    pass_time(2.4)
    assert run_due() == []
    pass_time(2.7)
    assert [(event.status, event.attempts) for event in run_due()] == [("processed", 2)]


def test_time_passes_for_events_that_are_not_finished_only():
    finished = EventFactory(
        status=Event.PROCESSED, finished_at="2026-11-23T10:00Z", due_at=None, enqueue_at=None
    )
    waiting = EventFactory(waiting_since=time.time() - 5)
    before = [Event.objects.values().get(pk=event.pk) for event in (finished, waiting)]
    pass_time(60)
    after = [Event.objects.values().get(pk=event.pk) for event in (finished, waiting)]
    assert after[0] == before[0]
    moved = {name for name in after[1] if after[1][name] != before[1][name]}
    assert moved == {"due_at", "enqueue_at", "waiting_since", "received_at"}
    passed = {name: before[1][name] - after[1][name] for name in moved}
    assert passed.pop("received_at").total_seconds() == 60
    assert passed == pytest.approx(dict.fromkeys(passed, 60))


# ---- a crash


def test_a_crash_between_the_effect_and_the_commit_has_no_effect_and_the_next_attempt_has_it_once(
    payment_webhooks, order, settings, shop_state
):
    payment_webhooks.post_event(**CHARGE)
    with crash_after_effect():
        run_due()
    event = Event.objects.get()
    assert (event.status, event.attempts, event.idempotency_key) == (Event.RECEIVED, 1, None)
    assert (shop_state()["orders"], shop_state()["ledger"]) == ({"A1": "new"}, [])
    assert run_due() == []
    pass_time(settings.PAYMENT_WEBHOOKS_LEASE)
    assert [(event.status, event.attempts) for event in run_due()] == [("processed", 2)]
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_the_handler_has_done_its_work_before_the_crash(payment_webhooks, order, monkeypatch):
    seen, real = [], MarkOrderPaid.order_paid

    def order_paid(handler, event, order):
        real(handler, event, order)
        seen.append(Order.objects.get().status)

    monkeypatch.setattr(MarkOrderPaid, "order_paid", order_paid)
    payment_webhooks.post_event(**CHARGE)
    with crash_after_effect():
        run_due()
    assert seen == [Order.PAID]
    assert Order.objects.get().status == Order.NEW


def test_a_crash_that_does_not_happen_is_an_error(payment_webhooks, order):
    with pytest.raises(AssertionError, match="No worker was killed"), crash_after_effect():
        run_due()
    payment_webhooks.post_event("unknown")
    with pytest.raises(AssertionError, match="No worker was killed"), crash_after_effect():
        run_due()
    assert Event.objects.get().status == Event.IGNORED


# ---- every order


def read_ledger():
    """Return the shop's effects, and the state of its order."""
    return {
        "order": list(Order.objects.values_list("pk", "status")),
        "ledger": sorted(
            (row.kind, row.reference, str(row.amount)) for row in LedgerEntry.objects.all()
        ),
    }


def test_the_one_outcome_is_returned_and_nothing_is_left_of_it(payment_webhooks, order):
    again = dict(CHARGE, provider="timed")
    state = assert_one_outcome([CHARGE, again], read_ledger)
    assert state == {"order": [("A1", "paid")], "ledger": [("payment", "ch_1", "10.00")]}
    assert not Event.objects.exists()
    assert read_ledger() == {"order": [("A1", "new")], "ledger": []}


def test_every_event_comes_in_every_place_and_twice(payment_webhooks, order, monkeypatch):
    posted = []
    monkeypatch.setattr(
        testing, "post_event", lambda **event: posted.append(event["type"][0]) or HttpResponse()
    )
    assert_one_outcome([CHARGE, REFUND], lambda: None)
    assert "".join(posted) == "ccrr" * 2 + "crcr" * 2 + "rrcc" * 2 + "rcrc" * 2


def test_an_outcome_that_depends_on_the_order_is_found(payment_webhooks, order, monkeypatch):
    monkeypatch.setattr(RecordRefund, "requires", ())
    monkeypatch.setattr(
        RecordRefund,
        "apply",
        lambda self, event: LedgerEntry.objects.create(
            kind=Order.objects.get().status, order_id="A1"
        ),
    )
    with pytest.raises(AssertionError, match="Two orders end differently") as raised:
        assert_one_outcome([CHARGE, REFUND], read_ledger)
    said = str(raised.value)
    charge, refund = "charge.succeeded evt_1", "refund.created evt_2"
    assert f"{charge}, {charge}, {refund}, {refund}, processed after each:" in said
    assert "('paid', '', 'None')" in said and "('new', '', 'None')" in said
    assert not Event.objects.exists()


def test_an_event_that_ends_in_another_way_is_found(payment_webhooks, order, monkeypatch):
    monkeypatch.setattr(
        RecordRefund,
        "is_ready",
        lambda self, event: bool(Order.objects.exclude(paid_at=None) or 1 / 0),
    )
    with pytest.raises(AssertionError, match="Two orders end differently") as raised:
        assert_one_outcome([CHARGE, REFUND], lambda: "the same")
    assert "'refund.created processed': 1" in str(raised.value)
    assert "'refund.created received': 1" in str(raised.value)


def test_events_that_are_refused_are_an_error_and_not_one_outcome(payment_webhooks, order):
    with pytest.raises(AssertionError, match="charge.succeeded evt_1 was answered with 401"):
        assert_one_outcome([dict(CHARGE, forged=True)], read_ledger)


def test_too_many_orders_are_refused_at_once(payment_webhooks):
    with pytest.raises(ValueError, match="More than 5 events have too many orders."):
        assert_one_outcome([CHARGE] * 6, read_ledger)


def test_no_event_at_all_has_the_state_that_is_there(payment_webhooks, order):
    assert assert_one_outcome([], read_ledger) == {"order": [("A1", "new")], "ledger": []}


# ---- with unittest


class KitInATestCase(TestCase):
    """As a project without pytest has it: nothing is ever committed."""

    def run(self, result=None):
        with without_broker():
            return super().run(result)

    def test_the_kit_works_in_a_transaction(self):
        OrderFactory(id="A1")
        post_event(client=self.client, **CHARGE)
        with crash_after_effect():
            run_due()
        assert read_ledger()["ledger"] == []
        pass_time(300)
        assert [event.status for event in run_due()] == ["processed"]
        state = assert_one_outcome([REFUND, DISPUTE], read_ledger)
        assert [kind for kind, _, _ in state["ledger"]] == ["dispute", "payment", "refund"]


# ---- the plug-in of pytest


def run_pytest(folder, *options):
    """Run pytest in another project, and return what it printed."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "--rootdir=.",
        *options,
    ]
    done = subprocess.run(
        command, cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
    )
    return done.returncode, done.stdout.decode()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="another process, and no database")
def test_a_project_that_does_not_use_the_app_is_left_alone(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import sys\n\n\n"
        "def test_it(request):\n"
        "    assert request.config.pluginmanager.hasplugin('payment_webhooks')\n"
        "    assert 'django_payment_webhooks.models' not in sys.modules\n"
        "    assert 'django_payment_webhooks.testing' not in sys.modules\n"
    )
    code, printed = run_pytest(tmp_path, "-p", "no:django")
    assert (code, "1 passed" in printed) == (0, True), printed


def test_the_fixture_is_the_kit_with_the_broker_away(payment_webhooks):
    assert payment_webhooks is testing
    assert type(load_publisher()) is testing.SilentPublisher
    assert set(testing.__all__) == {
        name for name in testing.__all__ if callable(getattr(payment_webhooks, name))
    }


def test_nothing_of_it_shows_a_secret(settings):
    for attempt in (lambda: sign(b"{}", "nobody"), lambda: sign(b"{}", age=1)):
        with pytest.raises(ValueError) as raised:
            attempt()
        assert SECRET not in str(raised.value)


def test_a_provider_of_a_class_that_is_none_can_not_be_played(settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"BACKEND": "tests.test_testing.Other"}}
    with pytest.raises(ValueError, match="can't be used: it is not derived from Provider"):
        sign(b"{}")


class Other:
    """A provider that only the core knows."""

    def __init__(self, name):
        self.name = name


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"SECRET": "x"}, "SECRET is not an option of the provider default"),
        ({"BACKEND": "no.such.module"}, "No module named 'no'"),
        ({"BACKEND": "tests.test_testing.Other"}, "unexpected keyword argument"),
        ({"KEY_ENCODING": "rot13"}, "rot13"),
        ({"DIGEST": "sha0"}, "sha0"),
        ({"SIGNATURE_PATTERN": "("}, "missing \\)"),
    ],
)
def test_options_that_are_wrong_are_named(settings, options, error):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": dict({"SECRETS": [SECRET]}, **options)}
    with pytest.raises(
        ValueError, match="The provider default can't be used: .*%s" % error
    ) as raised:
        sign(b"{}")
    assert SECRET not in str(raised.value)
