"""A body that is a JSON Web Signature: the algorithm is ours to choose, never the sender's."""

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import Provider, jws
from django_payment_webhooks.providers.jws import JWSSignature
from django_payment_webhooks.providers.sending import (
    compose,
    forge_webhook,
    make_values,
    sign_webhook,
)

RSA, OTHER, EC = (
    rsa.generate_private_key(65537, 2048),
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
)
PAYLOAD = b'{"event_id": "e1", "type": "t"}'


def write_private(key):
    """Return a private key in PEM."""
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, plain).decode()


def write_public(key):
    """Return the public key of a private one, in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


class Partner(JWSSignature, Provider):
    """An invented partner."""


def make(key=RSA, **options):
    """Return a partner with the public key of a private one."""
    return Partner("jws", SECRETS=[write_public(key)], SIGNING_KEY=write_private(key), **options)


def refuse(provider, body):
    """Return the reason of a refusal."""
    with pytest.raises(WebhookRefused) as raised:
        provider.verify({}, body)
    assert raised.value.status == 401
    return raised.value.reason


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256")])
def test_what_the_partner_signed_is_accepted_and_read(key, algorithm):
    provider = make(key, ALGORITHMS=[algorithm])
    body = jwt.PyJWS().encode(PAYLOAD, write_private(key), algorithm=algorithm).encode()
    assert provider.verify({}, body)
    (event,) = provider.parse({}, body)
    assert (event.provider_event_id, event.type, event.body) == ("e1", "t", body)


def test_whatever_else_is_refused():
    provider = make()
    genuine = jwt.PyJWS().encode(PAYLOAD, write_private(RSA), algorithm="RS256").encode()
    head, payload, signature = genuine.split(b".")
    other = base64.urlsafe_b64encode(PAYLOAD.replace(b"e1", b"e2")).rstrip(b"=")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).rstrip(b"=")
    for forged in (
        b".".join([head, other, signature]),
        b".".join([none, payload, b""]),
        b".".join([none, payload, signature]),
        jwt.PyJWS().encode(PAYLOAD, write_private(OTHER), algorithm="RS256").encode(),
        jwt.PyJWS().encode(PAYLOAD, "x" * 32, algorithm="HS256").encode(),
        jwt.PyJWS().encode(PAYLOAD, write_private(RSA), algorithm="RS512").encode(),
        b"..",
        b"\xff.\xff.\xff",
    ):
        assert refuse(provider, forged) == "mismatch"
    assert refuse(provider, PAYLOAD) == "no_signature"
    assert refuse(provider, b"") == "no_signature"


def test_a_public_key_is_no_shared_secret():
    with pytest.raises(ValueError, match="anyone could sign"):
        make(ALGORITHMS=["RS256", "HS256"]).decode_secret(write_public(RSA))


@pytest.mark.filterwarnings("ignore:The HMAC key is")
def test_a_shared_secret_signs_too():
    provider = Partner("jws", SECRETS=["s" * 32], ALGORITHMS=["HS256"])
    body = jwt.PyJWS().encode(PAYLOAD, "s" * 32, algorithm="HS256").encode()
    assert provider.verify({}, body)


def test_the_partner_can_be_played():
    provider = make()
    webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
    signed = sign_webhook(provider, webhook)
    assert provider.parse({}, signed.body)[0].order_id == "A1"
    assert provider.verify(signed.meta, signed.body)
    assert refuse(provider, forge_webhook(provider, webhook).body) == "mismatch"


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(jws, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"django-payment-webhooks\[jws\]"):
        make().decode_secret(write_public(RSA))
    with pytest.raises(WebhookRefused) as raised:
        make().verify({}, PAYLOAD)
    assert (raised.value.status, raised.value.reason) == (503, "no_secret")
