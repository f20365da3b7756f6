"""Every provider keeps the same contract, however it signs and wherever it puts what."""

import datetime
import time

import pytest

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers.bodies import unfold

from .samples import SAMPLES

MOMENT = datetime.datetime(2026, 11, 23, 10, 0, 0, tzinfo=datetime.timezone.utc)


def test_a_genuine_event_is_stored_and_enqueued(order, sample, send, published):
    answer = send()
    event = Event.objects.get()
    assert answer.status_code == 200
    assert (event.provider, event.provider_event_id, event.type) == (
        sample.name,
        "evt_1",
        "charge.succeeded",
    )
    assert (event.order_id, event.occurred_at) == ("A1", MOMENT)
    assert (event.data["charge_id"], event.data["amount"], event.data["currency"]) == (
        "ch_1",
        "10.00",
        "EUR",
    )
    assert len(event.verified_by) == 12
    assert published() == [event.pk]


def test_it_pays_the_order(order, send, run_due, shop_state):
    send()
    run_due()
    assert shop_state()["orders"] == {"A1": "paid"}
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_the_answer_is_what_the_provider_reads(transactional_db, sample, send):
    first, second = send(), send()
    assert (first.status_code, second.status_code) == (200, 200)
    if sample.is_json_answer:
        assert first.json() == {"status": "accepted", "event_id": "evt_1"}
        assert second.json() == {"status": "duplicate", "event_id": "evt_1"}
    else:
        assert first.content == second.content == b"[accepted]"
        assert first["Content-Type"].startswith("text/plain")
    assert Event.objects.count() == 1


def test_a_body_that_was_tampered_with_is_refused_and_leaves_no_trace(db, sample, send, published):
    for tampered in (sample.body("evt_2", "ch_2") + b" ", sample.body("evt_1", "ch_2"), b"{}"):
        headers = sample.headers("evt_1", sample.body("evt_1"), int(time.time()))
        assert send(body=tampered, **headers).status_code == 401
    assert not Event.objects.exists()
    assert published() == []


def test_a_signature_that_was_tampered_with_is_refused(db, sample, send, published):
    headers = sample.headers("evt_1", sample.body("evt_1"), int(time.time()))
    for name, value in headers.items():
        for tampered in ("", value[:-1], value[::-1], value.swapcase() + "x", value + "1"):
            assert send(**{name: tampered}).status_code == 401
    assert not Event.objects.exists()
    assert published() == []


def test_the_signature_of_another_provider_is_refused(db, sample, send, published):
    for other in SAMPLES:
        if other.name != sample.name:
            headers = other.headers("evt_1", sample.body("evt_1"), int(time.time()))
            own = dict.fromkeys(sample.headers("evt_1", b"", 0), "")
            assert send(**dict(own, **headers)).status_code == 401
    assert not Event.objects.exists()
    assert published() == []


@pytest.mark.parametrize("seconds", [-86400, 86400])
def test_a_webhook_that_is_repeated_much_later_is_refused_if_its_time_is_signed(
    transactional_db, sample, send, seconds
):
    assert send(seconds=seconds).status_code == (401 if sample.has_time else 200)
    assert Event.objects.count() == (0 if sample.has_time else 1)


def test_two_events_are_two_events_and_the_first_again_is_a_duplicate(transactional_db, send):
    for event_id in ("evt_1", "evt_2", "evt_1"):
        assert send(event_id).status_code == 200
    assert sorted(Event.objects.values_list("provider_event_id", flat=True)) == ["evt_1", "evt_2"]


@pytest.mark.parametrize(
    "body", [b"[]", b"not json", b"\xff", b'{"items": {}}', b'{"items": [{"event": 1}]}']
)
def test_a_genuine_body_that_can_not_be_parsed_is_kept_as_failed(
    transactional_db, sample, send, published, body
):
    answer = send(body=body)
    event = Event.objects.get()
    assert answer.status_code == get_provider(sample.name).parse_error_status
    assert (event.status, event.type, unfold(bytes(event.body))[1]) == (Event.FAILED, "", body)
    assert event.provider_event_id.startswith("unparsed:")
    assert event.error
    assert published() == []


def test_without_a_secret_nothing_is_accepted(db, sample, send, settings, published):
    providers = settings.PAYMENT_WEBHOOKS_PROVIDERS
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {sample.name: dict(providers[sample.name], SECRETS=[""])}
    assert send().status_code == 503
    assert not Event.objects.exists()
    assert published() == []


def test_no_secret_is_shown_by_the_provider_or_its_answers(transactional_db, sample, send):
    provider = get_provider(sample.name)
    shown = (
        repr(provider) + str(provider) + send().content.decode() + send(body=b"{}").content.decode()
    )
    for secret in provider.secrets:
        assert secret not in shown
