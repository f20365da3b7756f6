"""Stripe: charges, refunds and disputes that name their payment, and money in minor units."""

import pytest

from django_payment_webhooks.providers import find_preset

from .contract import Contract


def event(number, event_type, **data):
    """Return an event with the fields of Stripe."""
    event = {"id": f"evt_{number}", "object": "event", "type": event_type, "created": 1700000000}
    return {**event, "pending_webhooks": 1, "data": {"object": data}}


CHARGE = {"id": "ch_1", "amount": 2000, "currency": "usd", "payment_intent": "pi_1"}
REFUND = {"id": "re_1", "amount": 500, "currency": "usd", "payment_intent": "pi_1"}
DISPUTE = {"id": "dp_1", "amount": 2000, "currency": "usd", "charge": "ch_1"}
DISPUTE["payment_intent"] = "pi_1"
INTENT = {"id": "pi_1", "amount": 2000, "amount_received": 2000, "currency": "usd"}


class TestStripe(Contract):
    secret = "whsec_of_stripe_of_the_made_shop"
    events = [
        (
            event(1, "payment_intent.succeeded", metadata={"order_id": "A1"}, **INTENT),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evt_1",
                "occurred_at": "2023-11-14T22:13:20+00:00",
                "order_id": "A1",
                "payment_id": "pi_1",
                "money": "20.00 USD",
            },
        ),
        (
            event(2, "charge.succeeded", captured=True, amount_captured=2000, **CHARGE),
            {"type": "charge.succeeded", "payment_id": "pi_1", "order_id": ""},
        ),
        (
            event(3, "charge.succeeded", captured=False, amount_captured=0, **CHARGE),
            {"type": "unmapped:charge.succeeded", "payment_id": "pi_1"},
        ),
        (
            event(4, "checkout.session.completed", payment_status="unpaid", id="cs_1"),
            {"type": "checkout.session.completed"},
        ),
        (
            event(
                5,
                "checkout.session.completed",
                id="cs_1",
                payment_status="paid",
                payment_intent="pi_1",
                amount_total=2000,
                currency="usd",
                client_reference_id="A1",
            ),
            {"type": "charge.succeeded", "payment_id": "pi_1", "order_id": "A1"},
        ),
        (
            event(6, "refund.created", status="succeeded", **REFUND),
            {
                "type": "refund.created",
                "payment_id": "pi_1",
                "refund_id": "re_1",
                "money": "5.00 USD",
            },
        ),
        (event(7, "refund.created", status="pending", **REFUND), {"type": "refund.pending"}),
        (event(8, "refund.updated", status="failed", **REFUND), {"type": "refund.failed"}),
        (
            event(
                9,
                "charge.refunded",
                refunds={"object": "list", "data": [REFUND]},
                amount_refunded=500,
                **CHARGE,
            ),
            {"type": "refund.created", "refund_id": "re_1", "money": "5.00 USD"},
        ),
        (event(10, "charge.refunded", amount_refunded=500, **CHARGE), {"type": "charge.refunded"}),
        (
            event(11, "charge.dispute.created", status="needs_response", **DISPUTE),
            {"type": "dispute.opened", "payment_id": "pi_1", "dispute_id": "dp_1"},
        ),
        # The bank has yet to send it.
        (
            event(
                14,
                "charge.refunded",
                refunds={"object": "list", "data": [dict(REFUND, status="pending")]},
                **CHARGE,
            ),
            {"type": "charge.refunded"},
        ),
        (
            event(15, "charge.succeeded", captured=True, **CHARGE),
            {"type": "charge.succeeded", "money": "20.00 USD"},
        ),
        (
            event(16, "checkout.session.async_payment_failed", id="cs_1", payment_intent="pi_1"),
            {"type": "charge.failed", "payment_id": "pi_1"},
        ),
        (event(12, "charge.dispute.closed", status="won", **DISPUTE), {"type": "dispute.won"}),
        (event(13, "charge.dispute.closed", status="lost", **DISPUTE), {"type": "dispute.lost"}),
    ]
    ignored = {"pending_webhooks": 7}


@pytest.mark.parametrize(
    ("amount", "currency", "money"),
    [(2000, "jpy", "2000 JPY"), (2000, "kwd", "2.000 KWD"), (2000, "isk", "20.00 ISK")],
)
def test_amounts_have_the_decimals_that_stripe_gives_them(amount, currency, money):
    provider = find_preset("stripe")("stripe", SECRETS=["x" * 32])
    intent = {**INTENT, "amount_received": amount, "currency": currency}
    payload = event(1, "payment_intent.succeeded", **intent)
    assert str(provider.read_money(payload)) == money
