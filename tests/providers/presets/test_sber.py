"""The gateway of RBS: all parameters are signed, with a shared key or with the bank's own."""

import hmac

import pytest
from django.test import Client

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers import find_preset

from .contract import Contract, load_vectors


def query(operation, status=1, **fields):
    """Return a callback with the parameters of the gateway."""
    made = {"mdOrder": "3ff6", "orderNumber": "A1", "operation": operation, "status": status}
    return "&".join(f"{name}={value}" for name, value in {**made, **fields}.items())


class TestSber(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            query("deposited", amount=123456),
            {
                "type": "charge.succeeded",
                "provider_event_id": "3ff6:deposited:1::",
                "order_id": "A1",
                "payment_id": "3ff6",
                "money": "1234.56 RUB",
                "refund_id": None,
            },
        ),
        (query("approved", amount=123456), {"type": "approved", "payment_id": "3ff6"}),
        (query("deposited", 0, amount=123456), {"type": "charge.failed"}),
        (query("declinedByTimeout"), {"type": "charge.failed", "money": ""}),
        # `amount` is that of the order, not of the refund.
        (
            query("refunded", amount=123456, operationRefundedAmount=500, currencyName="KZT"),
            {
                "type": "refund.created",
                "refund_id": "3ff6:refunded:1:500",
                "money": "5.00 KZT",
                "payment_id": "3ff6",
            },
        ),
        (
            query("refunded", amount=123456, externalRefundId="r1"),
            {"type": "refund.created", "refund_id": "r1", "money": ""},
        ),
        (query("refunded", 0), {"type": "refund.failed"}),
        (query("reversed"), {"type": "reversed"}),
    ]


def test_a_callback_comes_by_get(transactional_db, settings, published):
    secret = TestSber.secret
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"made": {"PRESET": "sber", "SECRETS": [secret]}}
    provider = find_preset("sber")("made", SECRETS=[secret])
    parameters = query("deposited", amount=123456)
    checksum = provider.sign(secret.encode(), {}, parameters.encode()).upper()
    address = f"/v1/webhooks/payment/made?{parameters}&checksum={checksum}"
    assert Client().get(address + "&sign_alias=key").status_code == 200
    assert Event.objects.get().order_id == "A1"
    assert Client().get(address + "&extra=1").status_code == 401


@pytest.mark.parametrize("checksum", ["", "zz", "ab", "abc", "00" * 256])
def test_a_checksum_that_is_none_is_refused(checksum):
    (vector,) = [each for each in load_vectors("sber") if each["name"] == "asymmetric"]
    provider = find_preset("sber")("made", SECRETS=[vector["secret"]])
    with pytest.raises(WebhookRefused) as raised:
        provider.verify({}, f"mdOrder=1&checksum={checksum}".encode())
    assert raised.value.status == 401


def test_a_public_key_is_never_the_key_of_an_hmac():
    (vector,) = [each for each in load_vectors("sber") if each["name"] == "asymmetric"]
    provider = find_preset("sber")("made", SECRETS=[vector["secret"]])
    body = b"mdOrder=1&operation=deposited"
    checksum = hmac.new(vector["secret"].encode(), b"mdOrder;1;operation;deposited;", "sha256")
    with pytest.raises(WebhookRefused):
        provider.verify({}, body + b"&checksum=" + checksum.hexdigest().encode())


def test_a_public_key_after_a_byte_order_mark_is_no_key_of_an_hmac():
    vector = next(each for each in load_vectors("sber") if "BEGIN PUBLIC KEY" in each["secret"])
    secret = "\ufeff" + vector["secret"]
    provider = find_preset("sber")("made", SECRETS=[secret])
    body = query("deposited", amount=1)
    signed = "amount;1;mdOrder;3ff6;operation;deposited;orderNumber;A1;status;1;"
    checksum = hmac.new(secret.encode(), signed.encode(), "sha256").hexdigest()
    with pytest.raises(WebhookRefused):
        provider.verify({}, f"{body}&checksum={checksum}".encode())
