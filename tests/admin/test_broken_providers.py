"""A provider whose entry is wrong or gone stops nothing else, and every page says what is wrong."""

import pytest

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.dry_run import dry_run
from django_payment_webhooks.receiving import receive_events

from ..factories import EventFactory
from .browsing import LIST, found, messages_of, page_of, read, read_payload, replay, row_of

WRONG = {
    "deleted": None,
    "unknown option": {"SECRETS": ["a-secret-of-a-wrong-provider"], "NO_SUCH_OPTION": 1},
    "no such backend": {"BACKEND": "no.such.module.Provider"},
    "no such preset": {"PRESET": "no_such_preset"},
    "wrong type": {"BACKEND": "builtins.int"},
}


@pytest.fixture(params=sorted(WRONG))
def broken(request, settings, db):
    """Have a provider broken whose events are there already. Returns what its pages say."""
    receive_events(get_provider("timed"), {}, b"{not JSON", "by-test")
    options = WRONG[request.param]
    others = {"default": settings.PAYMENT_WEBHOOKS_PROVIDERS["default"]}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = (
        dict(others, timed=options) if options is not None else others
    )
    return "Provider timed can&#x27;t be loaded: "


def test_every_page_opens_and_says_what_is_wrong(operator, history, broken):
    event = EventFactory(provider="timed", provider_event_id="evt_1", payment_id="pay_1")
    for each in (event, Event.objects.get(type="")):
        for html in (read(operator, page_of(each)), read_payload(operator, each)):
            assert broken in html.replace("&#39;", "&#x27;")
            assert "PAYMENT_WEBHOOKS_PROVIDERS" in html
    assert "A1" in read_payload(operator, event)
    assert broken in read(operator, LIST).replace("&#39;", "&#x27;")
    assert "provider=timed" in read(operator, LIST)
    assert "evt_1" in found(operator.get(LIST, {"provider": "timed"}))
    for term in ("evt_1", "A1"):
        assert found(operator.get(LIST, {"q": term})) == {"evt_1"}
    for query in ({"overview": 24}, {"causes": 1}):
        assert operator.get(LIST, query).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_replay_of_many_goes_on_with_the_rest(operator, published, broken):
    unparsed = Event.objects.get(type="")
    good = EventFactory(status=Event.FAILED, due_at=None)
    published()
    texts = dict(messages_of(replay(operator, unparsed, good)))
    assert texts["success"] == "1 event is due again."
    assert "Provider timed can't be loaded" in texts["error"]
    assert ".." not in texts["error"]
    assert row_of(unparsed)["status"] == Event.FAILED
    assert published() == [good.pk]
    data = {"action": "dry_run_events", "_selected_action": [unparsed.pk, good.pk]}
    html = operator.post(LIST, data).content.decode()
    assert html.count("→") == 2


def test_an_event_of_it_is_tried_again_until_the_settings_are_right(
    settings, run_due, broken, order
):
    event = EventFactory(provider="timed", attempts=24)
    assert dry_run(event).outcome == "retried"
    run_due()
    row = row_of(event)
    assert (row["status"], row["attempts"]) == (Event.RECEIVED, 24)
    assert row["error"].startswith("Provider timed can't be loaded: ")


class Nothing:
    """What is no provider at all."""

    def __init__(self, **options):
        pass


def test_a_backend_that_makes_no_provider_does_not_stop_the_search(operator, settings):
    event = EventFactory(provider_event_id="evt_1", order_id="A1")
    backend = f"{__name__}.Nothing"
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        **settings.PAYMENT_WEBHOOKS_PROVIDERS,
        "odd": {"BACKEND": backend, "SECRETS": ["a secret of the partner"]},
    }
    for term in ("evt_1", "A1", "pay_1"):
        assert operator.get(LIST, {"q": term}).status_code == 200
    assert event.provider_event_id in read(operator, LIST, q="evt_1")
