"""A real shop under load, a third of whose events fail, and an operator who fixes it without a
shell.
"""

import os
import threading

import pytest
from processes import make_event, manage, start_worker, wait_until

from ..services.e2e.stacks import Shop

LIST = "/admin/payment_webhooks/event/"
BROKEN = """
import zlib
from shop.handlers import MarkOrderPaid as Fixed


class MarkOrderPaid(Fixed):
    def order_paid(self, event, order):
        if zlib.crc32(event.order_id.encode()) % 3 == 0:
            event.data["warehouse"]["id"]
        super().order_paid(event, order)
"""
FIXED = "from shop.handlers import MarkOrderPaid\n"
MAKE_OPERATOR = """
from django.contrib.auth.models import User
User.objects.create_superuser("ada", "", "analytical engine")
"""


@pytest.fixture
def shop(tmp_path):
    """The shop's server and worker, with a handler that was deployed before it was ready."""
    shop = Shop(str(tmp_path), None, None)
    (tmp_path / "deployed.py").write_text(BROKEN)
    path = os.pathsep.join([str(tmp_path), shop.env["PYTHONPATH"]])
    shop.env.update(CHARGE_HANDLER="deployed.MarkOrderPaid", PYTHONPATH=path)
    try:
        yield shop.start()
    finally:
        shop.stop()


@pytest.fixture
def page(chromium, shop):
    """The browser of the operator, who logs in by hand."""
    manage(shop.env, "shell", "-c", MAKE_OPERATOR)
    context = chromium.new_context(
        base_url=shop.server.base_url, viewport={"width": 1360, "height": 900}
    )
    page = context.new_page()
    page.set_default_timeout(30000)
    page.goto(LIST)
    page.fill("input[name=username]", "ada")
    page.fill("input[name=password]", "analytical engine")
    page.click("input[type=submit], button[type=submit]")
    page.wait_for_selector("#changelist")
    yield page
    context.close()


@pytest.fixture
def load(shop):
    """Provider's webhooks, one after the other while the test goes on: genuine ones for 90 orders,
    and some forged.
    """
    events, ended = [shop.charge(shop.next_order()) for _ in range(90)], threading.Event()

    def send():
        for number, event in enumerate(events):
            shop.post(event)
            if number % 9 == 0:
                shop.post(
                    make_event("charge.succeeded", "forged"), secret="not the provider's own secret"
                )
            ended.wait(0.05)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    yield events
    ended.set()
    thread.join(60)


def test_a_third_of_the_events_fails_and_the_operator_fixes_it_without_a_shell(
    page, shop, load, tmp_path
):
    def statuses():
        return [status for status, _, _ in shop.events().values()]

    # Under way: some are processed, some fail, and the overview shows it.
    wait_until(lambda: statuses().count("failed") >= 5 and statuses().count("processed") >= 10, 60)
    page.goto(LIST + "?overview=6")
    page.wait_for_selector("text=/events? ha(s|ve) failed/")
    wait_until(lambda: len(statuses()) == 90 and set(statuses()) == {"processed", "failed"}, 120)
    failed = statuses().count("failed")
    assert 20 <= failed <= 40

    def overview():
        page.goto(LIST + "?overview=6")
        return page.inner_text(".pw-page")

    assert "%d events have failed" % failed in overview()
    wait_until(
        lambda: "mismatch" in overview(), 60, 1
    )  # counted in memory, and written after a while

    # From the overview to the cause.
    page.click(".pw-table a[href='?status__exact=failed']")
    page.wait_for_selector("#result_list")
    page.click("#result_list tbody tr th a")
    page.wait_for_selector("svg.pw-drawing")
    assert "KeyError('warehouse')" in page.inner_text("body")
    page.click("text=Dry run")
    page.wait_for_selector(".pw-page .pw-retried, .pw-page .pw-failed")

    # A fixed handler is deployed. The dry run shows that it works, and then all are replayed.
    (tmp_path / "deployed.py").write_text(FIXED)
    shop.worker.stop()
    shop.worker = start_worker(shop.env)
    shop.server.kill()
    shop.restart_server()
    page.goto(LIST + "?status__exact=failed")
    page.click("#result_list tbody tr th a")
    page.click("text=Dry run")
    page.wait_for_selector(".pw-page .pw-applied")
    page.goto(LIST + "?status__exact=failed")
    page.check("#action-toggle")
    page.select_option("select[name=action]", label="Replay the selected events")
    page.click(".actions button")
    page.fill("input[name=reason]", "The handler is fixed.")
    page.click("button[name=confirmed]")
    page.wait_for_selector("text=%d events are due again." % failed)

    shop.wait_for("processed", *load)
    page.goto(LIST + "?overview=6")
    page.wait_for_selector("text=Nothing is wrong.")
    for event in load:
        assert shop.effects(event["data"]["order_id"]) == {"payment": 1}
