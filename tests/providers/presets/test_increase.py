"""Increase: an event names an object, and says nothing of it."""

import base64

from .contract import Contract


def event(number, category, **fields):
    """Return an event with the fields of Increase."""
    made = {"id": f"event_{number}", "category": category, "type": "event", **fields}
    kind = category.rpartition(".")[0]
    named = {"associated_object_id": f"{kind}_1", "associated_object_type": kind}
    return {**made, **named, "created_at": "2026-11-23T10:00:00Z"}


class TestIncrease(Contract):
    secret = "whsec_" + base64.b64encode(bytes(range(24))).decode()
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event(1, "ach_transfer.updated"),
            {
                "type": "ach_transfer.updated",
                "provider_event_id": "event_1",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "payment_id": "ach_transfer_1",
                "order_id": "",
                "money": "",
            },
        ),
        # What a function of the host's has added.
        (
            event(2, "transaction.created", object={"amount": 1000, "currency": "USD"}),
            {"type": "transaction.created", "money": "10.00 USD"},
        ),
        (event(3, "account.created"), {"type": "account.created"}),
    ]
