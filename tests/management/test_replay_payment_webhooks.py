"""The command that replays: which events it chooses, and what it reports."""

import datetime
import io
import json
import socket
import time

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.history.models import Cause, Entry
from django_payment_webhooks.management.terminal import count_events
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.pruning import prune
from django_payment_webhooks.receiving import receive_events
from django_payment_webhooks.testing import without_broker

from ..conftest import get_publisher
from ..doubles import handle
from ..factories import EventFactory

pytestmark = pytest.mark.django_db(transaction=True)


def run(*args, **options):
    """Run the command, and return what it printed."""
    printed = io.StringIO()
    call_command("replay_payment_webhooks", *args, stdout=printed, **options)
    return printed.getvalue()


def failed(**values):
    """Return an event that failed."""
    now = timezone.now()
    values = dict(
        {"status": Event.FAILED, "error": "ValueError('broken')", "finished_at": now}, **values
    )
    return EventFactory(due_at=None, enqueue_at=None, **values)


def replayed():
    """Return the keys of the events that are due again."""
    return list(
        Event.objects.filter(status=Event.RECEIVED).order_by("pk").values_list("pk", flat=True)
    )


# ---- which events


@pytest.fixture
def several():
    """Return events that differ in all that can be chosen by."""
    then = datetime.datetime(2026, 11, 23, 10, 0, tzinfo=datetime.timezone.utc)
    return {
        "plain": failed(),
        "type": failed(type="refund.created"),
        "provider": failed(provider="timed"),
        "order": failed(order_id="A7"),
        "old": failed(received_at=then),
        "error": failed(error="There is no order A1."),
        "ignored": failed(status=Event.IGNORED, error=""),
        "waiting": failed(status=Event.WAITING, error="It waits."),
        "processed": failed(status=Event.PROCESSED, error=""),
    }


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (["--status", "failed"], ["plain", "type", "provider", "order", "old", "error"]),
        (["--status", "ignored"], ["ignored"]),
        (["--status", "ignored", "--status", "waiting"], ["ignored", "waiting"]),
        (["--type", "refund.created"], ["type"]),
        (["--provider", "timed"], ["provider"]),
        (["--order", "A7"], ["order"]),
        (["--error", "no order"], ["error"]),
        (["--until", "2026-11-23T10:01Z"], ["old"]),
        (["--until", "2026-11-23 10:00"], []),
        (["--since", "2026-11-23 10:00", "--until", "2026-11-24"], ["old"]),
        (["--type", "refund.created", "--provider", "timed"], []),
        (["--status", "failed", "--limit", "2"], ["plain", "type"]),
        (["--status", "failed", "--limit", "3", "--batch", "2"], ["plain", "type", "provider"]),
        (
            ["--status", "failed", "--limit", "100", "--batch", "1"],
            ["plain", "type", "provider", "order", "old", "error"],
        ),
    ],
)
def test_events_are_chosen_by_options_that_all_must_fit(several, published, args, names):
    keys = [several[name].pk for name in names]
    text = f"{count_events(len(keys))} replayed, 0 left as they are\n"
    nothing = "No event matches --status failed "
    assert run(*args).startswith(text if keys else nothing)
    assert replayed() == keys
    assert published() == keys


def test_events_are_chosen_by_the_ids_that_their_providers_gave_them(several):
    names = ["plain", "provider", "ignored"]
    assert (
        run(*[several[name].provider_event_id for name in names])
        == "3 events replayed, 0 left as they are\n"
    )
    assert replayed() == [several[name].pk for name in names]


def test_events_are_chosen_by_their_primary_keys(several):
    assert run("--key", str(several["old"].pk)) == "1 event replayed, 0 left as they are\n"
    assert replayed() == [several["old"].pk]


def test_an_id_that_is_not_there_is_reported_and_the_others_are_replayed(several):
    with pytest.raises(
        CommandError, match=r"^evt_unknown was not found.\n123456789 was not found.$"
    ):
        run("evt_unknown", several["plain"].provider_event_id, "--key", "123456789")
    assert replayed() == [several["plain"].pk]


def test_what_is_retried_for_a_cause_is_replayed_with_what_failed_for_it(several):
    next_at = time.time() + 3600
    retried = EventFactory(cause_key="c" * 32, attempts=9, due_at=next_at, enqueue_at=next_at)
    gone = failed(cause_key="c" * 32)
    other = EventFactory(cause_key="d" * 32, attempts=9, due_at=next_at, enqueue_at=next_at)
    assert run("--cause", "c" * 32) == "2 events replayed, 0 left as they are\n"
    assert set(Event.objects.filter(cause_key=None, pk__in=[retried.pk, gone.pk, other.pk])) == {
        retried,
        gone,
    }
    assert run("--status", "retrying") == "1 event replayed, 0 left as they are\n"


def test_an_event_that_can_not_be_replayed_is_reported(several):
    pruned = failed()
    prune(pruned)
    with pytest.raises(
        CommandError,
        match="Only failed, ignored and waiting events, and retrying ones that no worker has",
    ):
        run(several["processed"].provider_event_id, pruned.provider_event_id)
    assert replayed() == []


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((), "Say which events"),
        (("--limit", "3"), "Say which events"),
        (("--status", "processed"), "invalid choice: 'processed'"),
        (("--since", "yesterday"), "neither an age such as .* nor a time such as"),
        (("--since", "2026-02-30"), "neither an age such as .* nor a time such as"),
        (("--status", "failed", "--batch", "0"), "'0' is less than 1"),
        (("--status", "failed", "--limit", "0"), "'0' is less than 1"),
        (("--key", "evt_1"), "'evt_1' is not a whole number"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(several, args, error):
    with pytest.raises(CommandError, match=error):
        run(*args)
    assert replayed() == []


@pytest.mark.parametrize("use_tz", [True, False])
def test_a_time_without_a_zone_is_meant_as_the_projects(settings, use_tz):
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "UTC"
    now = timezone.now()
    event = failed(received_at=now - datetime.timedelta(hours=1))
    failed(received_at=now - datetime.timedelta(hours=3))
    since = (now - datetime.timedelta(hours=2)).replace(tzinfo=None)
    assert run("--since", since.isoformat()) == "1 event replayed, 0 left as they are\n"
    assert replayed() == [event.pk]


# ---- what it does


def test_replayed_events_have_their_effect(order, run_due, shop_state):
    failed(data={"amount": "10.00", "currency": "EUR"})
    run("--status", "failed")
    run_due()
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_who_replayed_and_why_is_in_the_history(history):
    event = failed()
    run("--status", "failed", "--by", "alice", "--reason", "the handler is fixed")
    (entry,) = Entry.objects.filter(event=event, verb="replayed")
    assert (entry.by, entry.text) == ("alice", "the handler is fixed")


def test_who_replays_is_by_default_the_user_of_the_operating_system(history, monkeypatch):
    monkeypatch.setenv("LOGNAME", "erika")
    event = failed()
    run("--status", "failed")
    (entry,) = Entry.objects.filter(event=event, verb="replayed")
    assert entry.by == f"erika@{socket.gethostname()}"


def test_a_body_that_still_can_not_be_parsed_is_reported_and_the_others_are_replayed():
    for body in (b"{}", b"[]", b'{"a": 1}'):
        receive_events(get_provider("default"), {}, body)
    event = failed()
    with pytest.raises(CommandError) as error:
        run("--status", "failed")
    assert sorted(str(error.value).splitlines()) == [
        "1 event: ParseError: The body can't be read: it is not a JSON object.",
        "2 events: ParseError: type is missing, or is neither a string nor an integer.",
    ]
    assert replayed() == [event.pk]


def test_a_provider_that_is_gone_is_reported_and_the_others_are_replayed(settings):
    failed(type="", provider="gone")
    event = failed()
    with pytest.raises(CommandError, match="1 event: KeyError: 'gone'"):
        run("--status", "failed")
    assert replayed() == [event.pk]


def test_scripts_get_json():
    failed()
    assert json.loads(run("--status", "failed", "--json")) == {
        "replayed": 1,
        "left": 0,
        "problems": {},
        "not_found": [],
        "dry_run": False,
    }


def test_scripts_get_json_and_an_error_if_something_is_wrong():
    printed = io.StringIO()
    with pytest.raises(CommandError):
        call_command("replay_payment_webhooks", "evt_unknown", "--json", stdout=printed)
    assert json.loads(printed.getvalue())["not_found"] == ["evt_unknown"]


def test_it_is_silent_if_asked():
    event = failed()
    assert run("--status", "failed", verbosity=0) == ""
    assert replayed() == [event.pk]


class StuckPublisher:
    """A publisher whose broker is away: nothing is ever sent."""

    flushed = []

    def publish(self, events):
        """Keep them."""

    def flush(self, timeout):
        """Wait in vain."""
        self.flushed.append(timeout)
        return False


def test_a_broker_that_is_away_keeps_it_waiting_once_and_for_a_bounded_time(settings, monkeypatch):
    module = "django_payment_webhooks.management.commands.replay_payment_webhooks"
    monkeypatch.setattr(module + ".FLUSH_EVERY", 2)
    monkeypatch.setattr(StuckPublisher, "flushed", [])
    settings.PAYMENT_WEBHOOKS_PUBLISHER = f"{__name__}.StuckPublisher"
    events = [failed() for _ in range(5)]
    assert run("--status", "failed") == "5 events replayed, 0 left as they are\n"
    assert StuckPublisher.flushed == [5]
    assert replayed() == [event.pk for event in events]


def test_it_can_be_called_by_a_test_without_a_broker():
    event = failed()
    with without_broker():
        assert run("--status", "failed") == "1 event replayed, 0 left as they are\n"
    assert replayed() == [event.pk]


def test_many_events_give_their_messages_time_so_that_none_is_lost(published, monkeypatch):
    module = "django_payment_webhooks.management.commands.replay_payment_webhooks"
    monkeypatch.setattr(get_publisher().unsent, "maxsize", 3)
    monkeypatch.setattr(module + ".FLUSH_EVERY", 2)
    events = [failed() for _ in range(8)]
    assert run("--status", "failed") == "8 events replayed, 0 left as they are\n"
    assert sorted(published()) == [event.pk for event in events]


# ---- the dry run


def test_a_dry_run_shows_what_would_become_of_each_event_and_changes_nothing(
    order, settings, published, received_signals
):
    failed(data={"amount": "10.00", "currency": "EUR"})
    failed(data={"amount": "99.00", "currency": "EUR"})
    failed(type="refund.created", data={"refund_id": "re_1"})
    before = list(Event.objects.values())
    assert (
        run("--status", "failed", "--dry-run")
        == "3 events in a dry run\n  applied: 1\n  failed: 1\n  waiting: 1\n"
    )
    assert list(Event.objects.values()) == before
    assert received_signals == []
    assert published() == []


def test_a_dry_run_explains_each_event_if_asked(settings):
    handle(settings, apply=lambda self, event: 1 / 0)
    event = failed(provider_event_id="evt_\x1b[2J\n1")
    first, second, third = run("--status", "failed", "--dry-run", verbosity=2).splitlines()
    name = "charge.succeeded evt_\\x1b[2J\\n1"
    assert first == f"{event.pk} {name}: retried. ZeroDivisionError('division by zero')"
    assert (second, third) == ("1 event in a dry run", "  retried: 1")


def test_a_dry_run_is_bounded_and_gives_json():
    for _ in range(3):
        failed(type="customer.updated")
    found = json.loads(run("--status", "failed", "--dry-run", "--json", "--limit", "2", "-v", "2"))
    assert found == {"outcomes": {"ignored": 2}, "not_found": [], "dry_run": True}


# ---- a cause


def test_just_the_failed_events_of_a_cause_are_replayed():
    for _ in range(2):
        failed(cause_key="a" * 32)
    other = failed(cause_key="b" * 32)
    assert run("--cause", "a" * 32) == "2 events replayed, 0 left as they are\n"
    assert Event.objects.get(status=Event.FAILED) == other


def test_an_unknown_cause_is_a_typo_and_a_cause_that_is_gone_is_not():
    with pytest.raises(CommandError, match="There is no cause 'abc'"):
        run("--cause", "abc")
    Cause.objects.create(key="a" * 32, first_seen=timezone.now())
    assert "No event matches" in run("--cause", "a" * 32)


def test_events_are_replayed_no_quicker_than_asked_for(monkeypatch):
    for _ in range(3):
        failed()
    slept = []
    monkeypatch.setattr("django_payment_webhooks.operations.batches.time.sleep", slept.append)
    assert run("--status", "failed", "--rate", "0.01") == "3 events replayed, 0 left as they are\n"
    assert [round(seconds, -1) for seconds in slept] == [0, 100, 200]
    with pytest.raises(CommandError, match="--rate: .0. is less than 0.001"):
        run("--status", "failed", "--rate", "0")
