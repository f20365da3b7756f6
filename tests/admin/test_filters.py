"""The list is filtered and searched, and never reads the whole table."""

import django
import pytest

from django_payment_webhooks.admin import EventAdmin
from django_payment_webhooks.models import Event

from ..doubles import recorded_statements
from ..factories import EventFactory
from .browsing import LIST, found, read


def test_the_list_is_filtered_by_status_provider_and_type(operator):
    EventFactory(provider_event_id="evt_1", status=Event.FAILED)
    EventFactory(provider_event_id="evt_2", status=Event.PROCESSED, provider="timed")
    EventFactory(provider_event_id="evt_3", status=Event.PROCESSED, type="refund.created")
    assert found(operator.get(LIST)) == {"evt_1", "evt_2", "evt_3"}
    assert found(operator.get(LIST, {"status__exact": "failed"})) == {"evt_1"}
    assert found(operator.get(LIST, {"status__exact": "processed"})) == {"evt_2", "evt_3"}
    assert found(operator.get(LIST, {"provider": "timed"})) == {"evt_2"}
    assert found(operator.get(LIST, {"type": "refund.created"})) == {"evt_3"}
    assert found(
        operator.get(LIST, {"type": "charge.succeeded", "status__exact": "processed"})
    ) == {"evt_2"}


@pytest.mark.parametrize(
    ("term", "ids"),
    [
        ("evt_1", {"evt_1"}),
        ("  evt_1 ", {"evt_1"}),
        ("evt_2", {"evt_2"}),
        ("A1", {"evt_1", "evt_10"}),
        ("A2", {"evt_2"}),
        # Neither a part of it, nor what only looks like it to a database.
        ("evt", set()),
        ("EVT_1", set()),
        ("evt_1%", set()),
        ("a1", set()),
        ("A", set()),
        ("nothing", set()),
        ("Übung \U0001f4b6 '\"", set()),
        ("", {"evt_1", "evt_10", "evt_2"}),
        ("   ", {"evt_1", "evt_10", "evt_2"}),
    ],
)
def test_the_search_finds_an_event_by_its_exact_id_or_its_orders_and_no_other(operator, term, ids):
    EventFactory(provider_event_id="evt_1", order_id="A1")
    EventFactory(provider_event_id="evt_10", order_id="A1")
    EventFactory(provider_event_id="evt_2", order_id="A2", provider="timed")
    assert found(operator.get(LIST, {"q": term})) == ids


def test_the_search_asks_for_the_keys_which_have_indexes(operator):
    with recorded_statements() as statements:
        operator.get(LIST, {"q": "evt_1"})
    conditions = [sql.partition(" WHERE ")[2] for sql in statements if Event._meta.db_table in sql]
    for key in ("dedup_key", "order_key"):
        assert any(key in condition for condition in conditions)
    assert not any(
        "dedup_key" in condition and "order_key" in condition for condition in conditions
    )
    assert not any(
        "provider_event_id" in condition or "order_id" in condition for condition in conditions
    )


def test_the_search_can_be_combined_with_a_filter(operator):
    EventFactory(provider_event_id="evt_1", status=Event.FAILED)
    EventFactory(provider_event_id="evt_2", status=Event.PROCESSED)
    assert found(operator.get(LIST, {"q": "A1", "status__exact": "failed"})) == {"evt_1"}


def test_the_search_finds_an_unparsed_event_by_the_id_that_it_was_given(operator, unparsed):
    EventFactory()
    assert found(operator.get(LIST, {"q": unparsed.provider_event_id})) == {
        unparsed.provider_event_id
    }


@pytest.mark.parametrize(
    "query",
    [{}, {"status__exact": "failed"}, {"q": "A1"}, {"provider": "timed"}, {"_facets": "True"}],
)
def test_the_list_counts_no_further_than_it_shows(operator, monkeypatch, query):
    monkeypatch.setattr("django_payment_webhooks.admin.filters.MAX_COUNT", 60)
    monkeypatch.setattr("django_payment_webhooks.admin.filters.PAGES_AHEAD", 0)
    EventFactory.create_batch(70, status=Event.FAILED, provider="timed")
    with recorded_statements() as statements:
        answer = operator.get(LIST, query, follow=True)
    assert answer.context["cl"].result_count == 60
    html = answer.content.decode()
    assert "60+ events" in html or "60+ results" in html
    assert answer.context["cl"].full_result_count is None
    counts = [sql for sql in statements if "COUNT(" in sql and Event._meta.db_table in sql]
    assert counts
    assert all("LIMIT 61" in sql for sql in counts)
    assert not [sql for sql in statements if "DISTINCT" in sql]


def test_the_filters_offer_what_the_settings_name_and_what_could_not_be_parsed(operator, unparsed):
    EventFactory(type="a.type.without.handler")
    html = read(operator, LIST)
    for text in ["provider=timed", "type=charge.succeeded", "type=dispute.opened", "unparsed"]:
        assert text in html
    assert "type=a.type.without.handler" not in html
    assert found(operator.get(LIST, {"type": ""})) == {unparsed.provider_event_id}
    assert found(operator.get(LIST, {"type": "a.type.without.handler"})) != set()


def test_every_event_can_be_paged_to_from_both_ends(operator, monkeypatch):
    monkeypatch.setattr("django_payment_webhooks.admin.filters.MAX_COUNT", 2)
    monkeypatch.setattr(EventAdmin, "list_per_page", 2)
    keys = [event.pk for event in EventFactory.create_batch(9)]
    first = int(django.VERSION >= (3, 2))  # pages were counted from 0
    for order, expected in (("", keys[::-1]), ("4", keys)):
        seen = []
        for page in range(first, first + 5):
            answer = operator.get(LIST, {"p": page, **({"o": order} if order else {})})
            seen += [event.pk for event in answer.context["cl"].result_list]
        assert seen == expected
    for page in ("x", "99999999999", "-1"):
        assert operator.get(LIST, {"p": page}).status_code in (200, 302)
