"""A visit to every page of the app, in each state that it can be in."""

import json
from datetime import timedelta

from django.utils import timezone

from django_payment_webhooks.history import write_audit, write_look
from django_payment_webhooks.history.models import Cause, Conflict, Entry, Rejection, Sweep
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.operations.pruning import prune

from ..factories import EventFactory

LIST = "/admin/payment_webhooks/event/"
AUDIT = "/admin/payment_webhooks_history/auditrecord/"
FINAL = {"due_at": None, "enqueue_at": None}
TRACE = """Traceback (most recent call last):
  File "shop/handlers.py", line 88, in reserve_stock
    stock = order.lines[0]["warehouse_id"]
KeyError: 'warehouse_id'"""
NOTE = "Paid by bank transfer; checked with the accounts department."
# The addresses of the pages that a name is enough for.
ADDRESSES = {
    "index": "/admin/",
    "overview": LIST + "?overview=24",
    "week": LIST + "?overview=168&refresh=1",
    "events": LIST,
    "failed": LIST + "?status__exact=failed",
    "provider": LIST + "?provider=timed",
    "type": LIST + "?type=",
    "today": LIST + "?received_at__gte=2020-01-01+00:00:00%2B00:00",
    "conflicts": LIST + "?conflict=open",
    "nothing-found": LIST + "?q=S-0",
    "causes": LIST + "?causes=1",
    "audit": AUDIT,
}
# The events whose pages differ.
EVENTS = ["failed", "retrying", "waiting", "conflict", "unparsed", "pruned", "orphan"]
# What an operator can do with the events of a list: the action, and the list.
ACTIONS = {
    "replay": ("replay_events", "failed"),
    "resolve": ("resolve_events", "failed"),
    "erase": ("erase_orders", "events"),
    "dry-run": ("dry_run_events", "events"),
}
CHOOSE = """action => {
  const form = document.getElementById("changelist-form");
  form.querySelectorAll("[name=_selected_action]").forEach(box => { box.checked = true; });
  form.querySelector("[name=action]").value = action;
  form.submit();
}"""


def make_everything():
    """Make events in each state, and whatever the pages say of them. Returns some of them by a
    name.
    """
    now = timezone.now()
    keys = [make_cause(now, "KeyError", "warehouse_id", "shop.handlers.reserve_stock")]
    keys.append(make_cause(now, "requests.ConnectTimeout", "erp.example.com timed out", "shop.erp"))
    failed = {"status": Event.FAILED, "attempts": 1, "finished_at": now, **FINAL}
    bug = {"cause_key": keys[0], "error": "KeyError('warehouse_id')"}
    late = {"due_at": now.timestamp() + 170, "enqueue_at": now.timestamp() + 170}
    events = {
        status: EventFactory(status=status, order_id="S-17", finished_at=now, **FINAL)
        for status in (Event.PROCESSED, Event.DUPLICATE, Event.IGNORED)
    }
    events.update(
        failed=EventFactory(order_id="S-17", **failed, **bug),
        retrying=EventFactory(order_id="S-18", attempts=39, **late, **bug),
        applied=EventFactory(status=Event.APPLIED, idempotency_key="k" * 32, **late),
        waiting=EventFactory(
            order_id="S-17",
            type="refund.created",
            status=Event.WAITING,
            waiting_since=now.timestamp() - 2.5 * 86400,
            error="It waits for charge.succeeded.",
            **late,
        ),
        conflict=EventFactory(status=Event.PROCESSED, finished_at=now, **FINAL),
        unparsed=EventFactory(
            type="", order_id="", body=b"{", error="The body has no event_id.", **failed
        ),
        pruned=EventFactory(status=Event.PROCESSED, finished_at=now, **FINAL),
        orphan=EventFactory(provider="removed", error="RuntimeError('no stock')", **failed),
    )
    prune(events["pruned"])
    for number in range(8):
        at = now - timedelta(hours=3 * number)
        EventFactory(provider="timed", received_at=at, **failed, **bug)
    EventFactory(received_at=now - timedelta(hours=2), **failed, cause_key=keys[1], error="timeout")
    Event.objects.filter(pk=events["failed"].pk).update(received_at=now - timedelta(hours=2))
    tell_history(events, now)
    return events


def make_cause(now, exception, text, place):
    """Write a cause, and return its key."""
    key = digest(exception, text)
    Cause.objects.create(key=key, exception=exception, text=text, place=place, first_seen=now)
    return key


def tell_history(events, now):
    """Write what the history has of the events."""
    for number in range(39):
        Entry.objects.create(
            event=events["retrying"],
            at=now - timedelta(seconds=100 * (39 - number)),
            verb="retried",
            attempts=number,
            text="KeyError('warehouse_id')",
            traceback=TRACE if number == 38 else "",
        )
    other = {"other": events["processed"], "at": now, "attempts": 1}
    Entry.objects.create(event=events["waiting"], verb="waiting", at=now, attempts=1)
    Entry.objects.create(event=events["waiting"], verb="released", **other)
    Entry.objects.create(event=events["failed"], verb="failed", at=now, attempts=1, traceback=TRACE)
    Entry.objects.create(event=events["failed"], verb="replayed", by="ada", text=NOTE, **other)
    difference = json.dumps([["data.amount", "19.90", "91.90"]])
    for also, closed_at in [(events["duplicate"], None), (None, now)]:
        Conflict.objects.create(
            event=events["conflict"],
            other=also,
            at=now,
            difference=difference,
            closed_at=closed_at,
            closed_by="ada" if closed_at else "",
            note=NOTE if closed_at else "",
        )
    hour = now.replace(minute=0, second=0, microsecond=0)
    for provider, status, reason, count in [("default", 401, "mismatch", 214), ("", 404, "", 2)]:
        Rejection.objects.create(
            hour=hour, provider=provider, status=status, reason=reason, count=count
        )
    Sweep.objects.create(pk=1, finished_at=now - timedelta(minutes=7), enqueued=0)
    write_audit("erased", "of the order 'S-16'", "ada", "The customer asked for it.", 3)
    write_look(events["failed"], "ada")


def visit_all(page, events):
    """Open each page, and give its name once it is there. In the end nothing is left."""
    for name, address in ADDRESSES.items():
        page.goto(address)
        yield name
    for name in EVENTS:
        page.goto("%s%d/change/" % (LIST, events[name].pk))
        yield "event-" + name
    page.goto("%s%d/change/?payload=1" % (LIST, events["failed"].pk))
    yield "payload"
    page.goto("%s?cause=%s" % (LIST, events["failed"].cause_key))
    yield "cause"
    yield from visit_actions(page)
    yield from visit_operation(page)
    yield from visit_acknowledgement(page)
    for model in (Event, Cause, Rejection, Sweep):
        model.objects.all().delete()
    for name in ("overview", "events", "causes"):
        page.goto(ADDRESSES[name])
        yield "empty-" + name


def visit_actions(page):
    """Choose each action for all events of a list."""
    for name, (action, place) in ACTIONS.items():
        page.goto(ADDRESSES[place])
        with page.expect_navigation():
            page.evaluate(CHOOSE, action)
        yield name


def visit_operation(page):
    """Replay some events slowly: a refusal, the progress, and the result."""
    # The page of a long operation stays as long as it is looked at.
    page.route(
        "**/progress.js", lambda route: route.fulfill(body="", content_type="text/javascript")
    )
    page.goto(ADDRESSES["failed"])
    with page.expect_navigation():
        page.evaluate(CHOOSE, "replay_events")
    page.evaluate("document.querySelector('[name=confirmed]').form.noValidate = true")
    page.fill("input[name=rate]", "0")
    page.click("button[name=confirmed]")
    page.wait_for_selector(".errorlist")
    yield "refused"
    page.fill("input[name=rate]", "1")
    page.click("button[name=confirmed]")
    page.wait_for_selector("#pw-progress")
    yield "progress"
    for _ in range(2):
        page.click("#pw-progress button")
    page.wait_for_selector("#changelist")
    yield "result"


def visit_acknowledgement(page):
    """Acknowledge a cause."""
    page.goto(ADDRESSES["causes"])
    page.locator("input[name=note]").first.fill(NOTE)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=%s" % NOTE)
    yield "acknowledged"
