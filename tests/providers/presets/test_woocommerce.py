"""WooCommerce: an order in a state, and a form that only asks whether somebody is there."""

import pytest
from django.test import RequestFactory

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import find_preset

from .contract import Contract


def order(status, paid="2026-11-23T10:00:00", **fields):
    """Return an order with the fields of WooCommerce."""
    made = {"id": 115, "order_key": "wc_order_1", "currency": "EUR", "total": "50.00"}
    made.update(transaction_id="", date_modified_gmt="2026-11-23T10:00:01", refunds=[])
    return {**made, "status": status, "date_paid_gmt": paid, **fields}


class TestWooCommerce(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            order("completed"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "115:completed:2026-11-23T10:00:01:2026-11-23T10:00:00",
                "occurred_at": "2026-11-23T10:00:01+00:00",
                "order_id": "115",
                "payment_id": "wc_order_1",
                "money": "50.00 EUR",
                "refund_id": None,
            },
        ),
        # Another state in the same second.
        (
            order("processing", transaction_id="ch_1"),
            {"type": "charge.succeeded", "payment_id": "ch_1"},
        ),
        # Another order in the same second.
        (order("completed", id=116), {"type": "charge.succeeded", "order_id": "116"}),
        # Completed by hand, and paid within the second.
        (
            order("completed", None),
            {"type": "order.completed", "provider_event_id": "115:completed:2026-11-23T10:00:01:"},
        ),
        # Completed by hand, and never paid.
        (order("completed", None, id=117), {"type": "order.completed", "order_id": "117"}),
        (order("pending", None), {"type": "order.pending"}),
        (order("failed", None), {"type": "charge.failed"}),
        (
            order(
                "completed",
                date_modified_gmt="2026-11-24T10:00:00",
                refunds=[{"id": 9, "total": "-2.50"}],
            ),
            {"type": "refund.created", "refund_id": 9, "money": "2.50 EUR", "order_id": "115"},
        ),
        # The latest refund is the first.
        (
            order("refunded", refunds=[{"id": 10, "total": "-47.50"}, {"id": 9, "total": "-2.50"}]),
            {"type": "refund.created", "refund_id": 10, "money": "47.50 EUR"},
        ),
    ]


@pytest.fixture
def provider():
    """The provider."""
    return find_preset("woocommerce")("made", SECRETS=[TestWooCommerce.secret])


def request(body, **extra):
    """Return a request with a form."""
    return RequestFactory().post("/", body, "application/x-www-form-urlencoded", **extra)


def test_the_ping_of_a_new_webhook_is_answered(provider):
    assert provider.ping(request("webhook_id=7")).status_code == 200


@pytest.mark.parametrize(
    "body", ["", "webhook_id=", "webhook_id=7&id=1", '{"id":1}', "webhook_id=x"]
)
def test_no_other_body_without_a_signature_is_answered(provider, body):
    with pytest.raises(WebhookRefused):
        provider.ping(request(body))


def test_a_webhook_with_a_signature_is_no_ping_and_its_body_is_not_read(provider):
    webhook = request("webhook_id=7", HTTP_X_WC_WEBHOOK_SIGNATURE="made")
    assert provider.ping(webhook) is None
    assert webhook.read() == b"webhook_id=7"


@pytest.mark.parametrize("method", ["get", "put"])
def test_other_methods_are_no_ping(provider, method):
    assert provider.ping(getattr(RequestFactory(), method)("/")) is None


def test_a_deleted_order_does_not_switch_the_webhook_off(provider):
    (event,) = provider.parse({}, b'{"id": 115}')
    with pytest.raises(WebhookRefused) as raised:
        provider.answer([event])
    assert raised.value.status == 200
