"""Proves that a webhook is from whom it says.

That is done by an HMAC (RFC 2104) over the raw bytes, which attributes describe.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any, Callable, Mapping, Sequence

from ..exceptions import WebhookRefused
from .headers import read_header

MIN_KEY_LENGTH = 16  # bytes
DECODERS: dict[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "hex": bytes.fromhex,
    "base64": base64.b64decode,
}
PLACEHOLDER = re.compile(rb"\{([\w-]+)\}")
# What `read_timestamp` accepts. No other digits than these, although Python reads others, too.
TIMESTAMP = re.compile(r"[0-9]{1,12}")


class HMACSignature:
    """How a provider signs. Each attribute is an option, with the default partner's value."""

    #: The shared secrets, a list of texts. Each of them is accepted, so that they can be rotated.
    secrets: Any = ()
    #: How a secret's text becomes the key: ``text``, ``hex`` or ``base64``. A ``key_prefix`` is cut
    #: off first.
    key_encoding = "text"
    key_prefix = ""
    #: The header with the signatures, and a pattern whose one group finds each of them in it.
    signature_header = "X-Signature"
    signature_pattern = r"\A([0-9a-fA-F]{64})\Z"
    #: What the header looks like, with ``{signature}`` and ``{timestamp}``. Only for sending, by
    #: tests and commands.
    signature_template = "{signature}"
    #: ``hex`` or ``base64``.
    signature_encoding = "hex"
    #: The name of a digest in :mod:`hashlib`.
    digest = "sha256"
    #: What is signed: ``{body}``, ``{timestamp}`` and, in braces, the names of headers.
    content = "{body}"
    #: A pattern whose one group finds the time of signing (Unix seconds) in ``timestamp_header``,
    #: or in the signature's own header. Without a pattern the scheme has no timestamp.
    timestamp_pattern = ""
    timestamp_header = ""
    #: How far the time of signing may be from now, before or after, in seconds.
    tolerance: float = 300

    #: Whether the keys come from ``secrets``. Not an option: a class says it.
    has_secrets = True
    #: Whether ``verify`` does what the options say, so that the command ``verify_payment_webhook``
    #: can explain each of its checks. Not an option: a class says it.
    verifies_by_options = True

    _keys: list[bytes] | None = None

    def keys(self) -> list[bytes]:
        """Return the usable keys: those that :meth:`decode_secret` makes of the secrets, once.

        A class whose keys come from elsewhere overrides this, and sets ``has_secrets`` to False.
        """
        if self._keys is None:
            self._keys = list(decode_secrets(self).values())
        return self._keys

    def decode_secret(self, secret: Any) -> bytes:
        """Return the key that a secret becomes.

        Raises ``ValueError`` if it can't be used. The message says why, and has nothing of the
        secret in it.
        """
        if not isinstance(secret, str):
            raise ValueError("is not text")
        if not secret.strip():
            raise ValueError("is blank")
        try:
            key = DECODERS[self.key_encoding](cut_prefix(secret, self.key_prefix))
        except (KeyError, ValueError):
            encoding = self.key_encoding
            raise ValueError(f"can't be decoded as {encoding}, which KEY_ENCODING says") from None
        length = len(key.strip())
        if length < MIN_KEY_LENGTH:
            raise ValueError(f"has {length} bytes, and {MIN_KEY_LENGTH} are needed")
        return key

    def verify(self, meta: Mapping[str, Any], body: bytes) -> str:
        """Return a short fingerprint of the key that signed exactly this body.

        A class that proves its webhooks in another way overrides this, and sets
        ``verifies_by_options`` to False. Raises
        :class:`~django_payment_webhooks.exceptions.WebhookRefused` with the status 503 and the
        reason ``no_secret``, or with the status 401 and the reason ``no_signature``,
        ``malformed_signature``, ``mismatch``, ``stale`` or ``future``.
        """
        keys = self.keys()
        if not keys:
            text = "Webhooks of this provider can't be verified at present."
            raise WebhookRefused(503, "no_secret", text)
        signatures = self.find_signatures(meta)
        timestamp = self.read_timestamp(meta)
        if not signatures or timestamp is None:
            has_header = read_header(meta, self.signature_header)
            raise refusal("malformed_signature" if has_header else "no_signature")
        for key in keys:
            if is_among(self.sign(key, meta, body, timestamp), signatures):
                self.check_age(timestamp)
                return fingerprint(key)
        raise refusal("mismatch")

    def find_signatures(self, meta: Mapping[str, Any]) -> list[bytes]:
        """Return the signatures that came, each as :meth:`normalize` writes it."""
        header = read_header(meta, self.signature_header)
        found = compile_pattern(self.signature_pattern).findall(header)
        return [self.normalize(signature) for signature in found]

    def normalize(self, signature: str) -> bytes:
        """Return a received signature as :meth:`sign` writes it.

        In bytes, because ``compare_digest`` raises on a text that is not ASCII.
        """
        text = signature.lower() if self.signature_encoding == "hex" else signature
        return text.encode("utf-8", "replace")

    def sign(self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = "") -> str:
        """Return the signature of a webhook, encoded as the provider encodes it."""
        mac = hmac.digest(key, self.fill_content(meta, body, timestamp), self.digest)
        if self.signature_encoding == "hex":
            return mac.hex()
        return base64.b64encode(mac).decode()

    def fill_content(self, meta: Mapping[str, Any], body: bytes, timestamp: str = "") -> bytes:
        """Return what is signed: ``content``, with everything in its place."""
        known = {b"body": body, b"timestamp": timestamp.encode()}

        def fill(name: bytes) -> bytes:
            if name in known:
                return known[name]
            return read_header(meta, name.decode()).encode("utf-8", "replace")

        parts = list(split_content(self.content))
        parts[1::2] = [fill(name) for name in parts[1::2]]
        return b"".join(parts)

    def sign_headers(
        self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = ""
    ) -> dict[str, str]:
        """Return the headers that prove a webhook, by name: the inverse of :meth:`verify`.

        Only for sending. ``meta`` has the other headers, some of which may be signed.
        ``timestamp`` is the time of signing in Unix seconds.
        """
        signature = self.sign(key, meta, body, timestamp)
        header = self.signature_template.replace("{timestamp}", timestamp)
        headers = {self.signature_header: header.replace("{signature}", signature)}
        if timestamp and self.timestamp_header:
            headers.setdefault(self.timestamp_header, timestamp)
        return headers

    def read_timestamp(self, meta: Mapping[str, Any]) -> str | None:
        """Return the time of signing as it was sent, which is plain digits.

        It is "" if the scheme has no time, and None if the time is missing or malformed.
        """
        if not self.timestamp_pattern:
            return ""
        header = read_header(meta, self.timestamp_header or self.signature_header)
        found = compile_pattern(self.timestamp_pattern).search(header)
        if found and TIMESTAMP.fullmatch(found.group(1) or ""):
            return found.group(1)
        return None

    def check_age(self, timestamp: str) -> None:
        """Raise ``WebhookRefused`` for a time of signing that is too far away. "" is no time."""
        if not timestamp:
            return
        age = time.time() - int(timestamp)
        if abs(age) > self.tolerance:
            raise refusal("stale" if age > 0 else "future")


@lru_cache(maxsize=None)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return a regular expression, which is compiled once."""
    return re.compile(pattern)


@lru_cache(maxsize=None)
def split_content(content: str) -> tuple[bytes, ...]:
    """Return the parts of an option ``content``: text and names of placeholders, by turns."""
    return tuple(PLACEHOLDER.split(content.encode()))


def refusal(reason: str) -> WebhookRefused:
    """Return the refusal of a webhook that is not proved to be genuine.

    The reason is not for the sender.
    """
    return WebhookRefused(401, reason, "The signature does not match.")


def is_among(expected: str, signatures: Sequence[bytes]) -> bool:
    """Return whether a signature is among those that came, in constant time.

    It is compared with each of them, to the last, whether or not an earlier one is equal.
    """
    return any([hmac.compare_digest(expected.encode(), signature) for signature in signatures])


def fingerprint(key: bytes) -> str:
    """Return a short name for a key that says nothing about it: ``verified_by`` of an event."""
    return hashlib.sha256(b"fingerprint:" + key).hexdigest()[:12]


def cut_prefix(secret: str, prefix: str) -> str:
    """Return a secret without its prefix, if it has that."""
    return secret[len(prefix) :] if secret.startswith(prefix) else secret


def list_secrets(provider: HMACSignature) -> Sequence[Any]:
    """Return a provider's secrets; none if they are not a list."""
    return provider.secrets if isinstance(provider.secrets, (list, tuple)) else ()


def decode_secrets(provider: HMACSignature) -> dict[int, bytes]:
    """Return the usable keys of a provider's secrets, by the secrets' numbers from 1 on."""
    keys = {}
    for number, secret in enumerate(list_secrets(provider), 1):
        with suppress(ValueError):
            keys[number] = provider.decode_secret(secret)
    return keys


def number_keys(provider: HMACSignature) -> dict[int, bytes]:
    """Return a provider's usable keys by number from 1 on: that of its secret if there is one."""
    if provider.has_secrets:
        return decode_secrets(provider)
    return dict(enumerate(provider.keys(), 1))
