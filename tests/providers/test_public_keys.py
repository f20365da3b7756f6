"""Signatures made with a private key: RSA, ECDSA and Ed25519."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.public_keys import PublicKeySignature
from django_payment_webhooks.providers.sending import (
    compose,
    forge_webhook,
    make_values,
    sign_webhook,
)

from .test_jws import write_private, write_public

KEYS = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "ecdsa": ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}


class Partner(PublicKeySignature, Provider):
    """An invented partner."""


def make(key, **options):
    """Return a partner with the public key of a private one."""
    return Partner("keys", SECRETS=[write_public(key)], SIGNING_KEY=write_private(key), **options)


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("options", [{}, {"DIGEST": "sha512"}, {"SIGNATURE_ENCODING": "hex"}])
def test_what_is_signed_is_accepted_and_nothing_else(name, options):
    provider = make(KEYS[name], **options)
    webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
    signed = sign_webhook(provider, webhook)
    assert provider.verify(signed.meta, signed.body)
    forged = forge_webhook(provider, webhook)
    for meta, body in [
        ({}, webhook.body),
        (forged.meta, forged.body),
        (signed.meta, signed.body + b" "),
        ({"HTTP_X_SIGNATURE": "\u00e9"}, webhook.body),
        ({"HTTP_X_SIGNATURE": "AAAA"}, webhook.body),
    ]:
        with pytest.raises(WebhookRefused) as raised:
            provider.verify(meta, body)
        assert raised.value.status == 401


def test_any_of_several_keys_can_have_signed():
    first, second = KEYS["rsa"], KEYS["ecdsa"]
    both = Partner("keys", SECRETS=[write_public(first), write_public(second)])
    for key in (first, second):
        one = make(key)
        webhook = compose(one, make_values(one, "charge.succeeded"))
        signed = sign_webhook(one, webhook)
        assert both.verify(signed.meta, signed.body) == one.verify(signed.meta, signed.body)


@pytest.mark.parametrize("secret", ["", "x" * 32, None, "-----BEGIN PUBLIC KEY-----\nAAAA\n"])
def test_what_is_no_public_key_is_said(secret):
    with pytest.raises(ValueError, match="is not a public key in PEM|is not text"):
        make(KEYS["rsa"]).decode_secret(secret)


def test_a_private_key_is_no_secret_for_the_settings():
    with pytest.raises(ValueError, match="is not a public key"):
        make(KEYS["rsa"]).decode_secret(write_private(KEYS["rsa"]))


def test_the_keys_are_in_pem():
    assert serialization.load_pem_public_key(write_public(KEYS["rsa"]).encode())
