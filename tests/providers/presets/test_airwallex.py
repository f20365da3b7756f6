"""Airwallex: amounts in major units, and a refund that is settled in the end."""

from .contract import Contract


def event(number, name, **data):
    """Return an event with the fields of Airwallex."""
    made = {"id": f"evt_{number}", "name": name, "created_at": "2026-11-23T10:00:00+0000"}
    return {**made, "data": {"object": data}}


MONEY = {"amount": 10.5, "currency": "HKD"}
INTENT = {"id": "int_1", "merchant_order_id": "A1", **MONEY}
OF_INTENT = {"payment_intent_id": "int_1", **MONEY}


class TestAirwallex(Contract):
    secret = "whsec_of_airwallex"
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event(1, "payment_intent.succeeded", status="SUCCEEDED", **INTENT),
            {
                "type": "charge.succeeded",
                "provider_event_id": "evt_1",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "int_1",
                "money": "10.50 HKD",
            },
        ),
        # Less was captured than was asked for.
        (
            event(2, "payment_intent.succeeded", status="SUCCEEDED", captured_amount=5, **INTENT),
            {"type": "charge.succeeded", "money": "5.00 HKD"},
        ),
        (
            event(3, "payment_intent.requires_capture", captured_amount=0, **INTENT),
            {"type": "payment_intent.requires_capture"},
        ),
        (
            event(4, "payment_attempt.authorization_failed", id="att_1", **OF_INTENT),
            {"type": "charge.failed", "payment_id": "int_1"},
        ),
        (
            event(5, "refund.settled", id="rfd_1", **OF_INTENT),
            {"type": "refund.created", "payment_id": "int_1", "refund_id": "rfd_1"},
        ),
        # Its name in older versions of the API.
        (
            event(13, "refund.succeeded", id="rfd_1", **OF_INTENT),
            {"type": "refund.created", "refund_id": "rfd_1"},
        ),
        # Never its own id, which no other event names.
        (
            event(12, "refund.settled", id="rfd_1", **MONEY),
            {"payment_id": "", "refund_id": "rfd_1"},
        ),
        (event(6, "refund.received", id="rfd_1", **OF_INTENT), {"type": "refund.pending"}),
        (event(7, "refund.failed", id="rfd_1", **OF_INTENT), {"type": "refund.failed"}),
        (
            event(8, "payment_dispute.requires_response", id="dsp_1", **OF_INTENT),
            {"type": "dispute.opened", "payment_id": "int_1", "dispute_id": "dsp_1"},
        ),
        (event(9, "payment_dispute.won", id="dsp_1", **OF_INTENT), {"type": "dispute.won"}),
        (event(10, "payment_dispute.accepted", id="dsp_1", **OF_INTENT), {"type": "dispute.lost"}),
        (
            event(11, "payment_dispute.challenged", id="dsp_1", **OF_INTENT),
            {"type": "payment_dispute.challenged"},
        ),
    ]
