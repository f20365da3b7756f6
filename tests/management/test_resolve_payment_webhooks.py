"""The command that marks events as handled by hand."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from django_payment_webhooks.models import Event

from ..factories import EventFactory
from .terminals import Terminal

pytestmark = pytest.mark.django_db(transaction=True)

FINAL = {"due_at": None, "enqueue_at": None}
WHY = ("--reason", "shipped by hand")


def run(*args, **options):
    """Run the command, and return what it printed."""
    printed = io.StringIO()
    options = {"interactive": False, **options}
    call_command("resolve_payment_webhooks", *args, stdout=printed, **options)
    return printed.getvalue()


def failed(**values):
    """Return an event that failed."""
    return EventFactory(**{"status": Event.FAILED, "error": "broken", **FINAL, **values})


def ends():
    """Return how each event has ended."""
    return list(Event.objects.order_by("pk").values_list("status", "error"))


def test_failed_events_are_marked_and_their_rows_say_by_whom_and_why():
    failed(order_id="A1", type="refund.created")
    failed(order_id="A2")
    text = run("--type", "refund.created", "--by", "alice", *WHY)
    assert text == "1 event marked as handled by hand\n"
    assert ends() == [
        ("processed", "Handled by hand by alice: shipped by hand"),
        ("failed", "broken"),
    ]


def test_events_are_named_by_their_ids_whatever_their_status():
    event = EventFactory(status=Event.WAITING)
    with pytest.raises(CommandError, match=r"^evt_9 was not found.$"):
        run(event.provider_event_id, "evt_9", *WHY)
    assert ends()[0][0] == "processed"


def test_an_event_that_has_had_its_effect_is_left():
    event = failed(status=Event.PROCESSED)
    with pytest.raises(CommandError, match="have had their effect already"):
        run("--key", str(event.pk), *WHY)


def test_an_effect_that_another_order_has_is_a_problem_and_the_others_are_marked(settings):
    class_path = f"{__name__}.OneEffect"
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": class_path}
    failed(order_id="A1")
    failed(order_id="A2")
    printed = io.StringIO()
    with pytest.raises(CommandError, match="^1 event: .* of order A1, had this effect already.$"):
        call_command(
            "resolve_payment_webhooks",
            *("--status", "failed", "--no-input", "--json", *WHY),
            stdout=printed,
        )
    found = json.loads(printed.getvalue())
    assert (found["resolved"], found["left"]) == (1, 1)


class OneEffect:
    """A handler that gives all its effects one name."""

    requires = ()

    def idempotency_key(self, event):
        """Return the same for each."""
        return "the one"


def test_it_asks_as_it_can_not_be_undone(monkeypatch):
    failed()
    before = ends()
    with pytest.raises(CommandError, match="^Nothing was marked. Mark 1 event .*: --no-input.$"):
        run("--status", "failed", *WHY, interactive=True)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda: "y")
    with pytest.raises(CommandError, match="^Nothing was marked. The answer was not yes.$"):
        run("--status", "failed", *WHY, interactive=True, stderr=io.StringIO())
    assert ends() == before
    monkeypatch.setattr("builtins.input", lambda: "yes")
    run("--status", "failed", *WHY, interactive=True, stderr=io.StringIO())
    assert ends() != before


def test_a_dry_run_does_not_count_what_had_its_effect():
    event = failed()
    Event.objects.filter(pk=event.pk).update(status=Event.PROCESSED)
    text = run("--key", str(event.pk), "--dry-run", *WHY)
    assert text == "0 events would be marked as handled by hand\n"


def test_a_dry_run_and_a_limit():
    failed(order_id="A1")
    failed(order_id="A2")
    before = ends()
    text = run("--status", "failed", "--dry-run", *WHY)
    assert text == "2 events would be marked as handled by hand\n"
    assert ends() == before
    run("--status", "failed", "--limit", "1", *WHY)
    assert [status for status, _ in ends()] == ["processed", "failed"]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (WHY, "Say which events"),
        (("--status", "failed"), "Say what was done by hand, and why"),
        (("--status", "failed", "--reason", " "), "Say what was done by hand, and why"),
        (("--status", "processed", *WHY), "invalid choice: 'processed'"),
        (("--type", "charge.suceeded", *WHY), r"Did you mean charge.succeeded"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(args, error):
    failed(type="refund.created")
    with pytest.raises(CommandError, match=error):
        run(*args)
    assert ends() == [("failed", "broken")]


def test_where_nothing_matches_that_is_said():
    text = run("--type", "charge.succeeded", *WHY)
    assert text == "No event matches --status failed --type charge.succeeded.\n"
