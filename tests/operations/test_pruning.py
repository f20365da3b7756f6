"""Prune: what an event said is forgotten, and it still has one effect."""

import datetime
import io
import json
import re
import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.models import F
from django.utils import timezone

from django_payment_webhooks import history
from django_payment_webhooks.admin.timeline import read_order_timeline, read_timeline
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.history.models import Entry
from django_payment_webhooks.management.commands.prune_payment_webhooks import Command
from django_payment_webhooks.models import Event, EventManager, digest
from django_payment_webhooks.operations.batches import iterate
from django_payment_webhooks.operations.dry_run import dry_run
from django_payment_webhooks.operations.pruning import (
    PruneError,
    delete,
    erase,
    find_final,
    find_unpruned,
    prune,
)
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.operations.resolve import resolve
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.publisher import process
from django_payment_webhooks.receiving import receive_events

from ..doubles import another_connection, handle
from ..factories import EventFactory, sign

pytestmark = pytest.mark.django_db(transaction=True)

CANARY = "Erika Mustermann"
UNFINISHED = [Event.RECEIVED, Event.WAITING, Event.APPLIED]
FINAL = [Event.PROCESSED, Event.DUPLICATE, Event.IGNORED, Event.FAILED]


def old(days=400, **values):
    """Return a processed event that is so many days old."""
    then = timezone.now() - datetime.timedelta(days=days)
    final = {
        "status": Event.PROCESSED,
        "received_at": then,
        "finished_at": then,
        "due_at": None,
        "enqueue_at": None,
    }
    return EventFactory(**dict(final, **values))


def read(event):
    """Return the event as its row is now."""
    return Event.objects.get(pk=event.pk)


def columns(event):
    """Return the row as plain values."""
    return Event.objects.filter(pk=event.pk).values().get()


def everything():
    """Return the text of all that the app's tables have."""
    rows = [*Event.objects.values(), *Entry.objects.values()]
    return " ".join(
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for row in rows
        for value in (
            bytes(value) if isinstance(value, memoryview) else value for value in row.values()
        )
    )


def run(*args, **options):
    """Run the command, and return what it printed."""
    printed = io.StringIO()
    call_command("prune_payment_webhooks", *args, stdout=printed, **options)
    return printed.getvalue()


@pytest.fixture
def paid(order, webhook, run_due):
    """Return an order's event that was received by a webhook and processed, and its body."""
    webhook(
        event_id="evt_1",
        order_id="A1",
        amount="10.00",
        currency="EUR",
        charge_id="ch_1",
        name=CANARY,
    )
    run_due()
    return Event.objects.get()


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


def test_a_pruned_event_still_tells_that_a_repetition_says_something_else(
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
    response = admin_client.get("/admin/payment_webhooks/event/%d/change/" % event.pk)
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
    assert dry_run(event) == (status, "Its body was pruned: it can't be replayed.", [])
    assert columns(event) == before
    assert published() == []


def test_a_pruned_failed_event_can_still_be_handled_by_hand():
    event = old(status=Event.FAILED)
    prune(event)
    assert resolve(event, "alice", "refunded by hand")
    assert (read(event).status, read(event).idempotency_key) == (
        "processed",
        digest("order-paid:A1"),
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


def test_a_worker_that_has_the_row_locked_wins_over_a_deletion():
    if not connection.features.has_select_for_update:
        pytest.skip("This database can't lock single rows.")
    event, results = old(status=Event.FAILED), []
    with another_connection() as other:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            values = "status = 'received', version = version + 1"
            cursor.execute(
                "UPDATE payment_webhooks_event SET %s WHERE id = %d" % (values, event.pk)
            )

        def delete_meanwhile():
            results.append(delete(event))
            connection.close()

        thread = threading.Thread(target=delete_meanwhile)
        thread.start()
        thread.join(0.2)
        assert results == []
        other.commit()
        thread.join(10)
    assert results == [False]
    assert read(event).status == "received"


# ---- bodies that can't be parsed, providers that are gone, providers of another kind


@pytest.fixture
def unparsed():
    """Return the event of a body that could not be parsed, and that somebody handled by hand."""
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
    with pytest.raises(CommandError, match="1 events: The provider default"):
        run("--days", "1")


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


# ---- the command


def test_old_bodies_are_pruned_and_counted():
    events = [old(order_id="A%d" % number) for number in range(3)]
    young = old(10)
    assert run("--days", "30", "--batch", "2") == "3 events pruned\n"
    assert all(bytes(read(event).body).startswith(b"pruned:") for event in events)
    assert not bytes(read(young).body).startswith(b"pruned:")
    assert run("--days", "30") == "0 events pruned\n"


def test_failed_events_are_pruned_only_if_asked():
    event = old(status=Event.FAILED)
    assert run("--days", "30") == "0 events pruned\n"
    assert replay(read(event))
    Event.objects.update(status=Event.FAILED)
    assert (
        run("--days", "30", "--include-failed") == "0 events pruned\n"
    )  # replayed, it is not final any more
    Event.objects.update(finished_at=timezone.now() - datetime.timedelta(days=31))
    assert run("--days", "30", "--include-failed") == "1 events pruned\n"


@pytest.mark.parametrize(
    "args", [("--days", "100"), ("--days", "100", "--delete"), ("--erase-order", "A1")]
)
def test_a_dry_run_changes_nothing(args):
    before = columns(old())
    assert run(*args, "--dry-run").startswith("1 events would be ")
    assert list(Event.objects.values()) == [before]


def test_scripts_get_json():
    old()
    assert json.loads(run("--days", "30", "--dry-run", "--json")) == {
        "pruned": 1,
        "left": 0,
        "dry_run": True,
        "problems": {},
    }
    assert json.loads(run("--days", "30", "--json"))["pruned"] == 1


def test_it_is_silent_if_asked():
    old()
    assert run("--days", "30", verbosity=0) == ""
    assert not find_unpruned(Event.objects.all()).exists()


def test_what_is_replayed_meanwhile_is_left(monkeypatch):
    event = old(status=Event.IGNORED)

    def replay_first(events, batch):
        found = list(iterate(events, batch))
        assert replay(read(event))
        return found

    monkeypatch.setattr(
        "django_payment_webhooks.management.commands.prune_payment_webhooks.iterate", replay_first
    )
    assert run("--days", "30") == "0 events pruned, 1 left as they are\n"
    assert read(event).status == "received"


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((), "either --days N or --erase-order ID"),
        (("--days", "1", "--erase-order", "A1"), "either --days N or --erase-order ID"),
        (("--days", "-1"), "at least 0"),
        (("--days", "1", "--batch", "0"), "at least 1"),
        (("--erase-order", "A1", "--delete"), "leave out --delete"),
        (("--days", "89", "--delete"), "Give --days 90 or more, or --force"),
        (("--days", "often"), "invalid int value"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_and_change_nothing(args, error):
    before = columns(old())
    with pytest.raises(CommandError, match=error):
        run(*args)
    assert list(Event.objects.values()) == [before]


def test_a_database_that_fails_ends_the_command_with_an_error(monkeypatch):
    def fail(self, **conditions):
        raise OperationalError("The server has gone away.")

    monkeypatch.setattr(EventManager, "filter", fail)
    with pytest.raises(CommandError, match="run it again for the rest. .*gone away"):
        run("--days", "30")


def test_help_stands_alone(capsys):
    with pytest.raises(SystemExit) as exit:
        Command().run_from_argv(["manage.py", "prune_payment_webhooks", "--help"])
    assert exit.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert " ".join(Command.help.split()) in text
    for option in (
        "--days",
        "--delete",
        "--force",
        "--include-failed",
        "--erase-order ID",
        "--dry-run",
        "--json",
    ):
        assert option in text


class Terminal(io.StringIO):
    """What looks like a terminal."""

    def isatty(self):
        return True


def test_a_terminal_shows_how_far_it_has_come_and_nothing_else_does():
    old()
    terminal, file = Terminal(), io.StringIO()
    assert run("--days", "30", stderr=terminal) == "1 events pruned\n"
    assert terminal.getvalue().endswith("1 events\r\x1b[K")
    old()
    run("--days", "30", stderr=file)
    assert file.getvalue() == ""


# ---- deleting


def test_old_rows_are_deleted_with_their_history_and_young_ones_stay():
    event, young = old(91), old(89)
    Entry.objects.create(event=event, at=timezone.now(), verb="failed", attempts=1)
    assert run("--days", "90", "--delete") == "1 events deleted\n"
    assert list(Event.objects.values_list("pk", flat=True)) == [young.pk]
    assert not Entry.objects.exists()


def test_younger_rows_are_deleted_only_by_force():
    old(5)
    assert run("--days", "1", "--delete", "--force") == "1 events deleted\n"
    assert not Event.objects.exists()


def test_an_order_with_an_unfinished_event_keeps_its_rows(order, run_due):
    charge = old(order_id="A1", idempotency_key=digest("order-paid:A1"))
    old(order_id="A2")
    refund = EventFactory(
        type="refund.created", data={"refund_id": "re_1", "amount": "1.00", "currency": "EUR"}
    )
    assert run("--days", "90", "--delete") == "1 events deleted, 1 left as they are\n"
    run_due()
    assert read(refund).status == "processed"
    assert read(charge).status == "processed"


def test_events_without_an_order_are_deleted_whatever_else_has_no_order():
    EventFactory(order_id="")
    old(order_id="")
    assert run("--days", "90", "--delete") == "1 events deleted\n"


# ---- erasing one order


@pytest.fixture
def story(order, webhook, run_due, history):
    """Let an order be paid, repeated, refunded, and paid again, with a name in each event."""
    facts = {"order_id": "A1", "currency": "EUR", "name": CANARY}
    webhook(event_id="evt_charge", amount="10.00", charge_id="ch_1", **facts)
    webhook(event_id="evt_refund", type="refund.created", refund_id="re_1", amount="1.00", **facts)
    webhook(event_id="evt_again", amount="10.00", charge_id="ch_1", **facts)
    run_due()
    webhook(event_id="evt_other", order_id="A2", type="other", name="somebody else")
    run_due()
    return list(Event.objects.filter(order_id="A1").order_by("pk"))


def test_nothing_that_tells_about_an_erased_order_is_left(story):
    Entry.objects.create(
        event=story[0], at=timezone.now(), verb="replayed", attempts=1, text=CANARY, by="alice"
    )
    assert Entry.objects.exclude(text="").exists()
    assert run("--erase-order", "A1", "--no-input") == "3 events erased\n"
    text = everything()
    for word in (CANARY, "A1", "evt_charge", "evt_refund", "evt_again", "ch_1", digest("A1")):
        assert not re.search(
            r"\b%s\b" % re.escape(word), text
        )  # the other event has a charge of its own
    assert "somebody else" in text
    assert Event.objects.count() == 4
    assert Entry.objects.filter(by="alice", verb="replayed", text="").exists()
    assert run("--erase-order", "A1", "--no-input") == "0 events erased\n"


def test_an_erased_order_still_deduplicates(
    story, post, webhook, run_due, received_signals, shop_state
):
    before, bodies = shop_state(), [bytes(event.body) for event in story]
    run("--erase-order", "A1", "--no-input")
    del received_signals[:]
    for body in bodies:
        assert post(body, HTTP_X_SIGNATURE=sign(body)).json()["status"] == "duplicate"
    assert received_signals.names() == ["webhook_received"] * 3
    webhook(event_id="evt_new", order_id="A1", amount="10.00", currency="EUR", charge_id="ch_1")
    run_due()
    assert Event.objects.get(provider_event_id="evt_new").status == "duplicate"
    assert "event_conflicted" not in received_signals.names()
    assert shop_state() == before


def test_erased_events_have_nothing_in_common(story, settings, run_due):
    run("--erase-order", "A1", "--no-input")
    erased = Event.objects.filter(order_id="")
    assert set(erased.values_list("order_key", flat=True)) == {""}
    assert [len(read_order_timeline(event)) for event in erased] == [
        len(read_timeline(event)) for event in erased
    ]
    # And nothing in common with what never had an order.
    refund = EventFactory(type="refund.created", order_id="")
    handle(settings, "refund.created", requires=("charge.succeeded",))
    run_due()
    assert read(refund).status == "waiting"


def test_an_order_with_an_unfinished_event_is_not_erased(story):
    late = EventFactory(order_id="A1", type="refund.created", status=Event.WAITING)
    before = list(Event.objects.values())
    with pytest.raises(CommandError, match=r"Nothing was erased: .* %d is waiting" % late.pk):
        run("--erase-order", "A1", "--no-input")
    assert list(Event.objects.values()) == before


def test_a_failed_event_is_erased_only_if_asked():
    event = old(status=Event.FAILED, error=CANARY)
    with pytest.raises(CommandError, match="%d is failed" % event.pk):
        run("--erase-order", "A1", "--no-input")
    assert run("--erase-order", "A1", "--no-input", "--include-failed") == "1 events erased\n"
    assert (read(event).status, read(event).error) == ("failed", "")


@pytest.mark.parametrize("order_id", ["", "a1", "A2"])
def test_another_order_is_not_erased(order_id):
    before = columns(old())
    old(order_id="", status=Event.IGNORED)
    assert run("--erase-order", order_id, "--no-input") == "0 events erased\n"
    assert columns(Event.objects.get(pk=before["id"])) == before


@pytest.mark.parametrize("answer", ["", "no", "y"])
def test_nothing_is_erased_without_a_clear_yes(monkeypatch, answer):
    before = columns(old())
    questions = []
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or answer)
    with pytest.raises(CommandError, match="Nothing was erased."):
        run("--erase-order", "A1")
    assert questions == [
        "Erase what 1 events say about this order? It can't be undone. Type yes to go on: "
    ]
    assert list(Event.objects.values()) == [before]
    monkeypatch.setattr("builtins.input", lambda question: "yes")
    assert run("--erase-order", "A1") == "1 events erased\n"


def test_an_erased_event_that_was_pruned_before_keeps_its_digests(paid):
    prune(paid)
    body = bytes(read(paid).body)
    assert erase(read(paid))
    assert (bytes(read(paid).body), read(paid).order_id) == (body, "")


def test_what_comes_for_an_erased_order_is_visible(story, webhook, run_due, pass_time):
    run("--erase-order", "A1", "--no-input")
    webhook(
        event_id="evt_late",
        type="refund.created",
        refund_id="re_2",
        amount="1.00",
        order_id="A1",
        currency="EUR",
    )
    run_due()
    assert Event.objects.get(provider_event_id="evt_late").status == "waiting"
    pass_time(4 * 86400)
    run_due()
    assert Event.objects.get(provider_event_id="evt_late").status == "failed"


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
