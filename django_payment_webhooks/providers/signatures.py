"""Is this webhook from whom it says? HMAC (RFC 2104) over the raw bytes, described by attributes."""

import base64
import hashlib
import hmac
import re
import time
from typing import Any, Dict, List, Mapping, Match, Optional

from ..exceptions import WebhookRefused

MIN_KEY_LENGTH = 16  # bytes
DECODERS = {"text": str.encode, "hex": bytes.fromhex, "base64": base64.b64decode}


def read_header(meta: Mapping[str, Any], name: str) -> str:
    """Return a request header from ``request.META`` by its usual name, or an empty string."""
    return meta.get("HTTP_" + name.upper().replace("-", "_")) or ""


def refused(reason: str) -> WebhookRefused:
    """Return the refusal of a webhook that is not proved to be genuine. The reason is not for the sender."""
    return WebhookRefused(401, reason, "The signature does not match.")


class HMACSignature:
    """How a provider signs. Each attribute is an option; the values here are the default partner's."""

    #: The shared secrets, a list of texts. Each of them is accepted, so that they can be rotated.
    secrets: Any = ()
    #: How a secret's text becomes the key: ``text``, ``hex`` or ``base64``. A ``key_prefix`` is cut off first.
    key_encoding = "text"
    key_prefix = ""
    #: The header with the signatures, and a pattern whose one group finds each of them in it.
    signature_header = "X-Signature"
    signature_pattern = r"\A([0-9a-fA-F]{64})\Z"
    #: What the header looks like, with ``{signature}`` and ``{timestamp}``. Only for sending: tests and commands.
    signature_template = "{signature}"
    #: ``hex`` or ``base64``.
    signature_encoding = "hex"
    #: The name of a digest in :mod:`hashlib`.
    digest = "sha256"
    #: What is signed: ``{body}``, ``{timestamp}`` and, in braces, the names of headers.
    content = "{body}"
    #: A pattern whose one group finds the time of signing (Unix seconds) in ``timestamp_header``, or in the
    #: signature's own header. Without a pattern the scheme has no timestamp.
    timestamp_pattern = ""
    timestamp_header = ""
    #: How far the time of signing may be from now, before or after, in seconds.
    tolerance = 300

    def keys(self) -> List[bytes]:
        """Return the usable keys. A secret that is no text, can't be decoded or is too short gives none."""
        keys = []
        for secret in self.secrets if isinstance(self.secrets, (list, tuple)) else ():
            try:
                start = len(self.key_prefix) if secret.startswith(self.key_prefix) else 0
                keys.append(DECODERS[self.key_encoding](secret[start:]))
            except (AttributeError, TypeError, ValueError):
                continue
        return [key for key in keys if len(key.strip()) >= MIN_KEY_LENGTH]

    def verify(self, meta: Mapping[str, Any], body: bytes) -> str:
        """Return a short fingerprint of the key that signed exactly this body.

        Raises :class:`~django_payment_webhooks.exceptions.WebhookRefused` with status 503 and the
        reason
        ``no_secret``, or with status 401 and the reason ``no_signature``, ``malformed_signature``, ``mismatch``,
        ``stale`` or ``future``.
        """
        keys = self.keys()
        if not keys:
            raise WebhookRefused(
                503, "no_secret", "Webhooks of this provider can't be verified at present."
            )
        header = read_header(meta, self.signature_header)
        signatures = [self.normalize(found) for found in re.findall(self.signature_pattern, header)]
        timestamp = self.read_timestamp(meta)
        if not signatures or timestamp is None:
            raise refused("malformed_signature" if header else "no_signature")
        for key in keys:
            expected = self.sign(key, meta, body, timestamp).encode()
            if any([hmac.compare_digest(expected, signature) for signature in signatures]):
                self.check_age(timestamp)
                return hashlib.sha256(b"fingerprint:" + key).hexdigest()[:12]
        raise refused("mismatch")

    def sign(self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = "") -> str:
        """Return the signature of a webhook, encoded as the provider encodes it."""
        parts = {b"body": body, b"timestamp": timestamp.encode()}

        def fill(placeholder: Match) -> bytes:
            name = placeholder.group(1)
            return (
                parts[name]
                if name in parts
                else read_header(meta, name.decode()).encode("utf-8", "replace")
            )

        content = re.sub(rb"\{([\w-]+)\}", fill, self.content.encode())
        mac = hmac.new(key, content, self.digest)
        return (
            mac.hexdigest()
            if self.signature_encoding == "hex"
            else base64.b64encode(mac.digest()).decode()
        )

    def sign_headers(
        self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = ""
    ) -> Dict[str, str]:
        """Return the headers that prove a webhook, by name: the inverse of :meth:`verify`, for sending.

        ``meta`` has the other headers, some of which may be signed. ``timestamp`` is the time of signing in Unix
        seconds.
        """
        signature = self.sign(key, meta, body, timestamp)
        header = self.signature_template.replace("{timestamp}", timestamp).replace(
            "{signature}", signature
        )
        times = {self.timestamp_header: timestamp} if timestamp and self.timestamp_header else {}
        return dict(times, **{self.signature_header: header})

    def normalize(self, signature: str) -> bytes:
        """Return a received signature as :meth:`sign` writes it.

        In bytes, because ``compare_digest`` raises on a text that is not ASCII.
        """
        text = signature.lower() if self.signature_encoding == "hex" else signature
        return text.encode("utf-8", "replace")

    def read_timestamp(self, meta: Mapping[str, Any]) -> Optional[str]:
        """Return the time of signing as it was sent: plain digits; "" if the scheme has none, None if malformed."""
        if not self.timestamp_pattern:
            return ""
        found = re.search(
            self.timestamp_pattern,
            read_header(meta, self.timestamp_header or self.signature_header),
        )
        return found.group(1) if found and re.match(r"\A[0-9]{1,12}\Z", found.group(1)) else None

    def check_age(self, timestamp: str) -> None:
        """Raise ``stale`` or ``future`` if the scheme has a time of signing and it is too far from now."""
        age = time.time() - int(timestamp) if timestamp else 0
        if abs(age) > self.tolerance:
            raise refused("stale" if age > 0 else "future")
