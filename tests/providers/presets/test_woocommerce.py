"""WooCommerce: an order in a state, and a form that only asks whether the shop is there."""

import pytest

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.models import Event
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
def ask(transactional_db, settings, post, published):
    """Post a form, and return the status of the answer and how many events are stored."""
    options = {"PRESET": "woocommerce", "SECRETS": [TestWooCommerce.secret]}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"made": options}

    def ask(body):
        answer = post(body, "made", "application/x-www-form-urlencoded")
        return answer.status_code, Event.objects.count()

    return ask


def test_the_ping_of_a_new_webhook_is_answered_and_nothing_happens(ask):
    assert ask("webhook_id=7") == (200, 0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("webhook_id=", 401),
        ("webhook_id=7&id=1", 401),
        ("webhook_id=x", 401),
        ("webhook_id=7\n", 401),
        ('{"id":1}', 401),
    ],
)
def test_no_other_body_without_a_signature_is_answered(ask, body, status):
    assert ask(body) == (status, 0)


def test_a_deleted_order_does_not_switch_the_webhook_off():
    provider = find_preset("woocommerce")("made", SECRETS=[TestWooCommerce.secret])
    (event,) = provider.parse({}, b'{"id": 115}')
    with pytest.raises(WebhookRefused) as raised:
        provider.answer([event])
    assert raised.value.status == 200
