"""PayPal: a signature with a certificate, and a refund that names its capture in a link."""

import http.client
from unittest import mock

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import certificates, find_preset, public_keys

from .contract import Contract, load_vectors, write_meta

URL = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1a5f47cb"
KEY = rsa.generate_private_key(65537, 2048)
PRIVATE = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
PUBLIC = (
    KEY.public_key()
    .public_bytes(
        serialization.Encoding.PEM,
        serialization.PublicFormat.SubjectPublicKeyInfo,
    )
    .decode()
)
VECTORS = load_vectors("paypal")


def event(number, event_type, **resource):
    """Return an event with the fields of PayPal."""
    made = {"id": f"WH-{number}", "event_type": event_type, "create_time": "2026-11-23T10:00:00Z"}
    return {**made, "resource": resource}


MONEY = {"amount": {"value": "30.00", "currency_code": "USD"}}
LINKS = [
    {"rel": "self", "href": "https://api.paypal.com/v2/payments/refunds/R1"},
    {"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/C1"},
]
SALE = {"amount": {"total": "30.00", "currency": "USD"}}
DISPUTE = {"dispute_id": "PP-1", "disputed_transactions": [{"seller_transaction_id": "C1"}]}


class TestPayPal(Contract):
    secret = "8PT597110X687430LKGECATA"
    options = {"CERTIFICATES": {URL: PUBLIC}, "SIGNING_KEY": PRIVATE}
    vector_options = {"MIN_KEY_LENGTH": 10, "CERTIFICATES": {URL: VECTORS[0]["certificate"]}}
    events = [
        (
            event(1, "PAYMENT.CAPTURE.COMPLETED", id="C1", invoice_id="A1", **MONEY),
            {
                "type": "charge.succeeded",
                "provider_event_id": "WH-1",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "C1",
                "money": "30.00 USD",
            },
        ),
        (
            event(2, "PAYMENT.CAPTURE.REFUNDED", id="R1", status="COMPLETED", links=LINKS, **MONEY),
            {"type": "refund.created", "payment_id": "C1", "refund_id": "R1"},
        ),
        (
            event(3, "CUSTOMER.DISPUTE.CREATED", dispute_amount=MONEY["amount"], **DISPUTE),
            {
                "type": "dispute.opened",
                "payment_id": "C1",
                "dispute_id": "PP-1",
                "money": "30.00 USD",
            },
        ),
        (
            event(
                4,
                "CUSTOMER.DISPUTE.RESOLVED",
                dispute_outcome={"outcome_code": "RESOLVED_BUYER_FAVOUR"},
                **DISPUTE,
            ),
            {"type": "dispute.lost"},
        ),
        # Subscriptions are still paid by the first version of the API.
        (
            event(5, "PAYMENT.SALE.COMPLETED", id="S1", invoice_number="", custom="A2", **SALE),
            {
                "type": "charge.succeeded",
                "payment_id": "S1",
                "order_id": "A2",
                "money": "30.00 USD",
            },
        ),
        (
            event(
                6,
                "PAYMENT.SALE.REFUNDED",
                id="R2",
                sale_id="S1",
                state="completed",
                amount={"total": "-0.99", "currency": "USD"},
            ),
            {
                "type": "refund.created",
                "payment_id": "S1",
                "refund_id": "R2",
                "money": "0.99 USD",
            },
        ),
        (
            event(7, "PAYMENT.SALE.REFUNDED", id="R3", sale_id="S1", state="pending", **SALE),
            {"type": "refund.pending", "payment_id": "S1", "refund_id": "R3"},
        ),
        (event(8, "PAYMENT.SALE.DENIED", id="S2", **SALE), {"type": "charge.failed"}),
    ]


@pytest.fixture
def fetched(monkeypatch):
    """Record which addresses are asked; what is there is the certificate of the vectors."""
    urls = []

    def fetch(url):
        urls.append(url)
        return VECTORS[0]["certificate"].encode()

    monkeypatch.setattr(certificates, "fetch_certificates", fetch)
    return urls


def make():
    """Return PayPal as the vectors have it, without a certificate that is known before."""
    return find_preset("paypal")("paypal", SECRETS=["WEBHOOK_ID"], MIN_KEY_LENGTH=10)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
        "https://user@api.paypal.com/v1/notifications/certs/CERT-1",
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
        "https://evil.example/https://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/v1/notifications/certs/../../../CERT-1",
        "https://api.paypal.com/v1/notifications/certs/CERT-1\n",
        "https://apixpaypal.com/v1/notifications/certs/CERT-1",
        "https://API.paypal.com/v1/notifications/certs/CERT-1",
        "//api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/v1/notifications/certs/CERT-\xe9",
        "file:///etc/passwd",
        "",
    ],
)
def test_no_other_address_is_asked(fetched, url):
    meta = dict(write_meta(VECTORS[0]), HTTP_PAYPAL_CERT_URL=url)
    with pytest.raises(WebhookRefused) as raised:
        make().verify(meta, VECTORS[0]["body"].encode())
    assert (raised.value.status, fetched) == (401, [])


def test_a_certificate_without_a_chain_to_an_authority_is_refused_and_asked_for_once(fetched):
    provider = make()
    for _ in range(3):
        with pytest.raises(WebhookRefused) as raised:
            provider.verify(write_meta(VECTORS[0]), VECTORS[0]["body"].encode())
        assert raised.value.status == 401
    assert fetched == [URL]


def test_a_certificate_that_leads_to_an_authority_is_believed_and_fetched_once(
    fetched, monkeypatch
):
    monkeypatch.setattr(certificates, "verify_chain", lambda *args: None)
    provider = make()
    for _ in range(3):
        assert provider.verify(write_meta(VECTORS[0]), VECTORS[0]["body"].encode())
    assert fetched == [URL]


def test_a_certificate_that_can_not_be_had_is_a_webhook_to_send_again(monkeypatch):
    def fail(url):
        raise OSError("unreachable")

    monkeypatch.setattr(certificates, "fetch_certificates", fail)
    with pytest.raises(WebhookRefused) as raised:
        make().verify(write_meta(VECTORS[0]), VECTORS[0]["body"].encode())
    assert (raised.value.status, raised.value.reason) == (503, "no_certificate")


def test_many_certificates_are_not_kept(fetched):
    provider = make()
    for number in range(100):
        provider.find_known(f"https://api.paypal.com/v1/notifications/certs/CERT-{number}")
    assert len(provider._known) == certificates.MAX_KNOWN


def test_names_of_certificates_that_are_none_push_no_genuine_one_out(fetched, monkeypatch):
    monkeypatch.setattr(certificates, "find_key", lambda chain, owner: chain)
    provider = make()
    assert provider.find_known(URL)
    monkeypatch.setattr(certificates, "find_key", lambda chain, owner: b"")
    for number in range(100):
        provider.find_known(f"https://api.paypal.com/v1/notifications/certs/CERT-{number}")
    assert provider.find_known(URL)
    assert fetched.count(URL) == 1


@pytest.mark.parametrize(
    ("status", "found"), [(200, b"chain"), (404, b""), (302, b""), (429, None), (408, None)]
)
def test_an_answer_that_asks_to_come_back_is_no_answer(monkeypatch, status, found):
    response = mock.Mock(status=status, read=lambda size: b"chain")
    connection = mock.Mock(getresponse=lambda: response)
    monkeypatch.setattr(http.client, "HTTPSConnection", lambda *args, **kwargs: connection)
    if found is None:
        with pytest.raises(http.client.HTTPException):
            certificates.fetch_certificates(URL)
    else:
        assert certificates.fetch_certificates(URL) == found
    connection.close.assert_called_once_with()


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(public_keys, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"django-payment-webhooks\[rsa\]"):
        make().decode_secret("8PT597110X687430LKGECATA")
    with pytest.raises(WebhookRefused) as raised:
        make().verify(write_meta(VECTORS[0]), VECTORS[0]["body"].encode())
    assert raised.value.status == 503
