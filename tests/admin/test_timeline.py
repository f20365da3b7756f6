"""The page shows what happened to an event, and to all events of its order."""

import re
from unittest import mock

import pytest

from django_payment_webhooks.models import Event

from ..doubles import WorkerKilled, recorded_statements
from ..factories import EventFactory
from .browsing import page_of, read, replay


def test_the_page_shows_what_happened_to_an_event_from_its_row_alone(operator):
    event = EventFactory(
        status=Event.FAILED, error="It was too late.", verified_by="fingerprint1", due_at=None
    )
    Event.objects.filter(pk=event.pk).update(
        waiting_since=event.received_at.timestamp(), finished_at=event.received_at
    )
    html = read(operator, page_of(event))
    verbs = re.findall(r"<td><span class=\"pw-status pw-(\w+)\"", html)
    assert verbs == ["received", "waiting", "failed"]
    assert "verified by fingerprint1" in html


@pytest.mark.django_db(transaction=True)
def test_the_page_shows_each_step_with_its_reason_and_who_it_was(
    operator, history, order, webhook, run_due
):
    webhook(event_id="evt_re", type="refund.created", refund_id="re_1", amount="50.00")
    run_due()
    webhook(event_id="evt_ch")
    run_due()
    refund, charge = Event.objects.order_by("pk")
    replay(operator, refund, reason="Let us see.")
    html = read(operator, page_of(refund))
    verbs = re.findall(r"<td><span class=\"pw-status pw-(\w+)\"", html)
    assert verbs == ["received", "waiting", "released", "failed", "replayed", "due"]
    for text in [
        "It waits for charge.succeeded.",
        "Let us see.",
        "<td>root</td>",
        "More would be refunded",
    ]:
        assert text in html
    assert 'by <a href="%s">charge.succeeded evt_ch</a>' % page_of(charge) in html


@pytest.mark.django_db(transaction=True)
def test_the_page_shows_which_attempts_were_lost_with_their_worker(
    operator, history, order, webhook, run_due, pass_time, monkeypatch
):
    def read_steps():
        step = r"<td><span class=\"pw-status pw-(\w+)\".*?</td><td>(.*?)</td>"
        return re.findall(step, read(operator, page_of(event)))

    webhook(event_id="evt_ch")
    event = Event.objects.get()
    with monkeypatch.context() as patch:
        patch.setattr("shop.handlers.MarkOrderPaid.apply", mock.Mock(side_effect=WorkerKilled))
        for verbs in (["received", "taken", "due"], ["received", "lost", "taken", "due"]):
            with pytest.raises(WorkerKilled):
                run_due()
            assert [verb for verb, _ in read_steps()] == verbs
            pass_time(3600)
    assert read_steps()[1:3] == [
        ("lost", "Attempt 1: no end was recorded. The worker was killed, or too slow."),
        ("taken", "Attempt 2: a worker has it, or was killed."),
    ]
    run_due()
    assert [verb for verb, _ in read_steps()] == ["received", "lost", "applied", "processed"]
    assert read_steps()[1][1].startswith("Attempts 1 to 2: ")


@pytest.mark.django_db(transaction=True)
def test_no_attempt_is_called_lost_that_has_an_end_or_is_not_known(
    operator, history, order, webhook, run_due, pass_time, monkeypatch
):
    monkeypatch.setattr("shop.handlers.MarkOrderPaid.deliver", lambda *_: 1 / 0)
    webhook(event_id="evt_re", type="refund.created", refund_id="re_1", amount="1.00")
    for _ in range(2):
        run_due()
        pass_time(3600)
    webhook(event_id="evt_ch")
    for _ in range(2):
        run_due()
        pass_time(3600)
    for event in Event.objects.all():
        html = read(operator, page_of(event))
        assert "pw-lost" not in html
        assert "pw-taken" not in html
    monkeypatch.setattr("django_payment_webhooks.history.is_installed", lambda: False)
    assert "pw-taken" not in read(operator, page_of(Event.objects.get(provider_event_id="evt_ch")))


@pytest.mark.django_db(transaction=True)
def test_the_order_is_drawn_with_all_its_events_and_no_other(
    operator, history, order, webhook, run_due
):
    webhook(event_id="evt_re", type="refund.created", refund_id="re_1", amount="1.00")
    run_due()
    webhook(event_id="evt_ch")
    webhook(event_id="evt_other", order_id="A2")
    run_due()
    drawing = re.search(
        "<svg.*</svg>", read(operator, page_of(Event.objects.get(provider_event_id="evt_ch"))), re.S
    )
    assert re.findall(r'<text [^>]*class="pw-small">(evt_\w+)<', drawing.group()) == [
        "evt_re",
        "evt_ch",
    ]
    assert re.findall(r"<g class=\"pw-(\w+)\"", drawing.group()) == [
        *(
            "received",
            "waiting",
            "received",
            "applied",
            "released",
            "processed",
            "processed",
        ),
    ]
    assert drawing.group().count('class="pw-link"') == 1


def test_a_row_with_a_hundred_events_of_one_order_is_drawn_with_the_newest(operator):
    events = EventFactory.create_batch(60)
    with recorded_statements() as statements:
        html = read(operator, page_of(events[-1]))
    assert html.count('class="pw-lane"') == 50
    assert len([sql for sql in statements if Event._meta.db_table in sql]) < 12


def test_what_an_event_without_an_order_shares_with_others_is_not_drawn(operator):
    events = EventFactory.create_batch(2, order_id="")
    assert read(operator, page_of(events[0])).count('class="pw-lane"') == 1
