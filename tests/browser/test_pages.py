"""Each page in an outage, on a desk and on a phone: what one came for is on the screen, and
everybody can read it.
"""

import os

import django
import pytest

from django_payment_webhooks.models import Event

from .conftest import PICTURES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("history")]

LIST = "/admin/payment_webhooks/event/"
DESK, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
# The admin of Django 1.11 was not made for phones.
SCREENS = {"": DESK, "-phone": PHONE} if django.VERSION >= (2, 0) else {"": DESK}
is_plain = pytest.mark.skipif(
    "UNFOLD" in os.environ, reason="Unfold has these pages in its clothes."
)
# What this app has written of a page: the rest is Django's, or unfold's.
OWN = ".pw-page, .pw-status, .pw-table, .pw-scroll, .pw-text, .pw-operations"
PAGES = {
    "overview": "?overview=24",
    "week": "?overview=168",
    "causes": "?causes=1",
    "events": "?status__exact=failed",
    "conflicts": "?conflict=open",
}


def is_on_screen(page, part):
    """Return whether a part of a page can be seen without scrolling, but for its lower end."""
    box, size = part.bounding_box(), page.viewport_size
    return (
        box is not None
        and 0 <= box["x"] < size["width"] - 40
        and 0 <= box["y"] < size["height"] - 20
    )


def is_too_wide(page):
    """Return whether a page can be scrolled to the side."""
    return page.evaluate(
        "document.scrollingElement.scrollWidth > document.scrollingElement.clientWidth + 1"
    )


def find_violations(page):
    """Return what axe has to say about this app's parts of a page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page, context={"include": [[OWN]]}).response["violations"]
    return ["%s: %s" % (rule["id"], node["html"][:200]) for rule in found for node in rule["nodes"]]


def open_page(page, address, size):
    """Open a page on a screen."""
    page.set_viewport_size(size)
    page.goto(LIST + address)


def test_each_page_can_be_read_by_everybody(page, outage, take_picture):
    pages = dict(PAGES, event="%d/change/" % outage.pk)
    for name, size in SCREENS.items():
        for title, address in pages.items():
            open_page(page, address, size)
            if PICTURES and title != "week":
                take_picture(title + name)
            assert not is_too_wide(page), (title, size)
            assert find_violations(page) == [], (title, size)


@is_plain
@pytest.mark.parametrize("theme", ["light"], indirect=True)
@pytest.mark.parametrize("name", SCREENS)
def test_what_one_came_for_is_on_the_screen(page, outage, name, take_picture):
    size = SCREENS[name]
    open_page(page, "?status__exact=failed", size)
    for field in ("shown_status", "shown_type", "shown_error", "age"):
        assert is_on_screen(page, page.locator("#result_list .field-%s" % field).first), field

    open_page(page, "%d/change/" % outage.pk, size)
    assert is_on_screen(page, page.locator(".field-whole_error"))
    assert is_on_screen(page, page.locator(".field-cause a"))
    drawing = page.locator("svg.pw-drawing")
    assert "retried ×39" in drawing.text_content()
    assert drawing.bounding_box()["height"] >= 100
    folded = page.locator(".field-timeline details")
    assert folded.locator("li").count() == 39
    assert not folded.locator("li").first.is_visible()
    folded.locator("summary").click()
    assert folded.locator("li").first.is_visible()
    take_picture("folded" + name, page.locator(".field-timeline .pw-table"))
    take_picture("order" + name, page.locator(".field-order_timeline .pw-scroll").first)

    for hours, bars in [("24", 24), ("168", 28)]:
        open_page(page, "?overview=" + hours, size)
        plot = page.locator(".pw-newest")
        plot.scroll_into_view_if_needed()
        assert plot.locator("g").count() == bars
        box = plot.locator("g").last.bounding_box()
        assert 0 < box["x"] < size["width"] - 20
        assert plot.locator("svg").bounding_box()["height"] >= 200
        take_picture("plot-%s%s" % (hours, name), plot)


@is_plain
@pytest.mark.parametrize("theme", ["light"], indirect=True)
def test_what_a_page_speaks_of_is_a_click_away(page, outage):
    page.goto("/admin/")
    page.click("#content a >> text=Overview")
    page.click("text=/842 events have failed/")
    page.wait_for_selector("#result_list")
    assert page.locator("#result_list tbody tr").count() == 50
    assert "894" in page.inner_text("#changelist")  # 52 of this cause are being retried

    page.goto(LIST + "?overview=24")
    page.locator(".pw-newest").focus()  # reached by the keyboard
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result_list")
    assert page.locator("#result_list tbody tr").count() > 20
    page.goto(LIST + "?overview=24")
    page.click("text=The same as a table")
    page.locator("details td a").last.click()
    page.wait_for_selector("#result_list")

    page.goto("/admin/")
    page.click("#content a >> text=Causes")
    page.wait_for_selector("text=What failed attempts have in common")


@is_plain
@pytest.mark.parametrize("theme", ["light"], indirect=True)
def test_the_overview_says_as_of_when_it_is_and_can_refresh_itself(page, outage):
    page.goto(LIST + "?overview=6")
    shown = page.inner_text("#pw-refreshed")
    assert " UTC." in shown
    page.click("text=Refresh every")
    page.wait_for_selector("text=Stop refreshing")
    Event.objects.filter(status=Event.FAILED).delete()
    page.evaluate("refreshAfter(0)")
    page.wait_for_selector("text=/events have failed/", state="detached")
