"""PayMongo, live: what is signed for test mode pays nothing."""

import pytest

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import find_preset
from django_payment_webhooks.providers.sending import compose, make_values, sign_webhook

from .contract import Contract


def event(number, event_type, resource_id, **attributes):
    """Return an event with the fields of PayMongo."""
    resource = {"id": resource_id, "attributes": {"currency": "PHP", **attributes}}
    made = {"type": event_type, "livemode": True, "created_at": 1700000000, "data": resource}
    return {"data": {"id": f"evt_{number}", "type": "event", "attributes": made}}


PAYMENT = {"amount": 10000, "metadata": {"order_id": "A1"}}
EVENTS = [
    (
        event(1, "payment.paid", "pay_1", status="paid", **PAYMENT),
        {
            "type": "charge.succeeded",
            "provider_event_id": "evt_1",
            "occurred_at": "2023-11-14T22:13:20+00:00",
            "order_id": "A1",
            "payment_id": "pay_1",
            "money": "100.00 PHP",
        },
    ),
    (event(2, "payment.failed", "pay_2", status="failed", **PAYMENT), {"type": "charge.failed"}),
    (
        event(
            3, "payment.refund.updated", "ref_1", amount=500, payment_id="pay_1", status="succeeded"
        ),
        {
            "type": "refund.created",
            "payment_id": "pay_1",
            "refund_id": "ref_1",
            "money": "5.00 PHP",
        },
    ),
    (
        event(4, "payment.refund.updated", "ref_1", payment_id="pay_1", status="pending"),
        {"type": "refund.pending"},
    ),
    (
        event(5, "payment.refund.updated", "ref_1", payment_id="pay_1", status="failed"),
        {"type": "refund.failed"},
    ),
    # The payment, without how much was refunded.
    (event(6, "payment.refunded", "pay_1", **PAYMENT), {"type": "payment.refunded"}),
    (
        event(
            7,
            "checkout_session.payment.paid",
            "cs_1",
            reference_number="A2",
            payments=[{"id": "pay_7", "attributes": {"amount": 700, "currency": "PHP"}}],
        ),
        {"type": "charge.succeeded", "payment_id": "pay_7", "order_id": "A2"},
    ),
]


class TestPayMongo(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = EVENTS


@pytest.mark.parametrize(
    ("sender", "receiver"), [("paymongo", "paymongo_test"), ("paymongo_test", "paymongo")]
)
def test_a_webhook_of_one_mode_proves_nothing_in_the_other(sender, receiver):
    secrets = [TestPayMongo.secret]
    provider = find_preset(sender)("made", SECRETS=secrets)
    webhook = sign_webhook(provider, compose(provider, make_values(provider, "charge.succeeded")))
    assert provider.verify(webhook.meta, webhook.body)
    with pytest.raises(WebhookRefused) as raised:
        find_preset(receiver)("made", SECRETS=secrets).verify(webhook.meta, webhook.body)
    assert raised.value.status == 401
