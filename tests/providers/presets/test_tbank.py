"""T-Bank: the token is in the body, and the state of a payment is its event."""

import pytest

from django_payment_webhooks.providers import find_preset

from .contract import Contract


def notification(status, amount=100000, **fields):
    """Return a notification with the fields of T-Bank."""
    made = {"TerminalKey": "Shop", "OrderId": "A1", "Success": True, "Status": status}
    return {**made, "PaymentId": 13660, "Amount": amount, "ErrorCode": "0", **fields}


class TestTBank(Contract):
    secret = "usaf8fw8fsw21g"
    events = [
        (
            notification("CONFIRMED"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "13660:CONFIRMED:100000",
                "order_id": "A1",
                "payment_id": "13660",
                "money": "1000.00 RUB",
                "refund_id": None,
            },
        ),
        (notification("AUTHORIZED"), {"type": "AUTHORIZED", "payment_id": "13660"}),
        (notification("REJECTED", Success=False), {"type": "charge.failed"}),
        (
            notification("PARTIAL_REFUNDED", 30000),
            {
                "type": "refund.created",
                "refund_id": "13660:PARTIAL_REFUNDED:30000",
                "money": "300.00 RUB",
            },
        ),
        (notification("PARTIAL_REFUNDED", 20000), {"type": "refund.created"}),
        (notification("REFUNDED"), {"type": "refund.created", "payment_id": "13660"}),
    ]


@pytest.mark.parametrize("change", [{"Amount": 1}, {"Success": False}, {"Extra": "1"}])
def test_every_value_of_the_root_is_signed(change):
    provider = find_preset("tbank")("tbank", SECRETS=[TestTBank.secret])
    body = provider.encode(notification("CONFIRMED"))
    key = TestTBank.secret.encode()
    changed = provider.encode({**notification("CONFIRMED"), **change})
    assert provider.sign(key, {}, body) != provider.sign(key, {}, changed)
