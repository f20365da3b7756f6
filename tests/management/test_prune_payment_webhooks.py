"""The command that prunes, deletes and erases."""

import datetime
import io
import json
import re

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_payment_webhooks import history
from django_payment_webhooks.exceptions import Overtaken
from django_payment_webhooks.history.models import AuditRecord, Conflict, Entry
from django_payment_webhooks.history.timeline import read_order_timeline, read_timeline
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.operations.batches import iterate
from django_payment_webhooks.operations.pruning import (
    find_unpruned,
)
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.providers import Provider

from ..doubles import handle
from ..factories import EventFactory, sign
from ..operations.final_events import CANARY, columns, everything, old, read
from .terminals import Terminal

pytestmark = pytest.mark.django_db(transaction=True)
OPERATING = "django_payment_webhooks.management.operating"


def run(*args, **options):
    """Run the command, and return what it printed."""
    printed = io.StringIO()
    options = {"interactive": False, **options}
    call_command("prune_payment_webhooks", *args, stdout=printed, **options)
    return printed.getvalue()


# ---- the command


class Stranger(Provider):
    """A provider that reads bodies in its own way."""

    def payload(self, body):
        return json.loads(body.decode())


def test_what_can_not_be_pruned_is_an_error(settings):
    backend = f"{__name__}.Stranger"
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"BACKEND": backend}}
    before = columns(old())
    with pytest.raises(CommandError, match="1 event: The provider default"):
        run("--days", "1")
    assert list(Event.objects.values()) == [before]


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
    assert run("--days", "30", "--include-failed") == "1 event pruned\n"


@pytest.mark.parametrize(
    "args", [("--days", "100"), ("--days", "100", "--delete"), ("--erase-order", "A1")]
)
def test_a_dry_run_changes_nothing(args):
    before = columns(old())
    assert run(*args, "--dry-run").startswith("1 event would be ")
    assert list(Event.objects.values()) == [before]


def test_scripts_get_json():
    old()
    assert json.loads(run("--days", "30", "--dry-run", "--json")) == {
        "pruned": 1,
        "left": 0,
        "dry_run": True,
        "problems": {},
        "causes": 0,
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

    monkeypatch.setattr(f"{OPERATING}.iterate", replay_first)
    assert run("--days", "30") == "0 events pruned, 1 left as they are\n"
    assert read(event).status == "received"


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((), "either --days N or --erase-order ID"),
        (("--days", "1", "--erase-order", "A1"), "either --days N or --erase-order ID"),
        (("--days", "-1"), "'-1' is less than 0"),
        (("--days", "1", "--batch", "0"), "'0' is less than 1"),
        (("--erase-order", "A1", "--delete"), "leave out --delete"),
        (("--days", "89", "--delete"), "Give --days 90 or more, or --force"),
        (("--days", "often"), "'often' is not a whole number"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_and_change_nothing(args, error):
    before = columns(old())
    with pytest.raises(CommandError, match=error):
        run(*args)
    assert list(Event.objects.values()) == [before]


# ---- deleting


def test_old_rows_are_deleted_with_their_history_and_young_ones_stay():
    event, young = old(91), old(89)
    Entry.objects.create(event=event, at=timezone.now(), verb="failed", attempts=1)
    assert run("--days", "90", "--delete") == "1 event deleted\n"
    assert list(Event.objects.values_list("pk", flat=True)) == [young.pk]
    assert not Entry.objects.exists()


def test_younger_rows_are_deleted_only_by_force():
    old(5)
    assert run("--days", "1", "--delete", "--force") == "1 event deleted\n"
    assert not Event.objects.exists()


def test_an_order_with_an_unfinished_event_keeps_its_rows(order, run_due):
    charge = old(order_id="A1", idempotency_key=digest(f"order-paid:{digest('A1')}"))
    old(order_id="A2")
    refund = EventFactory(
        type="refund.created", data={"refund_id": "re_1", "amount": "1.00", "currency": "EUR"}
    )
    assert run("--days", "90", "--delete") == "1 event deleted, 1 left as they are\n"
    run_due()
    assert read(refund).status == "processed"
    assert read(charge).status == "processed"


def test_events_without_an_order_are_deleted_whatever_else_has_no_order():
    EventFactory(order_id="")
    old(order_id="")
    assert run("--days", "90", "--delete") == "1 event deleted\n"


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


def test_nothing_that_identifies_an_erased_order_is_left(story):
    Entry.objects.create(
        event=story[0], at=timezone.now(), verb="replayed", attempts=1, text=CANARY, by="alice"
    )
    Conflict.objects.create(event=story[0], at=timezone.now(), closed_by="alice", note=CANARY)
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
    assert run("--erase-order", "A1", "--no-input") == "No event is of the order 'A1'.\n"


def test_an_order_is_erased_wholly_or_not_at_all(story, monkeypatch):
    def overtake_the_second(event):
        if event.pk == story[1].pk:
            raise Overtaken

    before = list(Event.objects.order_by("pk").values())
    monkeypatch.setattr(history, "forget", overtake_the_second)
    text = f"^Nothing was erased. Event {story[1].pk} has just changed. Try again later.$"
    with pytest.raises(CommandError, match=text):
        run("--erase-order", "A1", "--no-input")
    assert list(Event.objects.order_by("pk").values()) == before
    assert not AuditRecord.objects.exists()


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
    assert run("--erase-order", "A1", "--no-input", "--include-failed") == "1 event erased\n"
    assert (read(event).status, read(event).error) == ("failed", "")


def test_another_order_is_not_erased():
    before = columns(old())
    old(order_id="", status=Event.IGNORED)
    assert run("--erase-order", "A2") == "No event is of the order 'A2'.\n"
    with pytest.raises(CommandError, match="--erase-order: it is empty"):
        run("--erase-order", "")
    assert columns(Event.objects.get(pk=before["id"])) == before


@pytest.mark.parametrize("option", ["--days=3", "--delete", "--erase-order=A1", "--json"])
def test_whoever_wants_to_see_the_audit_can_not_prune_by_the_way(option):
    assert run("--show-audit") == "Nothing is recorded yet.\n"
    with pytest.raises(CommandError, match="leave out the other options"):
        run("--show-audit", option)


@pytest.mark.parametrize("typo", ["s-9", " S-9", "S9", "#S-9", "s_9"])
def test_an_order_that_is_spelled_otherwise_is_named_and_not_erased(typo):
    before = columns(old(order_id="S-9"))
    with pytest.raises(CommandError, match=r"Did you mean S-9\?$"):
        run("--erase-order", typo)
    assert list(Event.objects.values()) == [before]


# ---- before and afterwards


@pytest.fixture
def terminal(monkeypatch):
    """Put a person at a terminal, who gives the answers in this list."""
    answers = []
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda: answers.pop(0))
    return answers


@pytest.mark.parametrize(
    ("args", "question", "refusal"),
    [
        (
            ("--days", "0"),
            "Prune the bodies of 1 event that became final more than 0 days ago? They can't be "
            "read or replayed any more. It can't be undone. Type yes to go on: ",
            "Nothing was pruned.",
        ),
        (
            ("--days", "90", "--delete"),
            "Delete 1 event that became final more than 90 days ago, with their history? One that "
            "is resent is applied again. It can't be undone. Type yes to go on: ",
            "Nothing was deleted.",
        ),
        (
            ("--erase-order", "A1"),
            "Erase what 1 event of the order 'A1' says? It can't be undone. Type yes to go on: ",
            "Nothing was erased.",
        ),
    ],
)
def test_what_can_not_be_undone_needs_a_clear_yes(terminal, args, question, refusal):
    before = columns(old())
    for answer in ("", "no", "y"):
        asked = io.StringIO()
        terminal.append(answer)
        with pytest.raises(CommandError, match=f"^{refusal} The answer was not yes.$"):
            run(*args, interactive=True, stderr=asked)
        assert asked.getvalue() == question
        assert list(Event.objects.values()) == [before]
    terminal.append(" Yes ")
    assert run(*args, interactive=True, stderr=asked).startswith("1 event ")
    assert list(Event.objects.values()) != [before]


@pytest.mark.parametrize("args", [("--days", "0"), ("--erase-order", "A1")])
def test_without_a_terminal_nothing_is_done_unless_the_question_is_answered_beforehand(args):
    before = columns(old())
    with pytest.raises(CommandError, match="^Nothing was .* 1 event .*: --no-input.$"):
        run(*args, interactive=True)
    assert list(Event.objects.values()) == [before]
    assert run(*args, "--no-input").startswith("1 event ")


def test_no_question_is_asked_where_nothing_is_to_be_done():
    assert run("--days", "0", interactive=True) == "0 events pruned\n"


def test_who_pruned_and_erased_what_is_written_down_for_an_auditor(caplog):
    old(order_id="S-9")
    old(order_id="S-9", status=Event.IGNORED)
    old(90)
    with caplog.at_level("INFO"):
        run("--erase-order", "S-9", "--by", "alice", "--reason", "a request of 1 May")
    assert "2 events of the order 'S-9' erased by alice" in caplog.text
    run("--days", "200", "--by", "bob")
    run("--days", "80", "--by", "bob", "--dry-run")
    run("--days", "80", "--by", "bob")
    facts = AuditRecord.objects.order_by("pk").values_list("verb", "subject", "by", "number")
    assert list(facts) == [
        ("erased", "of the order 'S-9'", "alice", 2),
        ("pruned", "that became final more than 80 days ago", "bob", 1),
    ]
    newest, oldest = run("--show-audit").splitlines()
    assert newest.endswith(" bob pruned 1 event that became final more than 80 days ago")
    assert oldest.endswith(" alice erased 2 events of the order 'S-9': a request of 1 May")
    history.write_look(EventFactory.build(provider_event_id="evt_5"), "carol", "ticket 7")
    newest = run("--show-audit").splitlines()[0]
    assert newest.endswith(" carol looked at the payload of charge.succeeded evt_5: ticket 7")


def test_what_was_done_before_it_was_interrupted_is_written_down(monkeypatch):
    def stop_at_the_second(events, batch):
        yield from list(iterate(events, batch))[:1]
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{OPERATING}.iterate", stop_at_the_second)
    old()
    old()
    with pytest.raises(KeyboardInterrupt):
        run("--days", "30", "--by", "alice")
    assert list(AuditRecord.objects.values_list("by", "number")) == [("alice", 1)]


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
