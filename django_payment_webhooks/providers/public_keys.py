"""Signatures made with a private key: RSA (PKCS#1 v1.5), ECDSA and Ed25519, by ``cryptography``."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Mapping, Sequence

from django.utils.module_loading import import_string

from .signatures import DECODERS, ENCODERS, HMACSignature

MISSING = "needs the package cryptography: pip install django-payment-webhooks[rsa]"
PEM = "-----BEGIN"
HASHES = {"sha1": "SHA1", "sha256": "SHA256", "sha384": "SHA384", "sha512": "SHA512"}


def load_crypto(name: str) -> Any:
    """Return a part of the package ``cryptography``, which is an optional extra.

    Raises ``ValueError``, whose message names the extra, if it is not installed.
    """
    if find_spec("cryptography") is None:
        raise ValueError(MISSING)
    return import_string(f"cryptography.{name}")


class PublicKeySignature(HMACSignature):
    """How a provider signs whose SECRETS are its public keys, in PEM.

    Derive a preset from this and ``Provider``. What is signed, and where the signature is, is said
    as for an HMAC.
    """

    signature_pattern = r"(\S+)"
    signature_encoding = "base64"
    #: The digest that these signatures are made of, if it is another than ``digest``.
    public_key_digest = ""
    #: A private key in PEM. Only for sending, by tests.
    signing_key = ""
    verifies_by_options = False

    def decode_secret(self, secret: Any) -> bytes:
        """Return a public key in PEM. Raises ``ValueError``."""
        if not isinstance(secret, str):
            raise ValueError("is not text")
        load_public_key(secret.encode())
        return secret.encode()

    def matches(
        self,
        key: bytes,
        meta: Mapping[str, Any],
        body: bytes,
        timestamp: str,
        signatures: Sequence[bytes],
    ) -> bool:
        """Return whether the owner of a public key made one of these signatures."""
        pem = self.find_public_key(key, meta)
        if not pem:
            return False
        content = self.fill_content(meta, body, timestamp, key)
        public_key = load_public_key(pem)
        made = [self.decode_signature(signature) for signature in signatures]
        digest = self.public_key_digest or self.digest
        return any(is_signed_by(public_key, each, content, digest) for each in made)

    def find_public_key(self, key: bytes, meta: Mapping[str, Any]) -> bytes:
        """Return the public key in PEM that verifies a webhook, none if there is none."""
        return key

    def decode_signature(self, signature: bytes) -> bytes:
        """Return the bytes of a signature, none if it is not encoded as it should be."""
        try:
            return DECODERS[self.signature_encoding](signature.decode("ascii"))
        except ValueError:
            return b""

    def sign(self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = "") -> str:
        """Return a signature made with ``signing_key``; for a key of nobody's, one of nobody's."""
        content = self.fill_content(meta, body, timestamp, key)
        signature = b"0" * 256
        if self.signing_key and key in self.keys():
            digest = self.public_key_digest or self.digest
            signature = make_signature(self.signing_key, content, digest)
        return ENCODERS[self.signature_encoding](signature).decode()


class EitherSignature(PublicKeySignature):
    """How a provider signs which does so with a shared key, or with a private key of its own.

    A secret in PEM is a public key, and any other one the key of an HMAC: never is one taken for
    the other.
    """

    def decode_secret(self, secret: Any) -> bytes:
        """Return a public key in PEM, or the key of an HMAC. Raises ``ValueError``."""
        return find_kind(secret).decode_secret(self, secret)

    def matches(
        self,
        key: bytes,
        meta: Mapping[str, Any],
        body: bytes,
        timestamp: str,
        signatures: Sequence[bytes],
    ) -> bool:
        """Return whether this key, or the owner of this public key, made one of the signatures."""
        kind = find_kind(key.decode("utf-8", "replace"))
        return kind.matches(self, key, meta, body, timestamp, signatures)

    def sign(self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = "") -> str:
        """Return a signature by a shared key, or by ``signing_key``."""
        return find_kind(key.decode("utf-8", "replace")).sign(self, key, meta, body, timestamp)


def find_kind(secret: Any) -> type[HMACSignature]:
    """Return the class that knows what to do with a secret."""
    # Wherever it begins: a mark at the start of a file may stand before it.
    is_pem = isinstance(secret, str) and PEM in secret
    return PublicKeySignature if is_pem else HMACSignature


@lru_cache(maxsize=64)
def load_public_key(pem: bytes) -> Any:
    """Return the public key that a text in PEM is. Raises ``ValueError``."""
    load = load_crypto("hazmat.primitives.serialization.load_pem_public_key")
    try:
        return load(pem)
    except Exception:
        # Of the kinds of errors, and of their texts, the package makes no promise.
        raise ValueError("is not a public key in PEM") from None


def find_arguments(key: Any, digest: str) -> list[Any]:
    """Return what a key needs beside signature and content: the padding, and the digest."""
    hashing = load_crypto(f"hazmat.primitives.hashes.{HASHES[digest]}")()
    if hasattr(key, "curve"):
        return [load_crypto("hazmat.primitives.asymmetric.ec.ECDSA")(hashing)]
    if hasattr(key, "key_size"):
        return [load_crypto("hazmat.primitives.asymmetric.padding.PKCS1v15")(), hashing]
    return []


def is_signed_by(key: Any, signature: bytes, content: bytes, digest: str) -> bool:
    """Return whether the owner of a public key made a signature of this content."""
    try:
        key.verify(signature, content, *find_arguments(key, digest))
    except load_crypto("exceptions.InvalidSignature"):
        return False
    return True


def make_signature(pem: str, content: bytes, digest: str) -> bytes:
    """Return a signature made with a private key in PEM. Only for sending, by tests."""
    key = load_crypto("hazmat.primitives.serialization.load_pem_private_key")(pem.encode(), None)
    signature: bytes = key.sign(content, *find_arguments(key, digest))
    return signature
