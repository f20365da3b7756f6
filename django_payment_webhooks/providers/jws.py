"""Webhooks whose body is a JSON Web Signature (RFC 7515, compact), read with ``PyJWT``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Mapping, Sequence

from django.utils.module_loading import import_string

from .payloads import load_json
from .signatures import HMACSignature, decode_base64

MISSING = "needs the package PyJWT: pip install django-payment-webhooks[jws]"


def load_jws() -> Any:
    """Return the reader and writer of signatures from ``PyJWT``, an optional extra.

    Raises ``ValueError``, whose message names the extra, if it is not installed.
    """
    if find_spec("jwt") is None:
        raise ValueError(MISSING)
    return import_string("jwt.PyJWS")()


class JWSSignature(HMACSignature):
    """A body that is a JSON Web Signature around JSON.

    SECRETS are the provider's public keys in PEM, or shared secrets. Derive a preset from this
    class and ``Provider``.
    """

    #: The only algorithms accepted, whatever the body's own header says. Never mix those of shared
    #: secrets with those of public keys.
    algorithms: Sequence[str] = ("RS256",)
    #: A private key in PEM. Only for sending, in tests.
    signing_key = ""
    verifies_by_options = False

    def decode_secret(self, secret: Any) -> bytes:
        """Return a key. Raises ``ValueError``."""
        load_jws()
        key = super().decode_secret(secret)
        if key.startswith(b"-----BEGIN") and any(name.startswith("HS") for name in self.algorithms):
            raise ValueError("is a public key, with which anyone could sign by HMAC")
        return key

    def find_signer(
        self, keys: Sequence[bytes], meta: Mapping[str, Any], body: bytes, timestamp: str
    ) -> bytes:
        """Return the key that signed a body. Raises ``WebhookRefused`` if none did."""
        if body.count(b".") != 2:
            raise self.refuse("no_signature")
        for key in keys:
            if self.is_signed_by(key, body):
                return key
        raise self.refuse("mismatch")

    def is_signed_by(self, key: bytes, body: bytes) -> bool:
        """Return whether the owner of a key signed a body."""
        try:
            load_jws().decode(body, key, algorithms=list(self.algorithms))
        except import_string("jwt.PyJWTError"):
            return False
        return True

    def decode(self, body: bytes) -> Any:
        """Return the document in a body, or in a confirmation. Raises ``ValueError``."""
        if body[:1] == b"{":
            return load_json(body)
        segment = body.split(b".")[1] if body.count(b".") == 2 else b""
        return load_json(decode_base64(segment.decode().translate({45: "+", 95: "/"})))

    def sign_body(
        self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = ""
    ) -> bytes:
        """Return a signed body: the inverse of :meth:`verify`. Only for sending."""
        is_own = key in self.keys()
        private = self.signing_key if self.signing_key and is_own else key
        if self.signing_key and not is_own:
            return b".".join([b"e30", b"e30", key])
        signed = load_jws().encode(body, private, algorithm=self.algorithms[0])
        return str(signed).encode()

    def sign_headers(
        self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = ""
    ) -> dict[str, str]:
        """Return no headers: the signature is the body."""
        return {}
