"""PayU: the digest is what the settings say, and never what a header asks for."""

import pytest

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import find_preset

from .contract import Contract, load_vectors, write_meta


def order(status):
    """Return a notification of an order with the fields of PayU."""
    made = {"orderId": "LDLW5N7MF4140324GUEST000P01", "extOrderId": "A1", "status": status}
    made.update(totalAmount="21000", currencyCode="PLN")
    return {"order": made, "localReceiptDateTime": "2026-11-23T11:00:00.000+01:00"}


def refund(status):
    """Return a notification of a refund."""
    made = {"refundId": "912128", "amount": "15516", "currencyCode": "PLN", "status": status}
    made["statusDateTime"] = "2026-11-23T11:00:00.000+01:00"
    return {"orderId": "LDLW5N7MF4140324GUEST000P01", "extOrderId": "A1", "refund": made}


class TestPayU(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            order("COMPLETED"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "LDLW5N7MF4140324GUEST000P01:COMPLETED",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "LDLW5N7MF4140324GUEST000P01",
                "money": "210.00 PLN",
            },
        ),
        # A hold, which is yet to be taken.
        (order("WAITING_FOR_CONFIRMATION"), {"type": "order.WAITING_FOR_CONFIRMATION"}),
        (order("CANCELED"), {"type": "charge.failed"}),
        (
            refund("FINALIZED"),
            {
                "type": "refund.created",
                "order_id": "A1",
                "payment_id": "LDLW5N7MF4140324GUEST000P01",
                "refund_id": "912128",
                "money": "155.16 PLN",
            },
        ),
        (refund("CANCELED"), {"type": "refund.failed"}),
    ]


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
def test_a_header_cant_choose_a_weaker_digest(digest):
    (vector,) = [each for each in load_vectors("payu") if each["name"] == "sdk MD5"]
    secrets = [vector["secret"]]
    meta, body = write_meta(vector), vector["body"].encode()
    make = find_preset("payu")
    assert make("made", SECRETS=secrets, MIN_KEY_LENGTH=1).verify(meta, body)
    with pytest.raises(WebhookRefused) as raised:
        make("made", SECRETS=secrets, MIN_KEY_LENGTH=1, DIGEST=digest).verify(meta, body)
    assert raised.value.status == 401


@pytest.mark.parametrize("address", ["185.68.12.10", "185.68.14.10", "185.68.14.28"])
def test_the_sandbox_is_heard_as_well(address):
    (vector,) = [each for each in load_vectors("payu") if each["name"] == "sdk MD5"]
    options = {"SECRETS": [vector["secret"]], "MIN_KEY_LENGTH": 1, "TRUSTED_PROXIES": 0}
    meta = {**write_meta(vector), "REMOTE_ADDR": address}
    assert find_preset("payu")("made", **options).verify(meta, vector["body"].encode())
