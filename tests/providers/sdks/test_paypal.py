"""PayPal's old SDK says what is signed; the newer ones say nothing of webhooks.

It can't verify any more: what it calls for that is gone from the newest pyOpenSSL, and the
certificates beside it are out of date.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_payment_webhooks.providers import find_preset

from ..presets.contract import load_vectors, write_meta
from .judge import load_sdk

paypalrestsdk = load_sdk("paypalrestsdk")
VECTORS = load_vectors("paypal")
provider = find_preset("paypal")("judged", SECRETS=["8PT597110X687430LKGECATA"])


def compose(transmission_id, moment, webhook_id, body):
    """Return what is signed, as the SDK has it."""
    compose = paypalrestsdk.WebhookEvent._get_expected_sig
    return compose(transmission_id, moment, webhook_id, body).encode()


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_of_each_vector_the_same_is_signed(vector):
    meta, body = write_meta(vector), vector["body"]
    sent = [meta["HTTP_PAYPAL_TRANSMISSION_ID"], meta["HTTP_PAYPAL_TRANSMISSION_TIME"]]
    ours = provider.fill_content(meta, body.encode(), key=vector["secret"].encode())
    assert ours == compose(*sent, vector["secret"], body)


@given(st.text())
def test_whatever_a_body_says_the_same_is_signed(body):
    meta = {
        "HTTP_PAYPAL_TRANSMISSION_ID": "1c6772d0-5106-11ef-9b66-89f3f924d48a",
        "HTTP_PAYPAL_TRANSMISSION_TIME": "2026-11-23T10:00:00Z",
    }
    ours = provider.fill_content(meta, body.encode(), key=provider.secrets[0].encode())
    assert ours == compose(*meta.values(), provider.secrets[0], body)
