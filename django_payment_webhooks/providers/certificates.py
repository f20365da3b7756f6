"""Certificates that a webhook names by URL: their source, issuer and owner.

The sender chooses the URL. So it is checked against a pattern before anything is fetched, and no
other host is contacted.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import warnings
from collections import OrderedDict
from contextlib import suppress
from functools import lru_cache
from typing import Any, Mapping
from urllib.parse import urlsplit

from ..exceptions import WebhookRefused
from .headers import read_header
from .public_keys import PublicKeySignature, load_crypto
from .signatures import HMACSignature

TIMEOUT = 5  # seconds, for each step of a connection
MAX_SIZE = 64 * 1024  # bytes; a chain has about 6 000
MAX_KNOWN = 32
# How long a certificate is trusted, and how long one that can't be fetched is left alone; seconds.
KEPT, PAUSE = 24 * 60 * 60, 60
# Request Timeout and Too Many Requests: they say nothing about the certificate.
COME_BACK = (408, 429)


class CertificateSignature(PublicKeySignature):
    """Signatures of a provider that names its key's certificate in a header.

    SECRETS are what else is signed, such as the webhook's id. A certificate is fetched once a day
    from a URL that matches a pattern, and its chain is checked up to an authority.
    """

    #: The header with the URL, the pattern that the whole URL must match (its character classes
    #: are ASCII), and the name that the certificate must be issued to.
    certificate_header = ""
    certificate_address = ""
    certificate_owner = ""
    #: Required values of other headers, such as the only algorithm accepted.
    required_headers: Mapping[str, str] = {}
    #: Certificates or public keys in PEM, by URL, that are trusted without being fetched.
    certificates: Mapping[str, str] = {}

    _known: OrderedDict[str, tuple[float, bytes]] | None = None

    def decode_secret(self, secret: Any) -> bytes:
        """Return a secret as it appears in the signed content. Raises ``ValueError``."""
        load_crypto("x509.Certificate")
        return HMACSignature.decode_secret(self, secret)

    def find_public_key(self, key: bytes, meta: Mapping[str, Any]) -> bytes:
        """Return the key, in PEM, of the certificate that a webhook names; none if it is not valid.

        Raises ``WebhookRefused`` with status 503 if it can't be fetched now.
        """
        headers = self.required_headers.items()
        url = read_header(meta, self.certificate_header)
        if any(read_header(meta, name) != value for name, value in headers):
            return b""
        if url in self.certificates:
            return read_public_key(self.certificates[url].encode())
        if not re.fullmatch(self.certificate_address, url, re.ASCII):
            return b""
        return self.find_known(url)

    def sign_headers(
        self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = ""
    ) -> dict[str, str]:
        """Return the headers that prove a webhook, with the first known certificate."""
        headers = super().sign_headers(key, meta, body, timestamp)
        url = next(iter(self.certificates), "")
        return {**headers, **self.required_headers, self.certificate_header: url}

    def find_known(self, url: str) -> bytes:
        """Return the key of a known certificate, or fetch it."""
        known = self._known = self._known if self._known is not None else OrderedDict()
        until, key = known.get(url, (0.0, b""))
        if time.time() < until:
            return key
        key = find_key(self.fetch(url), self.certificate_owner)
        known[url] = (time.time() + (KEPT if key else PAUSE), key)
        while len(known) > MAX_KNOWN:
            known.pop(find_least(known), None)
        return key

    def fetch(self, url: str) -> bytes:
        """Return the certificate chain at a URL. Raises ``WebhookRefused``."""
        try:
            return fetch_certificates(url)
        except (OSError, http.client.HTTPException):
            text = "It can't be verified now. Send it again."
            raise WebhookRefused(503, "no_certificate", text) from None


def find_least(known: Mapping[str, tuple[float, bytes]]) -> str:
    """Return the URL to forget: the oldest without a valid certificate, or else the oldest.

    Anyone can send URLs that lead nowhere.
    """
    addresses = list(known)
    useless = (url for url in addresses if not known[url][1])
    return next(useless, addresses[0])


def fetch_certificates(url: str) -> bytes:
    """Return what is at a URL. Follows no redirect, and waits for a bounded time.

    Raises ``OSError`` or ``http.client.HTTPException`` if it can't be fetched.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        if response.status >= 500 or response.status in COME_BACK:
            raise http.client.HTTPException("The certificate can't be had now.")
        return response.read(MAX_SIZE) if response.status == 200 else b""
    finally:
        connection.close()


def find_key(chain: bytes, owner: str) -> bytes:
    """Return the public key of a chain's first certificate; none if it can't be trusted.

    It must lead to an authority that this machine trusts, be valid now, and belong to the owner.
    """
    try:
        leaf, *others = load_crypto("x509.load_pem_x509_certificates")(chain)
        verify_chain(leaf, others, owner)
    except (ValueError, load_crypto("x509.verification.VerificationError")):
        return b""
    return write_public_key(leaf)


def read_public_key(pem: bytes) -> bytes:
    """Return the public key in a certificate in PEM, or the PEM itself if it is a public key."""
    if b"BEGIN CERTIFICATE" not in pem:
        return pem
    return write_public_key(load_crypto("x509.load_pem_x509_certificate")(pem))


def write_public_key(certificate: Any) -> bytes:
    """Return the public key of a certificate, in PEM."""
    encoding = load_crypto("hazmat.primitives.serialization.Encoding").PEM
    form = load_crypto("hazmat.primitives.serialization.PublicFormat").SubjectPublicKeyInfo
    key: bytes = certificate.public_key().public_bytes(encoding, form)
    return key


def verify_chain(leaf: Any, others: list[Any], owner: str) -> None:
    """Raise an error of ``cryptography`` if no trusted authority vouches for a certificate."""
    builder = load_crypto("x509.verification.PolicyBuilder")().store(load_authorities())
    name = load_crypto("x509.DNSName")(owner)
    builder.build_server_verifier(name).verify(leaf, others)


@lru_cache(maxsize=1)
def load_authorities() -> Any:
    """Return the authorities that this machine trusts, as Python's own TLS does."""
    load = load_crypto("x509.load_der_x509_certificate")
    authorities = []
    for root in ssl.create_default_context().get_ca_certs(binary_form=True):
        # An old one with an invalid serial number causes a warning now, and may cause an error
        # later.
        with warnings.catch_warnings(), suppress(ValueError, Warning):
            warnings.simplefilter("error")
            authorities.append(load(root))
    return load_crypto("x509.verification.Store")(authorities)
