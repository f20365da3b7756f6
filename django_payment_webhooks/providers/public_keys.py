"""Signatures by a private key: RSA (PKCS#1 v1.5), ECDSA and Ed25519, with ``cryptography``."""

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
    """Return a module of the package ``cryptography``, an optional extra.

    Raises ``ValueError``, whose message names the extra, if it is not installed.
    """
    if find_spec("cryptography") is None:
        raise ValueError(MISSING)
    return import_string(f"cryptography.{name}")


class PublicKeySignature(HMACSignature):
    """Signatures of a provider whose SECRETS are its public keys, in PEM.

    Derive a preset from this class and ``Provider``. The options for the content and the signature
    are those of an HMAC.
    """

    signature_pattern = r"(\S+)"
    signature_encoding = "base64"
    #: The digest in these signatures, if it is not ``digest``.
    public_key_digest = ""
    #: A private key in PEM. Only for sending, in tests.
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
        """Return the public key in PEM that verifies a webhook; empty if there is none."""
        return key

    def decode_signature(self, signature: bytes) -> bytes:
        """Return the bytes of a signature; empty if it is not properly encoded."""
        try:
            return DECODERS[self.signature_encoding](signature.decode("ascii"))
        except ValueError:
            return b""

    def sign(self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = "") -> str:
        """Return a signature made with ``signing_key``; for a random key, a random signature."""
        content = self.fill_content(meta, body, timestamp, key)
        signature = b"0" * 256
        if self.signing_key and key in self.keys():
            digest = self.public_key_digest or self.digest
            signature = make_signature(self.signing_key, content, digest)
        return ENCODERS[self.signature_encoding](signature).decode()


class EitherSignature(PublicKeySignature):
    """Signatures made with a shared key or with the provider's private key.

    A secret in PEM is a public key, and any other the key of an HMAC. One is never taken for the
    other.
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
        """Return a signature made with a shared key, or with ``signing_key``."""
        return find_kind(key.decode("utf-8", "replace")).sign(self, key, meta, body, timestamp)


def find_kind(secret: Any) -> type[HMACSignature]:
    """Return the class that handles a secret."""
    # Anywhere in it, as a byte order mark may come first.
    is_pem = isinstance(secret, str) and PEM in secret
    return PublicKeySignature if is_pem else HMACSignature


@lru_cache(maxsize=64)
def load_public_key(pem: bytes) -> Any:
    """Return the public key in a PEM text. Raises ``ValueError``."""
    load = load_crypto("hazmat.primitives.serialization.load_pem_public_key")
    try:
        return load(pem)
    except Exception:
        # The package makes no promise about the types and texts of its errors.
        raise ValueError("is not a public key in PEM") from None


def find_arguments(key: Any, digest: str) -> list[Any]:
    """Return a key's further arguments for verifying: the padding and the digest."""
    hashing = load_crypto(f"hazmat.primitives.hashes.{HASHES[digest]}")()
    if hasattr(key, "curve"):
        return [load_crypto("hazmat.primitives.asymmetric.ec.ECDSA")(hashing)]
    if hasattr(key, "key_size"):
        return [load_crypto("hazmat.primitives.asymmetric.padding.PKCS1v15")(), hashing]
    return []


def is_signed_by(key: Any, signature: bytes, content: bytes, digest: str) -> bool:
    """Return whether the owner of a public key signed this content."""
    try:
        key.verify(signature, content, *find_arguments(key, digest))
    except load_crypto("exceptions.InvalidSignature"):
        return False
    return True


def make_signature(pem: str, content: bytes, digest: str) -> bytes:
    """Return a signature made with a private key in PEM. Only for sending, in tests."""
    key = load_crypto("hazmat.primitives.serialization.load_pem_private_key")(pem.encode(), None)
    signature: bytes = key.sign(content, *find_arguments(key, digest))
    return signature
