"""Wise: one public key for everybody, and events that no order knows."""

import pytest

from django_payment_webhooks.models import Event
from django_payment_webhooks.providers import find_preset

from .contract import Contract, load_vectors
from .test_paypal import PRIVATE, PUBLIC


def event(event_type, **data):
    """Return an event with the fields of Wise."""
    made = {"occurred_at": "2026-11-23T10:00:00Z", **data}
    made["resource"] = {"id": 111, "profile_id": 222, "type": "transfer"}
    return {"event_type": event_type, "subscription_id": "s1", "sent_at": "x", "data": made}


class TestWise(Contract):
    secret = PUBLIC
    options = {"SIGNING_KEY": PRIVATE}
    ignored = {"subscription_id": "s2", "sent_at": "y"}
    events = [
        (
            event("transfers#state-change", current_state="processing"),
            {
                "type": "transfers#state-change",
                "provider_event_id": "transfers#state-change:111:processing:2026-11-23T10:00:00Z:",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "payment_id": "111",
                "order_id": "",
                "money": "",
            },
        ),
        (
            event("transfers#state-change", current_state="outgoing_payment_sent"),
            {"type": "transfers#state-change", "payment_id": "111"},
        ),
        (
            event("balances#credit", amount=1.23, currency="EUR"),
            {"type": "balances#credit", "money": "1.23 EUR"},
        ),
    ]

    def test_a_webhook_is_stored_once_and_answered_as_the_provider_wants(
        self, transactional_db, installed, post, published, make
    ):
        installed.pop("SIGNING_KEY")
        provider = make()
        body = provider.encode(self.events[0][0])
        signature = provider.sign(PUBLIC.encode(), {}, body)
        for _ in range(2):
            answer = post(body, "made", HTTP_X_SIGNATURE_SHA256=signature)
            assert answer.status_code == 200
        assert Event.objects.get().type == "transfers#state-change"


def test_the_key_of_the_production_is_known():
    provider = find_preset("wise")("made")
    assert len(provider.keys()) == 1
    (vector,) = [each for each in load_vectors("wise") if each["expect_valid"]]
    assert provider.keys() != [vector["secret"].encode()]


@pytest.mark.parametrize("secret", ["", "no key", "-----BEGIN PUBLIC KEY-----\nx\n-----END"])
def test_what_is_no_key_is_none(secret):
    assert find_preset("wise")("made", SECRETS=[secret]).keys() == []
