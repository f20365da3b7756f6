"""Operators replay events, resolve them, and run them dry."""

import json
import re

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import OperationalError, connection, transaction

from django_payment_webhooks.admin import EventAdmin, actions
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.receiving import receive_events

from ..doubles import another_connection, handle, recorded_statements
from ..factories import EventFactory
from .browsing import (
    LIST,
    messages_of,
    operate,
    page_of,
    read,
    replay,
    row_of,
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", [Event.FAILED, Event.IGNORED, Event.WAITING])
def test_replayed_events_are_due_again_and_published(
    operator, order, published, run_due, received_signals, status
):
    events = EventFactory.create_batch(
        2, status=status, due_at=None, attempts=25, error="It was too late."
    )
    published()
    answer = replay(operator, *events)
    assert messages_of(answer) == [("success", "2 events are due again.")]
    assert sorted(published()) == [event.pk for event in events]
    for event in events:
        row = row_of(event)
        assert (row["status"], row["attempts"], row["error"]) == (Event.RECEIVED, 0, "")
        assert row["due_at"] < row["enqueue_at"]
    assert sorted(facts["event"].pk for facts in received_signals.of("event_replayed")) == [
        row.pk for row in events
    ]

    run_due()
    assert sorted(row_of(event)["status"] for event in events) == [Event.DUPLICATE, Event.PROCESSED]


@pytest.mark.django_db(transaction=True)
def test_a_replay_is_recorded_with_the_name_of_who_did_it(operator):
    event, other = EventFactory(status=Event.FAILED), EventFactory(status=Event.PROCESSED)
    replay(operator, event, other)
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.action_flag, entry.object_id) == (
        "root",
        CHANGE,
        str(event.pk),
    )
    assert entry.get_change_message() == "Replayed."
    assert entry.content_type.model_class() is Event


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "status", [Event.RECEIVED, Event.APPLIED, Event.PROCESSED, Event.DUPLICATE]
)
def test_what_is_on_its_way_or_done_is_left_as_it_is_and_that_is_reported(
    operator, published, received_signals, status
):
    event = EventFactory(status=status)
    before = row_of(event)
    answer = replay(operator, event)
    text = (
        "1 event was left as it is: only failed, ignored, waiting and retrying events can be "
        "replayed."
    )
    assert messages_of(answer) == [("warning", text)]
    assert row_of(event) == before
    assert published() == []
    assert received_signals == []
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_event_that_is_being_replayed_by_someone_else_is_left_alone(
    operator, published, received_signals, monkeypatch
):
    event, run = EventFactory(status=Event.FAILED), actions.run_and_log

    def be_overtaken(event, **facts):
        Event.objects.filter(pk=event.pk).update(status=Event.RECEIVED, version=event.version + 1)
        return run(event, **facts)

    monkeypatch.setattr(actions, "run_and_log", be_overtaken)
    ((level, _),) = messages_of(replay(operator, event))
    assert level == "warning"
    assert (row_of(event)["status"], row_of(event)["version"]) == (Event.RECEIVED, 1)
    assert published() == []
    assert received_signals == []
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_a_mixed_choice_each_part_is_reported(operator, unparsed, published):
    failed, processed = EventFactory(status=Event.FAILED), EventFactory(status=Event.PROCESSED)
    levels = [level for level, _ in messages_of(replay(operator, failed, processed, unparsed))]
    assert sorted(levels) == ["error", "success", "warning"]
    assert published() == [failed.pk]


@pytest.mark.django_db(transaction=True)
def test_an_event_whose_effect_is_committed_is_only_delivered_again(
    operator, order, run_due, shop_state, published
):
    event = EventFactory()
    run_due()
    Event.objects.filter(pk=event.pk).update(
        status=Event.FAILED, due_at=None, error="The warehouse said no."
    )
    replay(operator, event)
    assert row_of(event)["status"] == Event.APPLIED
    run_due()
    assert row_of(event)["status"] == Event.PROCESSED
    assert shop_state()["ledger"] == [("payment", "A1")]


@pytest.mark.django_db(transaction=True)
def test_what_still_can_not_be_parsed_is_reported_with_the_reason(
    operator, unparsed, published, received_signals
):
    before = row_of(unparsed)
    ((level, text),) = messages_of(replay(operator, unparsed))
    assert level == "error"
    assert text.startswith("%s UTC can't be replayed. The body can't be read: " % unparsed)
    assert row_of(unparsed) == before
    assert published() == []
    assert not received_signals.of("event_replayed")
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_can_be_parsed_now_is_received_again(operator, settings, published, received_signals):
    body = json.dumps(
        {"id": "evt_1", "type": "charge.succeeded", "data": {"order_id": "A1"}}
    ).encode()
    receive_events(get_provider("default"), {}, body, "by-test")
    unparsed = Event.objects.get()
    default = dict(
        settings.PAYMENT_WEBHOOKS_PROVIDERS["default"], FIELDS={"provider_event_id": "id"}
    )
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": default}

    assert messages_of(replay(operator, unparsed)) == [("success", "1 event is due again.")]
    assert row_of(unparsed)["status"] == Event.PROCESSED
    received = Event.objects.get(provider_event_id="evt_1")
    assert (received.status, received.order_id, received.verified_by) == (
        Event.RECEIVED,
        "A1",
        "by-test",
    )
    assert published() == [received.pk]
    assert LogEntry.objects.get().object_id == str(unparsed.pk)


@pytest.mark.django_db(transaction=True)
def test_opening_the_address_of_the_action_replays_nothing(operator, published):
    event = EventFactory(status=Event.FAILED)
    before = row_of(event)
    operator.get(LIST, {"action": "replay_events", "_selected_action": event.pk})
    assert row_of(event) == before
    assert published() == []


def test_more_events_than_a_form_may_have_are_refused_and_none_is_replayed(operator, published):
    event = EventFactory(status=Event.FAILED, due_at=None)
    before = row_of(event)
    data = {"action": "replay_events", "_selected_action": [event.pk] * 100000}
    assert operator.post(LIST, data).status_code == 400
    assert row_of(event) == before
    assert published() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", ["replay_events", "resolve_events"])
def test_nothing_is_done_before_it_is_confirmed(operator, published, received_signals, action):
    event = EventFactory(status=Event.FAILED, error="It was too late.")
    done, before = EventFactory(status=Event.PROCESSED), row_of(event)
    data = {"action": action, "_selected_action": [event.pk, done.pk], "index": 0}
    html = operator.post(LIST, data).content.decode()
    assert "<strong>1 event</strong>" in html
    assert "1 of the selected events will be left as it is" in html
    assert "It was too late." in html
    assert row_of(event) == before
    assert (published(), received_signals, LogEntry.objects.count()) == ([], [], 0)


def test_a_choice_of_which_nothing_can_be_done_offers_no_button(operator):
    event = EventFactory(status=Event.PROCESSED)
    html = operator.post(
        LIST, {"action": "replay_events", "_selected_action": [event.pk]}
    ).content.decode()
    assert "This can't be done with any of the selected events." in html
    assert 'name="confirmed"' not in html


@pytest.mark.django_db(transaction=True)
def test_a_replay_is_logged_and_signalled_with_its_reason(operator, received_signals):
    event = EventFactory(status=Event.FAILED)
    replay(operator, event, reason="The price was fixed.")
    assert LogEntry.objects.get().get_change_message() == "Replayed: The price was fixed."
    (facts,) = received_signals.of("event_replayed")
    assert (facts["by"], facts["reason"]) == ("root", "The price was fixed.")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "forged", [{"after": "x"}, {"until": ""}, {"total": "1e9"}, {"reason": "r" * 201}]
)
def test_a_form_that_is_not_ours_does_nothing(operator, published, forged):
    event = EventFactory(status=Event.FAILED)
    before = row_of(event)
    answer = replay(operator, event, **forged)
    assert answer.status_code == 200
    assert row_of(event) == before
    assert published() == []


@pytest.mark.django_db(transaction=True)
def test_many_events_are_replayed_batch_by_batch(operator, published, monkeypatch):
    monkeypatch.setattr("django_payment_webhooks.admin.actions.BATCH", 10)
    events = EventFactory.create_batch(25, status=Event.FAILED)
    EventFactory.create_batch(2, status=Event.PROCESSED)
    address = LIST + "?status__exact=failed"
    selected = {
        "action": "replay_events",
        "_selected_action": [events[0].pk],
        "select_across": 1,
        "index": 0,
    }
    fields = operator.post(address, selected).context["form"].initial
    assert (fields["total"], fields["left"]) == (25, 0)
    late = EventFactory(status=Event.FAILED)  # it failed after the operator had confirmed
    seen = []
    for _ in range(10):
        answer = operator.post(address, dict(selected, confirmed=1, **fields))
        if answer.status_code == 302:
            break
        fields = answer.context["form"].data
        seen.append((fields["done"], Event.objects.filter(status=Event.FAILED).count()))
        assert '<progress max="25" value="%d">' % fields["done"] in answer.content.decode()
    assert seen == [(10, 16), (20, 6)]
    assert messages_of(operator.get(address)) == [("success", "25 events are due again.")]
    assert sorted(published()) == [event.pk for event in events]
    assert row_of(late)["status"] == Event.FAILED
    assert LogEntry.objects.count() == 25


@pytest.mark.django_db(transaction=True)
def test_of_more_than_the_list_counts_all_are_replayed_and_each_number_is_true(
    operator, published, monkeypatch
):
    monkeypatch.setattr(actions, "MAX_SECONDS", 600)  # however slow the machine is
    # The bounds are a tenth of the real ones, as each event takes its time.
    monkeypatch.setattr(actions, "BATCH", 20)
    monkeypatch.setattr("django_payment_webhooks.admin.filters.MAX_COUNT", 100)
    monkeypatch.setattr("django_payment_webhooks.admin.filters.PAGES_AHEAD", 0)
    failed = {"status": Event.FAILED, "due_at": None, "enqueue_at": None}
    Event.objects.bulk_create(EventFactory.build_batch(123, **failed))
    done = EventFactory(status=Event.PROCESSED, due_at=None)
    before = row_of(done)
    address = LIST + "?status__exact=failed"
    listed = operator.get(address)
    assert str(listed.context["cl"].result_count) == "100+"
    assert "100+" in listed.content.decode()
    first = Event.objects.filter(status=Event.FAILED).order_by("pk").first()
    selected = {"action": "replay_events", "_selected_action": [first.pk], "index": 0}
    selected["select_across"] = 1
    asked = operator.post(address, selected)
    assert "123 events" in asked.content.decode()
    fields = asked.context["form"].initial
    for _ in range(10):
        answer = operator.post(address, dict(selected, confirmed=1, **fields))
        if answer.status_code == 302:
            break
        fields = answer.context["form"].data
    assert messages_of(operator.get(address)) == [("success", "123 events are due again.")]
    assert not Event.objects.filter(status=Event.FAILED).exists()
    assert len(set(published())) == 123
    assert row_of(done) == before


@pytest.mark.django_db(transaction=True)
def test_a_confirmation_counts_no_further_than_it_must(operator, monkeypatch):
    for module in ("admin.actions", "operations.batches"):
        monkeypatch.setattr(f"django_payment_webhooks.{module}.BOUND", 15)
    monkeypatch.setattr("django_payment_webhooks.admin.actions.BATCH", 10)
    events = EventFactory.create_batch(17, status=Event.FAILED)
    selected = {"action": "replay_events", "_selected_action": [events[0].pk], "index": 0}
    selected["select_across"] = 1
    with recorded_statements() as statements:
        asked = operator.post(LIST, selected)
    html = asked.content.decode()
    assert "15+ events" in html
    assert "… and 5+ more" in html
    counts = [sql for sql in statements if "COUNT(" in sql and Event._meta.db_table in sql]
    assert counts
    assert all("LIMIT" in sql for sql in counts)
    progress = operator.post(LIST, dict(selected, confirmed=1, **asked.context["form"].initial))
    assert "Done: 10 of 15+ events." in progress.content.decode()
    fields = progress.context["form"].data
    operator.post(LIST, dict(selected, confirmed=1, **fields))
    assert not Event.objects.filter(status=Event.FAILED).exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_that_still_can_not_be_parsed_the_first_are_named_and_all_are_counted(
    operator, monkeypatch
):
    monkeypatch.setattr("django_payment_webhooks.admin.actions.BATCH", 5)
    for number in range(12):
        receive_events(get_provider("default"), {}, b"{%d" % number, "by-test")
    address = LIST + "?type="
    fields = {
        "action": "replay_events",
        "_selected_action": list(Event.objects.values_list("pk", flat=True)),
    }
    fields.update(
        operator.post(address, dict(fields, index=0)).context["form"].initial, confirmed=1
    )
    texts = []
    while True:
        answer = operator.post(address, fields)
        if answer.status_code == 302:
            break
        texts += [text for _, text in messages_of(answer)]
        fields.update(answer.context["form"].data)
        assert '<progress max="12" value="%d">' % fields["refused"] in answer.content.decode()
        assert "Not possible: %d." % fields["refused"] in answer.content.decode()
    texts += [text for _, text in messages_of(operator.get(address))]
    assert ["can't be replayed. The body can't be read" in text for text in texts] == [True] * 5 + [
        False
    ]
    assert texts[5:] == ["Not possible for 12 events in total."]
    assert Event.objects.filter(status=Event.FAILED).count() == 12


@pytest.mark.django_db(transaction=True)
def test_an_event_that_was_handled_by_hand_is_processed_and_its_refund_goes_on(
    operator, order, webhook, run_due
):
    webhook(event_id="evt_ch", amount="7.00")
    webhook(event_id="evt_re", type="refund.created", refund_id="re_1", amount="1.00")
    run_due()
    charge, refund = Event.objects.order_by("pk")
    assert (charge.status, refund.status) == (Event.FAILED, Event.WAITING)
    answer = operate(operator, "resolve_events", charge, reason="7.00 were agreed on.")
    assert messages_of(answer) == [("success", "1 event is marked as handled by hand.")]
    assert row_of(charge)["status"] == Event.PROCESSED
    assert row_of(charge)["error"] == "Handled by hand by root: 7.00 were agreed on."
    assert LogEntry.objects.get().get_change_message() == "Handled by hand: 7.00 were agreed on."
    run_due()
    assert row_of(refund)["status"] == Event.PROCESSED


@pytest.mark.parametrize("reason", ["", "   "])
def test_without_a_reason_nothing_is_marked_as_handled_by_hand(operator, reason):
    event = EventFactory(status=Event.FAILED)
    before = row_of(event)
    html = operate(operator, "resolve_events", event, reason=reason).content.decode()
    assert "This field is required." in html
    assert row_of(event) == before
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_dry_run_shows_what_would_be_done_and_does_nothing(
    operator, order, shop_state, published, received_signals
):
    events = [EventFactory(), EventFactory(type="refund.created"), EventFactory(type="unknown")]
    before = [row_of(event) for event in events], shop_state()
    data = {"action": "dry_run_events", "_selected_action": [event.pk for event in events]}
    html = operator.post(LIST, data).content.decode()
    outcomes = re.findall(r"→ <span class=\"pw-status pw-(\w+)\"", html)
    assert outcomes == ["applied", "failed", "ignored"]
    assert "shop_ledgerentry" in html
    assert "The event has no refund_id." in html
    assert ([row_of(event) for event in events], shop_state()) == before
    assert (published(), received_signals, LogEntry.objects.count()) == ([], [], 0)


def test_a_dry_run_tries_a_bounded_number_of_events(operator, monkeypatch):
    monkeypatch.setattr("django_payment_webhooks.admin.actions.MAX_DRY_RUN", 2)
    events = EventFactory.create_batch(3, type="unknown")
    data = {"action": "dry_run_events", "_selected_action": [event.pk for event in events]}
    html = operator.post(LIST, data).content.decode()
    assert "Only the first 2 of the selected events were tried." in html
    assert len(re.findall("→", html)) == 2


@pytest.mark.parametrize("action, times", [("replay_events", 2), ("dry_run_events", 1)])
def test_an_event_that_is_being_retried_is_called_so_wherever_it_is_chosen(operator, action, times):
    event = EventFactory(error="RuntimeError('no stock')", cause_key="k" * 32, attempts=2)
    html = operator.post(LIST, {"action": action, "_selected_action": [event.pk]}).content.decode()
    assert html.count('pw-retrying">retrying</span>') == times
    assert 'pw-received">' not in html


def test_the_operations_are_offered_where_they_are_possible(operator):
    for status, offered in [
        (Event.PROCESSED, ["dry_run_events"]),
        (Event.RECEIVED, ["dry_run_events", "resolve_events"]),
        (Event.FAILED, ["dry_run_events", "replay_events", "resolve_events"]),
    ]:
        html = read(operator, page_of(EventFactory(status=status)))
        assert re.findall(r'name="action" value="(\w+)" formaction="%s"' % LIST, html) == offered


@pytest.mark.django_db(transaction=True)
def test_an_operation_that_began_on_an_events_page_ends_there(operator):
    event = EventFactory(status=Event.FAILED)
    answer = operate(operator, "resolve_events", event, reason="Paid in cash.", from_event=event.pk)
    assert answer.redirect_chain == [(page_of(event), 302)]
    answer = operate(
        operator,
        "resolve_events",
        EventFactory(),
        reason="Paid in cash.",
        from_event="//evil.example",
    )
    assert answer.redirect_chain == [(LIST, 302)]


@pytest.mark.django_db(transaction=True)
def test_an_effect_that_was_had_for_another_order_is_shown_with_whose_it_is(
    operator, settings, published
):
    handle(settings, idempotency_key=lambda self, event: "the same")
    holder = EventFactory(
        order_id="A7", status=Event.PROCESSED, due_at=None, idempotency_key=digest("the same")
    )
    event = EventFactory(status=Event.FAILED, due_at=None)
    before = row_of(event)
    answer = operate(operator, "resolve_events", event, reason="Paid in cash.")
    text = f"{event} can't be marked as handled by hand. {holder}, of order A7, had this effect"
    assert messages_of(answer) == [("error", f"{text} already.")]
    assert row_of(event) == before
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_operation_and_its_log_are_written_together_or_not_at_all(operator, monkeypatch):
    def fail(*args):
        raise ZeroDivisionError

    event = EventFactory(status=Event.FAILED, due_at=None)
    before = row_of(event)
    monkeypatch.setattr(EventAdmin, "log_change", fail)
    ((level, text),) = messages_of(replay(operator, event))
    assert (level, "ZeroDivisionError" in text) == ("error", True)
    assert row_of(event) == before


@pytest.mark.django_db(transaction=True)
def test_an_event_that_stays_locked_is_named_and_the_others_are_done(operator, quick_lock_wait):
    events = EventFactory.create_batch(3, status=Event.FAILED, due_at=None)
    stuck = events if connection.vendor == "sqlite" else events[1:2]
    with another_connection("holder") as holder, transaction.atomic(using="holder"):
        with holder.cursor() as cursor:
            statement = "UPDATE payment_webhooks_event SET error = 'held' WHERE id = %s"
            cursor.execute(statement, [events[1].pk])
        answer = replay(operator, *events)
    reason = "can't be replayed. Another process has it locked. Nothing was changed; try again"
    texts = [text for level, text in messages_of(answer) if level == "error"]
    assert texts == [f"{event} {reason} later." for event in stuck]
    statuses = [row_of(event)["status"] for event in events]
    assert statuses.count(Event.RECEIVED) == 3 - len(stuck) == LogEntry.objects.count()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_stops_it_and_says_what_was_done(operator, monkeypatch):
    events = EventFactory.create_batch(3, status=Event.FAILED, due_at=None)
    run = actions.run_and_log

    def fail_at_the_second(event, **facts):
        if event.pk == events[1].pk:
            raise OperationalError("The server has gone away.")
        return run(event, **facts)

    monkeypatch.setattr(actions, "run_and_log", fail_at_the_second)
    (failed, text), done, (level, missed) = messages_of(replay(operator, *events))
    assert (failed, done) == ("error", ("success", "1 event is due again."))
    assert (level, missed.partition(":")[0]) == ("warning", "2 events are not counted")
    assert text.startswith("The database failed. What was done is done; select the rest again.")
    statuses = [row_of(event)["status"] for event in events]
    assert statuses == [Event.RECEIVED, Event.FAILED, Event.FAILED]


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_is_held_up_ends_in_time_for_the_web_server(operator, monkeypatch):
    monkeypatch.setattr(actions, "MAX_SECONDS", 0)
    events = EventFactory.create_batch(3, status=Event.FAILED, due_at=None)
    page = replay(operator, *events)
    assert '<progress max="3" value="1">' in page.content.decode()
    assert Event.objects.filter(status=Event.RECEIVED).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_request_that_is_one_transaction_does_not_make_the_events_one(operator, monkeypatch):
    """A deadlock would undo all of them."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    seen = []
    run = actions.run_and_log

    def look_first(event, **facts):
        seen.append(connection.in_atomic_block)
        return run(event, **facts)

    monkeypatch.setattr(actions, "run_and_log", look_first)
    replay(operator, EventFactory(status=Event.FAILED, due_at=None))
    assert seen == [False]


@pytest.fixture
def begun(operator, monkeypatch):
    """Begin to replay 12 events, five a request: return the fields of the next, and the events."""
    monkeypatch.setattr(actions, "BATCH", 5)
    events = EventFactory.create_batch(12, status=Event.FAILED, due_at=None)
    fields = {"action": "replay_events", "_selected_action": [each.pk for each in events]}
    fields["index"] = 0
    asked = operator.post(LIST, fields)
    fields.update(asked.context["form"].initial, confirmed=1)
    fields.update(operator.post(LIST, fields).context["form"].data)
    return fields, events


@pytest.mark.django_db(transaction=True)
def test_who_stops_it_is_told_what_was_done_and_stopping_it_twice_does_nothing(operator, begun):
    fields, events = begun
    texts = [
        ("success", "5 events are due again."),
        (
            "warning",
            "7 events are not counted: they were not reached, or were changed by somebody else or "
            "by a request that was cut off.",
        ),
    ]
    for _ in range(2):
        assert messages_of(operator.post(LIST, dict(fields, stop=1), follow=True)) == texts
        assert Event.objects.filter(status=Event.RECEIVED).count() == 5


@pytest.mark.django_db(transaction=True)
def test_what_another_did_meanwhile_is_not_done_again_and_not_counted(operator, begun):
    """A colleague who replays the same, or this operator by a request that was cut off."""
    fields, events = begun
    operator.post(LIST, fields)
    while True:
        answer = operator.post(LIST, fields, follow=True)
        if answer.redirect_chain:
            break
        fields.update(answer.context["form"].data)
    (done, text), (level, missed) = messages_of(answer)
    assert (done, text) == ("success", "7 events are due again.")
    assert (level, missed.partition(":")[0]) == ("warning", "5 events are not counted")
    assert Event.objects.filter(status=Event.RECEIVED, version=1).count() == 12
    assert LogEntry.objects.count() == 12
