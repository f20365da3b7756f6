"""Square: the address is signed, and what an event is depends on a status."""

import pytest

from django_payment_webhooks.providers import find_preset

from .contract import Contract


def event(number, event_type, **data):
    """Return an event with the fields of Square."""
    made = {"merchant_id": "M1", "type": event_type, "event_id": f"evt_{number}"}
    return {**made, "created_at": "2026-11-23T10:00:00.123Z", "data": {"object": data}}


MONEY = {"amount_money": {"amount": 1000, "currency": "USD"}}
PAYMENT = {"id": "pay_1", "order_id": "O1", "reference_id": "A1", **MONEY}
REFUND = {"id": "re_1", "payment_id": "pay_1", "order_id": "O2", **MONEY}
DISPUTE = {"id": "dp_1", "disputed_payment": {"payment_id": "pay_1"}, **MONEY}


def payment(number, status, event_type="payment.updated", **fields):
    """Return an event of a payment."""
    return event(number, event_type, payment={**PAYMENT, "status": status, **fields})


def refund(number, status, event_type="refund.updated"):
    """Return an event of a refund."""
    return event(number, event_type, refund={**REFUND, "status": status})


def dispute(number, state, event_type="dispute.state.updated"):
    """Return an event of a dispute."""
    return event(number, event_type, dispute={**DISPUTE, "state": state})


class TestSquare(Contract):
    options = {"URL": "https://shop.example/webhooks/payment/square"}
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            payment(1, "COMPLETED"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evt_1",
                "occurred_at": "2026-11-23T10:00:00.123000+00:00",
                "order_id": "A1",
                "payment_id": "pay_1",
                "money": "10.00 USD",
                "refund_id": None,
            },
        ),
        (payment(2, "APPROVED", "payment.created"), {"type": "payment.created"}),
        (payment(3, "CANCELED"), {"type": "charge.failed", "payment_id": "pay_1"}),
        (
            payment(4, "COMPLETED", reference_id=None),
            {"type": "charge.succeeded", "order_id": "O1"},
        ),
        # Its order is another one of Square's, not that of the payment.
        (
            refund(5, "COMPLETED"),
            {
                "type": "refund.created",
                "payment_id": "pay_1",
                "refund_id": "re_1",
                "order_id": "",
                "money": "10.00 USD",
            },
        ),
        (refund(6, "PENDING", "refund.created"), {"type": "refund.pending"}),
        (refund(7, "REJECTED"), {"type": "refund.failed"}),
        (
            dispute(8, "EVIDENCE_REQUIRED", "dispute.created"),
            {"type": "dispute.opened", "payment_id": "pay_1", "dispute_id": "dp_1"},
        ),
        (dispute(9, "WON"), {"type": "dispute.won", "dispute_id": "dp_1"}),
        (dispute(10, "LOST"), {"type": "dispute.lost"}),
        (dispute(11, "PROCESSING"), {"type": "dispute.state.updated"}),
    ]


@pytest.mark.parametrize(("currency", "money"), [("JPY", "1000 JPY"), ("KWD", "1.000 KWD")])
def test_amounts_have_the_decimals_of_their_currency(currency, money):
    provider = find_preset("square")("square", SECRETS=["x" * 32])
    payload = payment(1, "COMPLETED", amount_money={"amount": 1000, "currency": currency})
    assert str(provider.read_money(payload)) == money
