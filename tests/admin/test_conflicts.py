"""Conflicts are found, read value by value, and closed."""

import pytest
from django.contrib.admin.models import LogEntry

from django_payment_webhooks import history as door
from django_payment_webhooks.models import Event
from django_payment_webhooks.monitoring.overview import read_overview
from django_payment_webhooks.monitoring.problems import find_problems

from .browsing import LIST, found, operate, page_of, read


@pytest.fixture
def conflict(history, webhook, transactional_db):
    """Return an event that came again with another amount and another address."""
    webhook(event_id="evt_1", charge_id="ch_1", amount="1.00", email="ada@example.com")
    webhook(event_id="evt_1", charge_id="ch_1", amount="2.00", email="eve@example.com")
    webhook(event_id="evt_2", charge_id="ch_2")
    return Event.objects.get(provider_event_id="evt_1")


def read_problems():
    """Return what is wrong with conflicts."""
    return [each.text for each in find_problems(read_overview(1)) if "conflict" in each.text]


def test_an_open_conflict_is_found_read_and_closed(operator, conflict):
    assert door.count_open_conflicts() == 1
    assert read_problems()[0].startswith("1 open conflict: ")
    assert read_overview(1).to_dict()["conflicts"] == 1
    assert found(operator.get(LIST, {"conflict": "open"})) == {"evt_1"}
    assert found(operator.get(LIST, {"conflict": "closed"})) == set()
    assert read(operator, LIST).count('pw-conflicted">conflict<') == 1
    html = read(operator, page_of(conflict)).replace("&quot;", '"')
    assert '<th scope="row">data.amount</th><td>"1.00"</td><td>"2.00"</td>' in html
    assert '<th scope="row">data.email</th><td>[redacted]</td><td>[redacted]</td>' in html
    assert "@example.com" not in html
    operate(operator, "close_conflicts", conflict, reason="Refunded by hand.")
    assert door.count_open_conflicts() == 0
    assert read_problems() == []
    assert found(operator.get(LIST, {"conflict": "closed"})) == {"evt_1"}
    assert 'pw-conflicted">conflict<' not in read(operator, LIST)
    html = read(operator, page_of(conflict))
    assert "closed by root" in html
    assert "Refunded by hand." in html
    assert 'value="close_conflicts"' not in html
    assert LogEntry.objects.get().get_change_message() == "Conflicts closed: Refunded by hand."
    (entry,) = [each for each in door.read_entries([conflict], 9) if each.verb == door.CLOSED]
    assert (entry.by, entry.text) == ("root", "Refunded by hand.")


def test_the_same_conflict_is_one_however_often_it_is_sent(conflict, webhook):
    webhook(event_id="evt_1", charge_id="ch_1", amount="2.00", email="eve@example.com")
    assert door.count_open_conflicts() == 1


def test_what_differed_is_forgotten_with_the_body(operator, conflict):
    door.forget_differences(conflict)
    html = read(operator, page_of(conflict))
    assert "The difference is no longer known." in html
