"""What an operator does at three in the morning, with a browser and nothing else."""

import pytest
from django.contrib.admin.models import LogEntry
from shop.handlers import MarkOrderPaid

from django_payment_webhooks.admin import actions
from django_payment_webhooks.admin.actions import BATCH
from django_payment_webhooks.models import Event

from ..doubles import handle
from ..factories import EventFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("history")]

LIST = "/admin/payment_webhooks/event/"


def choose(page, label):
    """Choose an action of the list for the selected events."""
    page.select_option("select[name=action]", label=label)
    page.click("button[name=index], button[type=submit][title*='Run'], .actions button")


def test_from_the_overview_to_the_cause_to_the_fix(
    page, past, orders, webhook, run_due, settings, shop_state, take_picture, theme
):
    good = settings.PAYMENT_WEBHOOKS_HANDLERS
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 1

    def deliver(self, event):
        if int(event.order_id[1:]) % 3 == 0:
            raise KeyError("warehouse_id")

    handle(settings, parent=MarkOrderPaid, deliver=deliver)
    for number, order in enumerate(orders):
        webhook(event_id="evt_B%d" % number, order_id=order.pk, amount="10.00")
    run_due()
    assert Event.objects.filter(status=Event.FAILED).count() == 10

    page.goto(LIST)
    page.click("text=Overview")
    assert "10 events have failed" in page.inner_text(".pw-page")
    assert page.locator("svg rect.pw-failed").count() == 1

    page.click("a[href='?status__exact=failed']")
    page.wait_for_selector("#result_list")
    assert page.locator("#result_list tbody tr").count() == 10
    page.click("text=evt_B3")
    page.wait_for_selector("svg.pw-drawing")
    assert "KeyError('warehouse_id')" in page.inner_text("body")
    page.click("text=Dry run")
    assert "Only its delivery would be repeated" in page.inner_text(".pw-page")

    settings.PAYMENT_WEBHOOKS_HANDLERS = good  # a fixed handler is deployed
    page.goto(LIST + "?status__exact=failed")
    page.check("#action-toggle")
    choose(page, "Replay the selected events")
    page.fill("input[name=reason]", "The warehouse's id is sent again.")
    take_picture("confirmation")
    page.click("button[name=confirmed]")
    page.wait_for_url("**/event/?status__exact=failed")
    assert "10 events are due again." in page.inner_text("body")
    run_due()
    assert not Event.objects.filter(status=Event.FAILED).exists()
    assert len(shop_state()["ledger"]) == 30
    assert LogEntry.objects.count() == 10

    page.goto(LIST + "?overview=24")
    assert "Nothing is wrong." in page.inner_text(".pw-page")
    page.goto("%s%d/change/" % (LIST, Event.objects.get(provider_event_id="evt_B3").pk))
    text = page.inner_text("body")
    assert "The warehouse's id is sent again." in text
    assert "ada" in text


def test_the_drawing_shows_what_released_a_refund(page, order, webhook, run_due, take_picture):
    webhook(
        event_id="evt_re",
        type="refund.created",
        refund_id="re_1",
        amount="2.50",
        email="a@b.example",
    )
    run_due()
    webhook(event_id="evt_ch")
    run_due()
    webhook(event_id="evt_di", type="dispute.opened", dispute_id="dp_1")
    run_due()
    page.goto("%s%d/change/" % (LIST, Event.objects.get(provider_event_id="evt_re").pk))
    drawing = page.locator("svg.pw-drawing")
    assert drawing.locator(".pw-lane").count() == 3
    assert drawing.locator(".pw-link").count() == 1
    marks = [mark.split("\n")[0] for mark in drawing.locator("g > title").all_text_contents()]
    verbs = [mark.partition(",")[0] for mark in marks[:3]]
    assert verbs == ["received", "waiting", "received"]
    page.click("text=Show the payload")
    page.wait_for_url("**?payload=1")
    assert "a@b.example" not in page.inner_text("body")
    assert "[redacted]" in page.inner_text("body")
    take_picture("timeline", drawing)


def test_an_event_is_marked_as_handled_by_hand_only_with_a_reason(
    page, order, webhook, run_due, entries
):
    webhook(event_id="evt_1", amount="7.00")
    run_due()
    page.goto("%s%d/change/" % (LIST, Event.objects.get().pk))
    page.click("text=Mark as handled by hand")
    page.click("button[name=confirmed]")
    assert Event.objects.get().status == Event.FAILED  # the browser asks for the reason
    page.fill("input[name=reason]", "Paid in the shop.")
    page.click("button[name=confirmed]")
    page.wait_for_url("**/change/")
    event = Event.objects.get()
    assert (event.status, event.error) == (
        Event.PROCESSED,
        "Handled by hand by ada: Paid in the shop.",
    )
    assert "Paid in the shop." in page.inner_text("body")
    assert entries("evt_1") == ["failed", "processed"]


def test_many_events_are_replayed_by_one_click_in_many_requests(
    page, theme, take_picture, published, monkeypatch
):
    monkeypatch.setattr(actions, "MAX_SECONDS", 600)  # however slow the machine is
    EventFactory.create_batch(2 * BATCH + 10, status=Event.FAILED, due_at=None, enqueue_at=None)
    requests = []
    page.on("request", lambda request: request.method == "POST" and requests.append(request))
    page.goto(LIST + "?status__exact=failed")
    page.check("#action-toggle")
    page.click("text=/Select all/")
    choose(page, "Replay the selected events")
    assert "%d events" % (2 * BATCH + 10) in page.inner_text(".pw-page")
    page.click("button[name=confirmed]")
    page.wait_for_url("**/event/?status__exact=failed")
    page.wait_for_selector("text=events are due again")
    assert "%d events are due again." % (2 * BATCH + 10) in page.inner_text("body")
    assert not Event.objects.filter(status=Event.FAILED).exists()
    assert len(requests) == 1 + 3
    assert LogEntry.objects.count() == 2 * BATCH + 10


def test_a_replay_that_is_stopped_reports_what_was_done_although_a_request_was_lost(
    page, monkeypatch, published
):
    monkeypatch.setattr(actions, "BATCH", 5)
    EventFactory.create_batch(20, status=Event.FAILED, due_at=None, enqueue_at=None)
    lost = []

    def answer_or_not(route):
        """Lose the second batch's answer, as a web server does that is restarted; then be stopped.

        The first is the page's own form, which confirms.
        """
        is_batch = route.request.resource_type == "fetch"
        if is_batch and not lost:
            lost.append(route)
            route.abort()
        elif is_batch and len(lost) == 1:
            lost.append(route)
            page.evaluate("document.querySelector('[name=stop]').click()")
            route.continue_()
        else:
            route.continue_()

    page.route("**/event/**", answer_or_not)
    page.goto(LIST + "?status__exact=failed")
    page.check("#action-toggle")
    choose(page, "Replay the selected events")
    page.click("button[name=confirmed]")
    page.wait_for_selector("#pw-lost:not([hidden])")
    page.wait_for_selector("text=events are due again")
    assert "10 events are due again." in page.inner_text("body")
    assert "10 events are not counted" in page.inner_text("body")
    assert Event.objects.filter(status=Event.FAILED).count() == 10


def test_a_dry_run_shows_what_would_be_changed_and_changes_nothing(
    page, order, webhook, take_picture, shop_state
):
    webhook(event_id="evt_1")
    before = shop_state()
    page.goto("%s%d/change/" % (LIST, Event.objects.get().pk))
    page.click("text=Dry run")
    text = page.inner_text(".pw-page")
    assert "applied" in text
    assert "shop_ledgerentry" in text
    assert shop_state() == before
    assert Event.objects.get().status == Event.RECEIVED
    take_picture("dry-run")
