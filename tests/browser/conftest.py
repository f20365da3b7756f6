"""A browser, a user who is logged in, and a shop with a past."""

import datetime
import json
import os
import random
import shutil

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from django_payment_webhooks.history.models import Cause, Conflict, Entry, Rejection, Sweep
from django_payment_webhooks.models import Event, digest

from ..factories import EventFactory, OrderFactory

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
# Nothing is looked up beside the page itself. As root, which a container's user is, Chromium has no
# sandbox.
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync --font-render-hinting=none"
# Where the pictures of the documentation are written; without it they are taken, and thrown away.
PICTURES = os.environ.get("PICTURES")

# Playwright runs an event loop in this thread, and Django takes it for asynchronous code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.fixture(scope="session")
def chromium():
    """Chromium, started once."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="The browser's tests are run by tox: see tox.ini."
    )
    if not CHROMIUM:
        pytest.fail("There is no Chromium: install Debian's package chromium, or set CHROMIUM.")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def theme(request):
    """The theme that the operator's system asks for."""
    return request.param


@pytest.fixture
def page(chromium, live_server, transactional_db, theme):
    """A page of an operator who is logged in. Fails if it needs another server, or if something in
    it does not work.
    """
    client = Client()
    client.force_login(User.objects.create(username="ada", is_staff=True, is_superuser=True))
    context = chromium.new_context(
        color_scheme=theme,
        viewport={"width": 1360, "height": 900},
        base_url=live_server.url,
        timezone_id="UTC",
    )
    context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
    )
    page, wrong = context.new_page(), []

    # Browsers ask for it by themselves.
    context.route("**/favicon.ico", lambda route: route.fulfill(status=204))

    def see(request):
        if not request.url.startswith((live_server.url, "data:", "blob:")):
            wrong.append("it asks for %s" % request.url)

    page.on("request", see)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "response",
        lambda answer: answer.status >= 400 and wrong.append("%d %s" % (answer.status, answer.url)),
    )
    page.set_default_timeout(20000)
    yield page
    context.close()
    assert not wrong


@pytest.fixture
def take_picture(page, theme):
    """Take a picture of the upper part of the screen, or of a part of the page:
    ``take_picture("overview")``.
    """
    style = "unfold-" if os.environ.get("UNFOLD") else ""
    # The documentation has each page once, and the overview in all its clothes.
    plain = theme == "light" and not style

    def take_picture(name, part=None):
        page.wait_for_load_state("networkidle")
        page.wait_for_selector("#content, .pw-page, #changelist", state="visible")
        size = page.viewport_size
        top = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 680)}
        picture = part.screenshot() if part else page.screenshot(clip=top)
        assert part or len(picture) > 5600  # an empty page has 5500 bytes
        if PICTURES and (plain or name == "overview"):
            os.makedirs(PICTURES, exist_ok=True)
            with open(os.path.join(PICTURES, "%s%s-%s.png" % (style, name, theme)), "wb") as file:
                file.write(picture)

    return take_picture


@pytest.fixture
def past(transactional_db):
    """Fill the last day with events, as a shop has them: most are processed, some wait, some
    failed.
    """
    chance, now, events = random.Random(7), timezone.now(), []
    for hour in range(24):
        busy = 6 + int(22 * abs(12 - hour) / 12)
        for number in range(busy):
            received_at = now - datetime.timedelta(hours=hour, seconds=chance.uniform(5, 3300))
            status = chance.choices([Event.PROCESSED, Event.DUPLICATE, Event.IGNORED], [90, 6, 4])[
                0
            ]
            kind = chance.choices(["charge.succeeded", "refund.created"], [8, 2])[0]
            events.append(
                EventFactory.build(
                    provider=chance.choice(["default", "default", "timed"]),
                    provider_event_id="evt_%02d%03d" % (hour, number),
                    type="invoice.sent" if status == Event.IGNORED else kind,
                    order_id="P%d" % chance.randrange(400),
                    status=status,
                    received_at=received_at,
                    finished_at=received_at + datetime.timedelta(seconds=2),
                    attempts=1,
                    due_at=None,
                    enqueue_at=None,
                )
            )
    Event.objects.bulk_create(events)
    hour = now.replace(minute=0, second=0, microsecond=0)
    for provider, status, reason, count in [
        ("default", 401, "mismatch", 41),
        ("timed", 401, "stale", 3),
        ("", 404, "unknown_provider", 2),
    ]:
        Rejection.objects.create(
            hour=hour, provider=provider, status=status, reason=reason, count=count
        )
    Sweep.objects.create(pk=1, finished_at=now, enqueued=0)


# What has failed in the outage below: the exception, its text, its place, how many events.
CAUSES = [
    ("KeyError", "warehouse_id", "shop.handlers.reserve_stock", 842),
    ("requests.exceptions.ConnectTimeout", "erp.example.com timed out", "shop.erp.book", 187),
    ("", "The body has no event_id.", "timed", 56),
]


def make_past(number, now, **values):
    """Return an event of the last day, not saved."""
    received_at = now - datetime.timedelta(seconds=17.3 * number + 5)
    ended = values.get("status") in (Event.PROCESSED, Event.IGNORED, Event.FAILED)
    order_id, payment_id = "S-%d" % (number % 1700), "ch_%05d" % number
    fields = {
        "provider": "timed" if number % 4 == 0 else "default",
        "provider_event_id": "evt_%05d" % number,
        "type": "refund.created" if number % 9 == 0 else "charge.succeeded",
        "order_id": order_id,
        "order_key": digest(order_id),
        "payment_id": payment_id,
        "payment_key": digest("default", payment_id),
        "occurred_at": received_at,
        "received_at": received_at,
        "dedup_key": digest(str(number)),
        "verified_by": "a1b2c3d4",
        "attempts": 1,
        "body": json.dumps({"data": {"amount": "19.90", "currency": "EUR"}}).encode(),
        "due_at": None,
        "finished_at": received_at + datetime.timedelta(seconds=2) if ended else None,
    }
    return Event(**dict(fields, **values))


def make_failed(numbers, now):
    """Yield the failed events, and write their causes."""
    for exception, text, place, count in CAUSES:
        key = digest(exception, text)
        Cause.objects.create(key=key, exception=exception, text=text, place=place, first_seen=now)
        error = "%s('%s')" % (exception.rpartition(".")[2], text) if exception else text
        for _ in range(count):
            values = {"status": Event.FAILED, "cause_key": key, "error": error}
            if not exception:
                values.update(type="", order_id="", order_key="", payment_id="", payment_key="")
                values.update(body=b"{")
            yield make_past(next(numbers), now, **values)


@pytest.fixture
def outage(transactional_db):
    """A day of a shop: 1 085 of 4 254 events have failed for three causes, some are retried, some
    wait, others contradict each other, and webhooks were rejected. Returns an event that has been
    tried 39 times.
    """
    now = timezone.now()
    # Each number once, and the causes all over the day.
    numbers = iter(random.Random(3).sample(range(4254), 4254))
    events = list(make_failed(numbers, now))
    due = {"due_at": now.timestamp() + 170, "enqueue_at": now.timestamp() + 170}
    bug = {"cause_key": events[0].cause_key, "error": events[0].error}
    events += [
        make_past(next(numbers), now, status=Event.RECEIVED, attempts=39, **bug, **due)
        for _ in range(52)
    ]
    wait = {"waiting_since": now.timestamp() - 2.5 * 86400, "type": "refund.created"}
    text = "It waits for charge.succeeded."
    events += [
        make_past(next(numbers), now, status=Event.WAITING, error=text, **wait, **due)
        for _ in range(23)
    ]
    events += [make_past(number, now, status=Event.PROCESSED) for number in numbers]
    Event.objects.bulk_create(sorted(events, key=lambda event: event.received_at), batch_size=40)
    tried = Event.objects.filter(attempts=39).last()
    tell_history(tried, now)
    return tried


def tell_history(tried, now):
    """Write what the history has of an outage."""
    trace = 'Traceback (most recent call last):\n  File "shop/handlers.py", line 88, in '
    trace += "reserve_stock\n    stock = order.lines[0][\"warehouse_id\"]\nKeyError: 'warehouse_id'"
    for number in range(1, 40):
        at = tried.received_at + (now - tried.received_at) * number / 41
        Entry.objects.create(
            event=tried,
            at=at,
            verb="retried",
            attempts=number,
            text=tried.error,
            traceback=trace if number == 39 else "",
        )
    difference = json.dumps([["data.amount", "19.90", "91.90"]])
    for event in Event.objects.filter(status=Event.PROCESSED).order_by("-pk")[:3]:
        Conflict.objects.create(event=event, at=now, difference=difference)
    hour = now.replace(minute=0, second=0, microsecond=0)
    for provider, status, reason, count in [
        ("default", 401, "mismatch", 214),
        ("default", 413, "too_large", 12),
        ("timed", 401, "stale", 3),
    ]:
        Rejection.objects.create(
            hour=hour, provider=provider, status=status, reason=reason, count=count
        )
    Sweep.objects.create(pk=1, finished_at=now, enqueued=0)


@pytest.fixture
def orders(transactional_db):
    """Thirty orders of 10.00 EUR: ``B0`` to ``B29``."""
    return [OrderFactory(id="B%d" % number) for number in range(30)]


@pytest.fixture
def entries(history):
    """Return the verbs of an event's history."""
    return lambda key: list(
        Entry.objects.filter(event__provider_event_id=key).values_list("verb", flat=True)
    )
