"""Braintree: XML in base64 in a form, a challenge before it, and refunds that are transactions."""

import base64
import hashlib
import hmac
from urllib.parse import parse_qs, urlencode

import pytest
from django.test import RequestFactory

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import find_preset

from .contract import Contract, load_vectors

PUBLIC, PRIVATE = "integration_public_key", "integration_private_key"


def write(tag, content):
    """Return an element with text or with members."""
    if isinstance(content, dict):
        content = "".join(write(name, each) for name, each in content.items())
    return f"<{tag}>{content}</{tag}>"


def event(kind, hour=10, **subject):
    """Return a form with the fields of Braintree."""
    members = {"kind": kind, "timestamp": f"2026-11-23T{hour}:00:00Z", "subject": subject}
    payload = base64.encodebytes(write("notification", members).encode()).decode()
    return urlencode({"bt_signature": "none", "bt_payload": payload})


SALE = {"id": "t1", "type": "sale", "amount": "10.00", "currency-iso-code": "USD"}
SALE["order-id"] = "A1"
CREDIT = {"id": "t2", "type": "credit", "amount": "3.00", "currency-iso-code": "USD"}
CREDIT["refunded-transaction-id"] = "t1"
DISPUTE = {"id": "d1", "amount-disputed": "10.00", "currency-iso-code": "USD"}
DISPUTE["transaction"] = {"id": "t1", "amount": "10.00", "order-id": "A1"}


class TestBraintree(Contract):
    secret = f"{PUBLIC}|{PRIVATE}"
    events = [
        (
            event("transaction_settled", transaction=SALE),
            {
                "type": "charge.succeeded",
                "provider_event_id": "transaction_settled:t1:2026-11-23T10:00:00Z",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "t1",
                "money": "10.00 USD",
                "refund_id": None,
            },
        ),
        (
            event("transaction_settled", transaction=CREDIT),
            {
                "type": "refund.created",
                "payment_id": "t1",
                "refund_id": "t2",
                "money": "3.00 USD",
            },
        ),
        (
            event("transaction_settlement_declined", transaction=SALE),
            {"type": "charge.failed", "payment_id": "t1"},
        ),
        (
            event("transaction_settlement_declined", transaction=CREDIT),
            {"type": "refund.failed", "refund_id": "t2"},
        ),
        (
            event("dispute_opened", dispute=DISPUTE),
            {
                "type": "dispute.opened",
                "payment_id": "t1",
                "dispute_id": "d1",
                "order_id": "A1",
                "money": "10.00 USD",
            },
        ),
        (event("dispute_won", dispute=DISPUTE), {"type": "dispute.won", "dispute_id": "d1"}),
        (event("dispute_lost", dispute=DISPUTE), {"type": "dispute.lost"}),
        (event("check", check="true"), {"type": "check", "payment_id": ""}),
        (event("subscription_went_past_due", subscription={"id": "s1"}), {"payment_id": ""}),
        # Two of one moment.
        (event("disbursement", disbursement={"id": "x1"}), {"type": "disbursement"}),
        (event("disbursement", disbursement={"id": "x2"}), {"type": "disbursement"}),
        # The same once more, later: another event.
        (event("subscription_went_past_due", 11, subscription={"id": "s1"}), {}),
    ]

    def tamper(self, body):
        fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        payload = base64.b64decode(fields["bt_payload"]).replace(b"A1", b"B1")
        return urlencode({**fields, "bt_payload": base64.encodebytes(payload).decode()}).encode()

    def test_a_subscription_has_its_transaction_in_an_array(self, make):
        array = f'<transactions type="array">{write("transaction", SALE)}</transactions>'
        subject = write("id", "s1") + array
        provider = make()
        body = event("subscription_charged_successfully", subscription=subject)
        (parsed,) = self.parse(provider, body)
        assert (parsed.type, parsed.payment_id, parsed.order_id) == ("charge.succeeded", "t1", "A1")
        assert str(provider.read_money(provider.payload(parsed.body))) == "10.00 USD"

    def test_the_address_is_verified_by_a_challenge(self, db, installed, client):
        answer = client.get("/v1/webhooks/payment/made", {"bt_challenge": CHALLENGE})
        assert (answer.status_code, answer.content) == (200, ANSWER)
        assert client.get("/v1/webhooks/payment/made", {"bt_challenge": "x"}).status_code == 405


# braintree/braintree_python 80b03f4, tests/unit/test_webhooks.py
CHALLENGE = "20f9f8ed05f77439fe955c977e4c8a53"
ANSWER = b"integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4"


def ask(challenge, **options):
    provider = find_preset("braintree")("braintree", **options)
    return provider.ping(RequestFactory().get("/", {"bt_challenge": challenge}))


def test_a_challenge_is_signed():
    answer = ask(CHALLENGE, SECRETS=[f"{PUBLIC}|{PRIVATE}", "other|" + "x" * 32])
    assert (answer.status_code, answer.content) == (200, ANSWER)


@pytest.mark.parametrize(
    "challenge", ["", "a" * 19, "a" * 33, "PG5vdGlmaWNhdGlvbj4K", "a" * 31 + "\n"]
)
def test_nothing_but_a_challenge_is_signed(challenge):
    assert ask(challenge, SECRETS=[f"{PUBLIC}|{PRIVATE}"]) is None


def test_without_a_secret_a_challenge_gets_no_signature():
    assert ask(CHALLENGE, SECRETS=["public"]).content == b""


def test_the_signature_of_any_of_several_keys_counts():
    (vector,) = [each for each in load_vectors("braintree") if "settled" in each["name"]]
    body = vector["body"].replace("bt_signature=", "bt_signature=another%7C" + "0" * 40 + "%26")
    provider = find_preset("braintree")("braintree", SECRETS=[f"{PUBLIC}|{PRIVATE}"])
    assert provider.verify({}, body.encode())


# braintree/braintree_python 80b03f4, braintree/webhook_notification_gateway.py takes both.
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_payload_can_be_signed_with_and_without_its_last_newline(end):
    payload = base64.b64encode(b"<notification/>").decode()
    key = hashlib.sha1(PRIVATE.encode()).digest()
    mac = hmac.new(key, (payload + end).encode(), hashlib.sha1).hexdigest()
    provider = find_preset("braintree")("braintree", SECRETS=[f"{PUBLIC}|{PRIVATE}"])
    for sent in (payload, payload + "\n"):
        body = urlencode({"bt_signature": f"{PUBLIC}|{mac}", "bt_payload": sent}).encode()
        assert provider.verify({}, body)


@pytest.mark.parametrize("secret", ["public", "public|", "|", "public|short", None, 5])
def test_a_secret_without_a_private_key_is_none(secret):
    with pytest.raises(ValueError):
        find_preset("braintree")("braintree").decode_secret(secret)


def test_a_signature_by_the_private_key_itself_is_refused():
    payload = base64.encodebytes(b"<notification/>").decode()
    mac = hmac.new(PRIVATE.encode(), payload.encode(), hashlib.sha1).hexdigest()
    body = urlencode({"bt_signature": f"{PUBLIC}|{mac}", "bt_payload": payload}).encode()
    provider = find_preset("braintree")("braintree", SECRETS=[f"{PUBLIC}|{PRIVATE}"])
    with pytest.raises(WebhookRefused):
        provider.verify({}, body)
