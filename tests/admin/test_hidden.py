"""What a payload says of a person is not shown."""

import pytest

from django_payment_webhooks.models import Event
from django_payment_webhooks.providers.redaction import redact_difference

from ..factories import EventFactory
from .browsing import page_of, read, read_payload


def test_fields_that_are_to_be_redacted_are_not_shown(operator, settings):
    data = {
        "Email": "ada@example.com",
        "card": {"cvc": 123, "last4": "4242"},
        "list": [{"IBAN": "DE00"}],
        "id": "x",
    }
    event = EventFactory(data=data)
    html = read_payload(operator, event)
    for text in ("ada@example.com", "DE00", ": 123"):
        assert text not in html
    assert "4242" in html
    assert html.count("[redacted]") == 3
    settings.PAYMENT_WEBHOOKS_REDACTED_FIELDS = ["last4"]
    html = read_payload(operator, event)
    assert "4242" not in html
    assert "DE00" in html


DIFFERENCE = "; ".join(
    [
        'data.amount was "1.00", here it is "2.00"',
        'data.email was "ada@example.com", here it is "a; b was c"',
        'data.Address.street was "Acacia Avenue", here it is missing',
        'data.items.0.iban was "DE00; x", here it is "DE01"',
        'data.note was "a; b", here it is "c"',
        "and 3 more.",
    ]
)


def test_of_a_difference_the_same_fields_are_not_shown(settings):
    text = redact_difference(DIFFERENCE)
    for secret in ("ada@", "Acacia", "DE00", "DE01"):
        assert secret not in text
    for kept in ('data.amount was "1.00", here it is "2.00"', "data.email differs [redacted]"):
        assert kept in text
    settings.PAYMENT_WEBHOOKS_REDACTED_FIELDS = []
    assert redact_difference(DIFFERENCE) == DIFFERENCE.replace("ada@example.com", "[redacted]")
    assert redact_difference("It says something else; what it was is pruned.").endswith("pruned.")


@pytest.mark.django_db(transaction=True)
def test_a_conflict_on_an_events_page_shows_what_differs_and_nothing_of_a_person(
    operator, history, webhook
):
    webhook(event_id="evt_1", charge_id="ch_1", amount="1.00", email="ada@example.com")
    webhook(event_id="evt_1", charge_id="ch_1", amount="2.00", email="eve@example.com")
    html = read(operator, page_of(Event.objects.get())).replace("&quot;", '"')
    assert 'data.amount was "1.00", here it is "2.00"' in html
    assert "data.email differs [redacted]" in html
    assert "@example.com" not in html
