"""What the pages link to, fold, find and offer for download."""

import csv
import io
import json
import re

import django
import pytest
from django.contrib.admin import AdminSite, site
from django.contrib.auth.models import Permission, User

from django_payment_webhooks.admin import register_entries
from django_payment_webhooks.admin.folding import fold_steps
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.history.models import Entry
from django_payment_webhooks.history.timeline import Step
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers.subject import find_dashboard

from ..factories import EventFactory
from .browsing import LIST, found, log_in, page_of, read

pytestmark = pytest.mark.django_db

AUDIT = "/admin/payment_webhooks_history/auditrecord/"


def download(browser, *events):
    """Choose events, and return the rows of the file."""
    selected = {"action": "download_events", "_selected_action": [event.pk for event in events]}
    answer = browser.post(LIST, dict(selected, index=0))
    text = b"".join(answer.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_the_index_of_the_admin_leads_to_the_overview_and_to_the_causes(operator):
    html = read(operator, "/admin/")
    for name, text in [("overview", "All events"), ("causes", "have in common")]:
        address = "/admin/payment_webhooks/%s/" % name
        assert 'href="%s"' % address in html
        page = operator.get(address, follow=True).content.decode()
        assert text in page


def test_the_index_names_no_page_to_those_who_may_not_see_events(db):
    stranger = log_in("stranger", is_staff=True)
    # With it the index does have entries of this app.
    User.objects.get().user_permissions.add(Permission.objects.get(codename="replay_event"))
    assert "/payment_webhooks/overview/" not in stranger.get("/admin/").content.decode()
    assert stranger.get("/admin/payment_webhooks/causes/", follow=True).status_code == 403


@pytest.mark.parametrize("address", [LIST, LIST + "?overview=24", LIST + "?causes=1", AUDIT, None])
def test_a_phone_is_told_once_that_a_page_fits_it(operator, history, address):
    html = read(operator, address or page_of(EventFactory()))
    assert html.count('name="viewport"') == 1
    assert html.count("old.css") == (django.VERSION < (2, 0))


def test_a_site_of_the_host_lists_the_pages_if_it_is_asked_to(rf, admin_user):
    office = AdminSite(name="admin")
    office.register(Event, type(site._registry[Event]))
    register_entries(office)
    request = rf.get("/")
    request.user = admin_user
    (app,) = office.get_app_list(request)
    assert [model["name"] for model in app["models"]] == ["Causes", "Events", "Overview"]


def test_steps_that_an_event_repeats_are_one_whatever_others_do_in_between():
    one, two = Event(pk=1), Event(pk=2)
    verbs = ["received", "retried", "retried", "retried", "failed"]
    steps = [Step(event, None, verb) for verb in verbs for event in (one, two)]
    folds = fold_steps(steps)
    seen = [(fold.step.event.pk, fold.step.verb, len(fold.folded)) for fold in folds]
    assert seen == [
        *[(1, "received", 0), (2, "received", 0)],
        *[(1, "retried", 3), (2, "retried", 3)],
        *[(1, "failed", 0), (2, "failed", 0)],
    ]
    assert [fold.folded for fold in fold_steps(steps[2:6])] == [()] * 4  # two are not folded


def test_the_page_folds_repeated_attempts_and_still_has_each(operator):
    event = EventFactory()
    for number in range(1, 40):
        text = "Try %d failed." % number
        Entry.objects.create(
            event=event, at=event.received_at, verb="retried", attempts=number, text=text
        )
    html = read(operator, page_of(event))
    assert html.count("retried ×39") == 4  # the table, the drawing and its tip, the same as a table
    assert re.findall(r"<li lang=.en.>[^<]*(Try \d+) failed", html)[::38] == ["Try 1", "Try 39"]


def test_an_event_is_found_by_the_id_of_its_refund_whether_or_not_it_had_its_effect(
    operator, order, webhook, run_due
):
    webhook(event_id="evt_ch")
    webhook(event_id="evt_re", type="refund.created", refund_id="re_1", amount="1.00")
    run_due()
    waits = EventFactory(type="refund.created", data={"refund_id": "re_2"}, order_id="A9")
    assert found(operator.get(LIST, {"q": "re_1"})) == {"evt_re"}
    assert found(operator.get(LIST, {"q": "re_2"})) == {waits.provider_event_id}
    for part in ("re", "re_", "2", "10.00", "EUR"):
        assert found(operator.get(LIST, {"q": part})) == set()
    assert "refund_id: re_2" in read(operator, page_of(waits))


def test_a_payment_is_linked_in_the_dashboard_of_its_provider(operator, settings):
    options = {"PRESET": "stripe", "SECRETS": ["whsec_of_this_test_alone"]}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"card": options, "default": {}}
    get_provider.cache_clear()
    event = EventFactory(provider="card", payment_id="pi_1/../x", payment_key="k")
    assert find_dashboard(event) == "https://dashboard.stripe.com/payments/pi_1%2F..%2Fx"
    assert find_dashboard(event) in read(operator, page_of(event))
    for other in (EventFactory(provider="default"), EventFactory(provider="removed")):
        assert find_dashboard(other) == ""
        assert "dashboard" not in read(operator, page_of(other))
    get_provider.cache_clear()


def test_a_list_is_downloaded_without_formulas_and_without_what_is_personal(operator, unparsed):
    event = EventFactory(
        order_id="=HYPERLINK(1)", status=Event.FAILED, error="No mail to ada@example.com"
    )
    rows = download(operator, event, unparsed)
    assert [row["provider_event_id"] for row in rows] == [
        unparsed.provider_event_id,
        event.provider_event_id,
    ]
    assert rows[1]["order_id"] == "'=HYPERLINK(1)"
    assert (rows[1]["amount"], rows[1]["currency"]) == ("10.00", "EUR")
    assert rows[1]["error"].startswith("No mail to [redacted]")
    assert rows[0]["amount"] == ""


def test_a_list_of_many_is_downloaded_in_batches_and_whole(operator, monkeypatch):
    monkeypatch.setattr("django_payment_webhooks.admin.downloads.BATCH", 2)
    events = EventFactory.create_batch(5)
    rows = download(operator, *events)
    assert len({row["provider_event_id"] for row in rows}) == 5


def test_problems_and_bars_lead_to_what_they_speak_of(operator):
    EventFactory.create_batch(2, status=Event.FAILED, due_at=None)
    html = read(operator, LIST, overview=6)
    assert re.search(r'<a href="\?status__exact=failed">2 events have failed', html)
    (address,) = set(re.findall(r'<a href="(\?received_at[^"]*)" aria-label', html))
    assert len(found(operator.get(LIST + address.replace("&amp;", "&")))) == 2
    assert "refresh.js" not in html
    assert "refresh.js" in read(operator, LIST, overview=6, refresh=1)


@pytest.mark.parametrize(("hours", "bars"), [(6, 6), (24, 24), (72, 24), (168, 28)])
def test_however_many_hours_are_shown_in_bars_that_can_be_seen(operator, hours, bars):
    EventFactory()
    html = read(operator, LIST, overview=hours)
    assert html.count("<g><title>") == bars
    assert json.loads(re.search(r'class="pw-plot[^"]*" width="(\d+)"', html).group(1)) < 900
