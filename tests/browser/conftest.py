"""A browser, somebody who is logged in, and a shop with a past."""

import datetime
import os
import random
import shutil

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from django_payment_webhooks.history.models import Entry, Rejection, Sweep
from django_payment_webhooks.models import Event

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
    """Take a picture of a page, or of a part of it: ``take_picture("overview")``."""
    style = "unfold-" if os.environ.get("UNFOLD") else ""
    # The documentation has each page once, and the overview in all its clothes.
    plain = theme == "light" and not style

    def take_picture(name, part=None):
        page.wait_for_load_state("networkidle")
        page.wait_for_selector("#content, .pw-page, #changelist", state="visible")
        picture = (part or page).screenshot(**({} if part else {"full_page": True}))
        assert len(picture) > 10000  # an empty page has 5500 bytes
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
