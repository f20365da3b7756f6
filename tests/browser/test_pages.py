"""Each page in an outage, on a desk and on a phone: what one came for is on the screen, and
everybody can read it.
"""

import os
from importlib.util import find_spec
from pathlib import Path

import django
import pytest

from django_payment_webhooks.models import Event

from .conftest import PICTURES
from .visits import make_everything, visit_actions, visit_all, visit_operation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("history")]

LIST = "/admin/payment_webhooks/event/"
DESK, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
SCREENS = {"": DESK, "-phone": PHONE}
IS_UNFOLD = "UNFOLD" in os.environ
is_plain = pytest.mark.skipif(IS_UNFOLD, reason="Unfold has these pages in its clothes.")
PAGES = {
    "overview": "?overview=24",
    "causes": "?causes=1",
    "events": "?status__exact=failed",
    "conflicts": "?conflict=open",
}
# What tells who can't read a page; of the second there is a version for Python 3.7.
AXES = [
    ("axe_playwright_python", "axe.min.js"),
    ("axe_selenium_python", "node_modules/axe-core/axe.min.js"),
]
RUN_AXE = """([where, rules]) => axe.run(
  where, {rules, resultTypes: ["violations"]}
).then(found =>
  found.violations.flatMap(rule => rule.nodes.map(
    node => `${rule.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`
  ))
)"""
# What axe looks at: all but what Django and unfold have around every page, ours or not: the name of
# the site and its user, the list of all apps, and the way to the page. The links of Django 1.11
# itself are too pale everywhere: there it looks at what this app has written.
WHERE = {"exclude": [["#header"], ["#nav-sidebar"], [".breadcrumbs"]]}
if django.VERSION < (2, 0):
    own = ".pw-page, .pw-status, .pw-table, .pw-scroll, .pw-text, .pw-operations"
    WHERE = {"include": [["%s, #footer" % own]]}  # some pages have nothing but an empty footer
# The rules that are left out. Unfold has no landmarks on any page: of its parts, and so of ours,
# none is the main one. The axe for Python 3.7 does not know that a <dl> may have a <div> for each
# of its groups (https://html.spec.whatwg.org/multipage/grouping-content.html#the-dl-element).
LEFT_OUT = ["region", "landmark-one-main"] if IS_UNFOLD else []
if django.VERSION < (2, 0):
    LEFT_OUT = ["dlitem", "definition-list"]
RULES = {rule: {"enabled": False} for rule in LEFT_OUT}
# A link that is about to change its color has none that can be measured.
STILL = "*, ::before, ::after { transition: none !important; animation: none !important; }"
# Unfold asks for the system's theme only once, when it shows a page.
SWITCH = "isDark => document.documentElement.classList.toggle('dark', isDark)"
# How pages are looked at. Django 1.11 has no dark theme.
LOOKS = [(DESK, "light"), (PHONE, "dark"), (DESK, "dark"), (PHONE, "light")]
if django.VERSION < (2, 0):
    LOOKS = [(DESK, "light"), (PHONE, "light")]
# Django's own, which in 1.11 is not made for phones.
FOREIGN = ["index"] if django.VERSION < (2, 0) else []
# The pages that are gone through with the Tab key. The first three stand for the rest: they are
# looked at in all ways.
USED = ["overview", "failed", "event-retrying", "event-conflict", "causes", "replay", "dry-run"]
# The pages that the documentation shows as they are here.
SHOWN = ["event-conflict", "progress", "audit"]
# Lists that differ only in what is in them.
ALIKE = ["provider", "type", "today", "conflicts", "nothing-found", "cause", "result"]
# What is folded is looked at, too.
OPEN = "document.querySelectorAll('details').forEach(part => { part.open = true; })"
# The pages that no list and no form of Django's gives a title.
TITLES = {
    "overview": "Overview",
    "causes": "Causes",
    "replay": "Replay",
    "resolve": "Mark as handled by hand",
    "erase": "Erase the orders",
    "dry-run": "Dry run",
    "progress": "Replay",
}
COUNT_TITLES = """title => [...document.querySelectorAll("h1")].filter(
  part => part.getClientRects().length && part.innerText.trim() == title
).length"""
# The color of the button that confirms, and the contrast of what is written on it: of
# https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio.
READ_BUTTON = """() => {
  const shown = getComputedStyle(document.querySelector("button[name=confirmed]"));
  const [back, front] = [shown.backgroundColor, shown.color].map(color => color.match(/\\d+/g));
  const light = color => color.map(part => part / 255).map(
    part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  ).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const [less, more] = [light(back), light(front)].sort((one, other) => one - other);
  return [back.map(Number), (more + 0.05) / (less + 0.05)];
}"""
# The fields of the app's own pages that nobody can see.
FIND_UNSEEN = """() => [...document.querySelectorAll(".pw-page input:not([type=hidden])")].filter(
  part => parseFloat(getComputedStyle(part).borderBottomWidth) == 0
).map(part => part.outerHTML.slice(0, 200))"""
# Every part of this app's that can be used, as it is reached; and whether that can be seen.
WATCH = """() => {
  const ours = ".pw-page, .pw-scroll, .pw-details, .pw-operations, .pw-tool, .pw-table";
  const used = "a[href], button, summary, [tabindex], input:not([type=hidden]), select";
  window.unreached = new Set([...document.querySelectorAll(used)].filter(
    part => part.closest(ours) && part.getClientRects().length
  ));
  document.querySelectorAll("a.pw-anchor, .pw-button").forEach(part => unreached.add(part));
  document.addEventListener("focusin", event => {
    const shown = getComputedStyle(event.target);
    if (shown.outlineStyle != "none" || shown.boxShadow != "none") unreached.delete(event.target);
  });
  return unreached.size;
}"""


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


@pytest.fixture(scope="session")
def axe():
    """The source of axe."""
    for package, path in AXES:
        spec = find_spec(package)
        if spec:
            return (Path(spec.origin).parent / path).read_text(encoding="utf-8")
    return pytest.fail("There is no axe: see the extra browser.")


def find_violations(page):
    """Return what axe has to say about a page."""
    return page.evaluate(RUN_AXE, [WHERE, RULES])


def find_unreachable(page):
    """Return what can't be reached with the Tab key, or can't be seen where it is reached."""
    parts = page.evaluate(WATCH)
    assert parts
    for _ in range(20):
        for _ in range(20):
            page.keyboard.press("Tab")
        if not page.evaluate("unreached.size"):
            break
    return page.evaluate("[...unreached].map(part => part.outerHTML.slice(0, 200))")


def open_page(page, address, size):
    """Open a page on a screen."""
    page.set_viewport_size(size)
    page.goto(LIST + address)


@pytest.mark.parametrize("theme", ["light"], indirect=True)
def test_each_page_can_be_read_by_everybody(page, axe, take_picture):
    for name in visit_all(page, make_everything()):
        page.evaluate(axe)
        page.evaluate(OPEN)
        page.add_style_tag(content=STILL)
        page.set_viewport_size(DESK)
        page.emulate_media(color_scheme="light")
        if PICTURES and name in SHOWN:
            take_picture(name, page.query_selector(".field-conflicts"))
        if name in USED:
            assert find_unreachable(page) == [], name
        assert page.evaluate(FIND_UNSEEN) == [], name
        looks = 4 if name in USED[:3] else 1 if name in ALIKE + FOREIGN else 2
        for size, color_scheme in LOOKS[:looks]:
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=color_scheme)
            page.evaluate(SWITCH, color_scheme == "dark")
            assert not is_too_wide(page), (name, size)
            assert find_violations(page) == [], (name, size, color_scheme)


@pytest.mark.parametrize("theme", ["light"], indirect=True)
def test_each_page_says_once_what_it_is(page):
    make_everything()
    titles = {}
    for name in ("overview", "causes"):
        open_page(page, PAGES[name], DESK)
        titles[name] = page.evaluate(COUNT_TITLES, TITLES[name])
    for visit in (visit_actions, visit_operation):
        for name in visit(page):
            if name in TITLES:
                titles[name] = page.evaluate(COUNT_TITLES, TITLES[name])
    assert titles == dict.fromkeys(TITLES, 1)


def test_what_cannot_be_undone_is_confirmed_by_a_red_button(page):
    make_everything()
    for name in visit_actions(page):
        if name == "dry-run":
            continue
        (red, green, blue), contrast = page.evaluate(READ_BUTTON)
        assert (red > 2 * max(green, blue)) == (name in ("resolve", "erase")), name
        assert contrast >= 4.5, name


@pytest.mark.skipif(not PICTURES, reason="The documentation's pictures are taken if asked for.")
def test_the_documentation_has_a_picture_of_each_page(page, outage, take_picture):
    for name, size in SCREENS.items():
        for title, address in dict(PAGES, event="%d/change/" % outage.pk).items():
            open_page(page, address, size)
            take_picture(title + name)


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
    page.wait_for_url("**/?causes=1#cause-*")
    assert is_on_screen(page, page.locator(".pw-cause:target button").first)
    page.click(".pw-cause:target h2 a")
    page.wait_for_selector("#result_list")
    assert page.locator("#result_list tbody tr").count() == 50
    assert "894 events" in page.inner_text("#changelist")  # 52 of this cause are being retried

    page.goto(LIST + "?overview=24")
    page.locator(".pw-newest").focus()  # reached by the keyboard
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result_list")
    # The oldest hour is one of which the past may have some minutes only.
    assert page.locator("#result_list tbody tr").count() > 0
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
