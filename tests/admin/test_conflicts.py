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
    assert read_problems()[0].startswith("1 event has an open conflict: ")
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


def test_a_further_conflict_of_a_closed_one_is_open_again(operator, conflict, webhook):
    operate(operator, "close_conflicts", conflict, reason="Refunded by hand.")
    webhook(event_id="evt_1", charge_id="ch_1", amount="3.00", email="eve@example.com")
    assert found(operator.get(LIST, {"conflict": "open"})) == {"evt_1"}
    assert read_problems()[0].startswith("1 event has an open conflict: ")
    html = read(operator, page_of(conflict)).replace("&quot;", '"')
    assert '<td>"1.00"</td><td>"3.00"</td>' in html
    assert "closed by root" in html and 'value="close_conflicts"' in html
    operate(operator, "close_conflicts", conflict, reason="This one, too.")
    html = read(operator, page_of(conflict))
    assert "Refunded by hand." in html and "This one, too." in html


def test_events_with_several_conflicts_are_counted_once(conflict, webhook):
    webhook(event_id="evt_1", charge_id="ch_1", amount="3.00", email="eve@example.com")
    webhook(event_id="evt_1", charge_id="ch_1", amount="4.00", email="eve@example.com")
    assert door.count_open_conflicts() == 1


def test_nested_long_and_hidden_values_are_compared_one_by_one(operator, history, webhook):
    first = {"lines": [{"sku": "a", "n": 1}], "note": "x" * 5000, "card": {"number": "4111"}}
    later = {"lines": [{"sku": "a", "n": 2}], "note": "y" * 5000, "card": {"number": "4222"}}
    webhook(event_id="evt_1", charge_id="ch_1", **first)
    webhook(event_id="evt_1", charge_id="ch_1", **later)
    html = read(operator, page_of(Event.objects.get()))
    rows = html.partition('class="pw-table">')[2].partition("</table>")[0]
    assert rows.count('<th scope="row">') == 3
    assert "lines" in rows and "<td>1</td><td>2</td>" in rows
    assert len(rows) < 3000
    assert "4111" not in rows and "4222" not in rows
