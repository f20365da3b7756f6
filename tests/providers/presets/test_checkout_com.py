"""Checkout.com: a refund is an action of its payment, and a dispute names the payment."""

import pytest

from django_payment_webhooks.providers import find_preset

from .contract import Contract


def event(number, event_type, **data):
    """Return an event with the fields of Checkout.com."""
    made = {"id": f"evt_{number}", "type": event_type, "created_on": "2026-11-23T10:00:00Z"}
    return {**made, "data": data}


PAYMENT = {"id": "pay_1", "action_id": "act_1", "amount": 1000, "currency": "EUR"}
PAYMENT["reference"] = "A1"
DISPUTE = {"id": "dsp_1", "payment_id": "pay_1", "amount": 1000, "currency": "EUR"}


class TestCheckoutCom(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event(1, "payment_captured", **PAYMENT),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evt_1",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "pay_1",
                "money": "10.00 EUR",
                "refund_id": None,
            },
        ),
        # It is only authorized.
        (event(2, "payment_approved", **PAYMENT), {"type": "payment_approved"}),
        (event(3, "payment_declined", **PAYMENT), {"type": "charge.failed"}),
        (
            event(4, "payment_refunded", **{**PAYMENT, "action_id": "act_2", "amount": 400}),
            {
                "type": "refund.created",
                "payment_id": "pay_1",
                "refund_id": "act_2",
                "money": "4.00 EUR",
            },
        ),
        (event(5, "payment_refund_pending", **PAYMENT), {"type": "refund.pending"}),
        (event(6, "payment_refund_declined", **PAYMENT), {"type": "refund.failed"}),
        (
            event(7, "dispute_received", payment_reference="A1", **DISPUTE),
            {
                "type": "dispute.opened",
                "payment_id": "pay_1",
                "dispute_id": "dsp_1",
                "order_id": "A1",
            },
        ),
        (event(8, "dispute_won", **DISPUTE), {"type": "dispute.won", "payment_id": "pay_1"}),
        (event(9, "dispute_lost", **DISPUTE), {"type": "dispute.lost", "dispute_id": "dsp_1"}),
        (
            event(10, "dispute_evidence_submitted", **DISPUTE),
            {"type": "dispute_evidence_submitted", "payment_id": "pay_1", "dispute_id": "dsp_1"},
        ),
    ]


@pytest.mark.parametrize(
    ("currency", "money"), [("CLP", "10.00 CLP"), ("JPY", "1000 JPY"), ("BHD", "1.000 BHD")]
)
def test_amounts_have_the_decimals_that_checkout_com_gives_them(currency, money):
    provider = find_preset("checkout_com")("checkout", SECRETS=["x" * 32])
    payload = event(1, "payment_captured", **{**PAYMENT, "currency": currency})
    assert str(provider.read_money(payload)) == money
