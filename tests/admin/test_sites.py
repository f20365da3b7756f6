"""The admin in a host's own site: alone, and beside the default one."""

import re
from types import ModuleType

import pytest
from django.contrib.admin import AdminSite, site
from django.urls import clear_url_caches

try:
    from django.urls import re_path
except ImportError:  # Django 1.11
    from django.conf.urls import url as re_path

from django_payment_webhooks.models import Event

from ..factories import EventFactory

pytestmark = pytest.mark.django_db

office = AdminSite(name="office")
office.register(Event, type(site._registry[Event]))
OFFICE = re_path(r"^office/", office.urls)
DEFAULT = re_path(r"^admin/", site.urls)


@pytest.fixture(params=["alone", "beside the default one"])
def urls(request, settings):
    """Have the addresses of the host's own site, and perhaps those of the default one."""
    patterns = [OFFICE] if request.param == "alone" else [DEFAULT, OFFICE]
    settings.ROOT_URLCONF = ModuleType("urls_of_the_host")
    settings.ROOT_URLCONF.urlpatterns = patterns
    clear_url_caches()
    yield
    clear_url_caches()


def list_links(answer):
    """Return the addresses of a page's links and forms that lead to an admin."""
    assert answer.status_code == 200
    found = re.findall(r'(?:href|action)="(/[^"]*)"', answer.content.decode())
    return {address for address in found if address.startswith(("/admin/", "/office/"))}


def test_each_page_of_a_site_leads_to_that_site_only(urls, operator):
    charge = EventFactory(status="failed", error="no", order_id="A1", order_key="a")
    EventFactory(status="failed", error="no", order_id="A1", order_key="a")
    pages = "/office/payment_webhooks/event/"
    for address in ("", "?overview=24", f"{charge.pk}/change/"):
        links = list_links(operator.get(pages + address))
        assert links
        assert all(link.startswith("/office/") for link in links), links


def test_operations_come_back_to_the_site_they_were_asked_for_in(urls, operator):
    charge = EventFactory(status="failed", error="no")
    answer = operator.post(
        "/office/payment_webhooks/event/",
        {"action": "dry_run_events", "_selected_action": [charge.pk], "from_event": charge.pk},
    )
    links = list_links(answer)
    assert f"/office/payment_webhooks/event/{charge.pk}/change/" in links
    assert all(link.startswith("/office/") for link in links), links
