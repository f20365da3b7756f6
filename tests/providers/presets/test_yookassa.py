"""YooKassa proves nothing: who sends is checked by address, what is said by asking."""

import pytest

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import find_preset

from .contract import Contract


def event(event_type, status, **fields):
    """Return an event with the fields of YooKassa."""
    amount = {"value": "2.00", "currency": "RUB"}
    made = {"id": "22d6", "status": status, "amount": amount, "metadata": {"order_id": "A1"}}
    made["created_at"] = "2026-11-23T10:00:00.000Z"
    return {"type": "notification", "event": event_type, "object": {**made, **fields}}


def fetch(event):
    """Return what YooKassa says about an event."""
    return event.payload


class TestYooKassa(Contract):
    options = {"CONFIRM": f"{__name__}.fetch"}
    events = [
        (
            event("payment.succeeded", "succeeded"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "payment.succeeded:22d6",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "22d6",
                "money": "2.00 RUB",
            },
        ),
        # Of the same object, and another event.
        (
            event("payment.waiting_for_capture", "waiting_for_capture"),
            {"type": "payment.waiting_for_capture", "payment_id": "22d6"},
        ),
        (
            event("refund.succeeded", "succeeded", id="r1", payment_id="22d6", metadata={}),
            {"type": "refund.created", "payment_id": "22d6", "refund_id": "r1", "order_id": ""},
        ),
        (event("payment.canceled", "canceled"), {"type": "charge.failed"}),
    ]


@pytest.mark.parametrize(
    ("proxies", "meta", "is_accepted"),
    [
        (0, {"REMOTE_ADDR": "185.71.76.1"}, True),
        (0, {"REMOTE_ADDR": "2a02:5180::1"}, True),
        (0, {"REMOTE_ADDR": "::ffff:185.71.76.1"}, True),
        (0, {"REMOTE_ADDR": "10.0.0.1"}, False),
        (0, {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "185.71.76.1"}, False),
        (1, {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "185.71.76.1"}, True),
        (1, {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "185.71.76.1, 6.6.6.6"}, False),
        (1, {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "6.6.6.6, 185.71.76.1"}, True),
        (2, {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "185.71.76.1"}, False),
        (1, {"REMOTE_ADDR": "10.0.0.1"}, False),
        (1, {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "unknown"}, False),
        (1, {}, False),
        (None, {}, True),
    ],
)
def test_the_address_is_that_which_the_trusted_proxies_saw(proxies, meta, is_accepted):
    provider = find_preset("yookassa")("yookassa", TRUSTED_PROXIES=proxies)
    if is_accepted:
        assert provider.verify(meta, b"{}") == "unproved"
        return
    with pytest.raises(WebhookRefused) as raised:
        provider.verify(meta, b"{}")
    assert (raised.value.status, raised.value.reason) == (401, "address")
