"""CloudPayments: what a notification is about stands in its body, if one knows where."""

from urllib.parse import urlencode

import pytest

from django_payment_webhooks.providers import find_preset

from .contract import Contract


def form(**fields):
    """Return a notification with the fields of CloudPayments."""
    made = {"TransactionId": 666, "Amount": "123.00", "DateTime": "2026-11-23 10:00:00"}
    return urlencode({**made, **fields})


PAY = {"Currency": "RUB", "InvoiceId": "A1", "OperationType": "Payment"}


class TestCloudPayments(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            form(Status="Completed", **PAY),
            {
                "type": "charge.succeeded",
                "provider_event_id": "666:Payment:Completed",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "666",
                "money": "123.00 RUB",
                "refund_id": None,
            },
        ),
        # The first of two stages: no money has moved.
        (form(Status="Authorized", **PAY), {"type": "Payment", "payment_id": "666"}),
        # The code 0 is no reason to fail.
        (
            form(TransactionId=667, Status="Authorized", ReasonCode="0", **PAY),
            {"type": "Payment", "payment_id": "667"},
        ),
        # A confirmation says no OperationType; nor did payments, once.
        (
            form(Status="Completed", Currency="RUB", InvoiceId="A1"),
            {"type": "charge.succeeded", "provider_event_id": "666::Completed"},
        ),
        (
            form(Status="Completed", OperationType="CardPayout", Currency="RUB"),
            {"type": "CardPayout"},
        ),
        (form(ReasonCode="5051", **PAY), {"type": "charge.failed", "order_id": "A1"}),
        (
            form(TransactionId=668, Status="Declined", ReasonCode="6001", **PAY),
            {"type": "charge.failed"},
        ),
        (
            form(TransactionId=777, PaymentTransactionId=666, OperationType="Refund", Amount="2.5"),
            {
                "type": "refund.created",
                "payment_id": "666",
                "refund_id": "777",
                "order_id": "",
                "money": "2.50 RUB",
            },
        ),
        (form(InvoiceId="A1"), {"type": "charge.failed", "provider_event_id": "666::"}),
        (
            "Id=sc_1&Status=Active&SuccessfulTransactionsNumber=2&FailedTransactionsNumber=0",
            {"type": "Active", "provider_event_id": "sc_1:Active:2:0"},
        ),
    ]


def test_the_answer_is_the_code_0(transactional_db, settings, post, published):
    provider = find_preset("cloudpayments")("made", SECRETS=[TestCloudPayments.secret])
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "made": {"PRESET": "cloudpayments", "SECRETS": [TestCloudPayments.secret]}
    }
    body = form(Status="Completed", **PAY).encode()
    signature = provider.sign(TestCloudPayments.secret.encode(), {}, body)
    answer = post(body, "made", "application/x-www-form-urlencoded", HTTP_CONTENT_HMAC=signature)
    assert (answer.status_code, answer.content) == (200, b'{"code":0}')
    assert answer["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", ["HTTP_X_CONTENT_HMAC", "HTTP_CONTENT_MD5"])
def test_no_other_header_proves_anything(name):
    provider = find_preset("cloudpayments")("made", SECRETS=[TestCloudPayments.secret])
    signature = provider.sign(TestCloudPayments.secret.encode(), {}, b"a=1")
    assert provider.find_signatures({name: signature}) == []
