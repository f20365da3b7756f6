"""Verifies who sent a webhook.

The proof is an HMAC (RFC 2104) or a plain digest of the raw bytes, or a token, as attributes
describe. A class with another proof overrides one of the hooks of ``verify``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
import zlib
from contextlib import suppress
from functools import lru_cache
from typing import Any, Callable, Iterator, Mapping, Sequence

from django.utils import timezone as django_timezone

from ..exceptions import WebhookRefused
from .contents import fill_template
from .fields import read_outside, write_text
from .headers import read_header
from .payloads import find
from .times import read_moment, read_zone, write_time

MIN_KEY_LENGTH = 16  # bytes
WHSEC = "whsec_"


def decode_base64(text: str) -> bytes:
    """Return base64 decoded, with or without padding. Raises ``ValueError``.

    Strict, as ignoring a character outside the alphabet would silently give another key.
    """
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)


def encode_basic(text: str) -> bytes:
    """Return a user name and password as in Basic authentication (RFC 7617): in base64.

    A text without a colon is base64 already.
    """
    return base64.b64encode(text.encode()) if ":" in text else text.encode()


DECODERS: dict[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "hex": bytes.fromhex,
    "base64": decode_base64,
    "basic": encode_basic,
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    "whsec": lambda text: decode_base64(cut_prefix(text, WHSEC)),
}
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "text": bytes,
    "hex": binascii.hexlify,
    "base64": base64.b64encode,
    "hex_base64": lambda mac: base64.b64encode(binascii.hexlify(mac)),
}
# The pattern of a signature of a given size in bytes, by encoding.
WRITTEN: dict[str, Callable[[int], str]] = {
    "text": lambda size: r"[^\s]+",
    "hex": lambda size: rf"[0-9a-fA-F]{{{size * 2}}}",
    "base64": lambda size: rf"[0-9A-Za-z+/]{{{size * 4 // 3}}}[0-9A-Za-z+/=]{{0,3}}",
    "hex_base64": lambda size: r"[0-9A-Za-z+/]+={0,2}",
}
PROOFS: dict[str, Callable[[bytes, bytes, str], bytes]] = {
    "hmac": hmac.digest,
    "hash": lambda key, content, name: hashlib.new(name, content).digest(),
    "token": lambda key, content, name: key,
}
# The digests of a body that can be signed in its place.
DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "crc32": lambda body: str(zlib.crc32(body)).encode(),
    "body_sha256": lambda body: hashlib.sha256(body).hexdigest().encode(),
}
# What `read_timestamp` accepts. ASCII digits only, although Python reads others, too.
TIMESTAMPS = {
    "s": re.compile(r"[0-9]{1,12}"),
    "ms": re.compile(r"[0-9]{1,15}"),
    "iso": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,18}(?:Z|[+-][0-9:]{4,5})?"),
}


class HMACSignature:
    """How a provider signs. Each attribute is an option, and defaults to the default partner's."""

    #: The shared secrets, a list of strings. Any of them is accepted, so that they can be rotated.
    secrets: Any = ()
    #: How a secret's text becomes the key: ``text``, ``hex``, ``base64``, ``whsec`` (base64 after
    #: ``whsec_``), or ``basic`` (the ``user:password`` of Basic authentication). A ``key_prefix``
    #: is removed first.
    key_encoding = "text"
    key_prefix = ""
    #: The shortest key allowed, in bytes. A shorter one could be guessed.
    min_key_length = MIN_KEY_LENGTH
    #: What proves a webhook: ``hmac``; ``hash``, a plain digest of a ``content`` that includes
    #: ``{secret}``; or ``token``, the secret itself.
    proof = "hmac"
    #: The header with the signatures, or a list of such headers, and a pattern with one group that
    #: matches each signature. Without a pattern, they are where ``signature_template`` has them.
    signature_header: Any = "X-Signature"
    signature_pattern = ""
    #: The path of the signature if it is in the body. If a webhook carries several events, each has
    #: its own there.
    signature_field = ""
    #: What the header looks like, with ``{signature}`` and ``{timestamp}``, such as
    #: ``t={timestamp},v1={signature}``.
    signature_template = "{signature}"
    #: ``hex``, ``base64``, ``hex_base64`` (the base64 of the hex), or ``text``, for a token.
    signature_encoding = "hex"
    #: The digest's name in :mod:`hashlib`.
    digest = "sha256"
    #: What is signed: ``{body}``, ``{timestamp}``, ``{secret}``, ``{url}``, ``{header:X-Id}``,
    #: ``{query:id}``, ``{json:amount.value}``, ``{form:name}``, ``{crc32}`` or ``{body_sha256}`` of
    #: the body, or the name of a header in braces.
    #: A part in square brackets is left out if anything in it is missing.
    content = "{body}"
    #: The URL as the provider knows it, for a ``content`` with ``{url}``. Never taken from the
    #: request, as a proxy may have changed it.
    url = ""
    #: A pattern with one group that matches the signing time in ``timestamp_header``, or in the
    #: signature's own header. Without a pattern, it is where ``signature_template`` has it. Without
    #: either, the scheme has no timestamp.
    timestamp_pattern = ""
    timestamp_header = ""
    #: The format of the signing time: ``s`` or ``ms`` (Unix time) or ``iso``.
    timestamp_unit = "s"
    #: How far the signing time may be in the past or the future, in seconds; None for no limit.
    tolerance: float | None = 300
    #: The HTTP status for a webhook that is not proved to be genuine.
    refusal_status = 401

    #: Whether the keys come from ``secrets``. Set by a class, not an option.
    has_secrets = True
    #: Whether ``verify`` follows the options, so that the command ``verify_payment_webhook`` can
    #: explain each check. Set by a class, not an option.
    verifies_by_options = True

    _keys: list[bytes] | None = None

    def keys(self) -> list[bytes]:
        """Return the usable keys, decoded once from the secrets by :meth:`decode_secret`.

        A class with keys from elsewhere overrides this, and sets ``has_secrets`` to False.
        """
        if self._keys is None:
            self._keys = list(decode_secrets(self).values())
        return self._keys

    def decode_secret(self, secret: Any) -> bytes:
        """Return a secret's key.

        Raises ``ValueError`` if the secret is unusable. The message says why, without showing any
        of the secret.
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
        if length < self.min_key_length:
            raise ValueError(f"has {length} bytes, and {self.min_key_length} are needed")
        return key

    def verify(self, meta: Mapping[str, Any], body: bytes) -> str:
        """Return a short fingerprint of the key that signed exactly this body.

        A class with another proof overrides one of the hooks below, or this method, and sets
        ``verifies_by_options`` to False. Raises
        :class:`~django_payment_webhooks.exceptions.WebhookRefused` with status 503 and reason
        ``no_secret``, or with status 401 and reason ``no_signature``, ``malformed_signature``,
        ``mismatch``, ``stale`` or ``future``.
        """
        keys = self.keys()
        if not keys:
            text = "Webhooks of this provider can't be verified at present."
            raise WebhookRefused(503, "no_secret", text)
        timestamp = self.read_timestamp(meta)
        if timestamp is None:
            raise self.refuse_malformed(meta)
        signers = [self.find_signer(keys, meta, part, timestamp) for part in self.list_signed(body)]
        self.check_age(timestamp)
        return fingerprint(signers[0])

    def list_signed(self, body: bytes) -> Iterator[bytes]:
        """Yield each part of a body with its own signature. Most bodies have one, as a whole."""
        yield body

    def find_signer(
        self, keys: Sequence[bytes], meta: Mapping[str, Any], body: bytes, timestamp: str
    ) -> bytes:
        """Return the key that signed a body. Raises ``WebhookRefused`` if none did."""
        signatures = self.find_signatures(meta, body)
        if not signatures:
            raise self.refuse_malformed(meta)
        for key in keys:
            if self.matches(key, meta, body, timestamp, signatures):
                return key
        raise self.refuse("mismatch")

    def find_signatures(self, meta: Mapping[str, Any], body: bytes = b"") -> list[bytes]:
        """Return the received signatures, each normalized by :meth:`normalize`."""
        pattern = self.signature_pattern or self.derive_signature_pattern()
        if not pattern:
            return []
        find_all = compile_pattern(pattern).findall
        found = [text for place in self.list_places(meta, body) for text in find_all(place)]
        return [self.normalize(signature) for signature in found]

    def derive_signature_pattern(self) -> str:
        """Return the pattern for the signatures that ``signature_template`` describes."""
        size = hashlib.new(self.digest).digest_size
        return derive_pattern(
            self.signature_template, "signature", WRITTEN[self.signature_encoding](size)
        )

    def derive_timestamp_pattern(self) -> str:
        """Return the pattern for the signing time, or "" if the scheme has none."""
        if self.timestamp_pattern or self.timestamp_header:
            return self.timestamp_pattern or r"\A(.+)\Z"
        return derive_pattern(self.signature_template, "timestamp", r"[^,;\s]+")

    def list_places(self, meta: Mapping[str, Any], body: bytes) -> list[str]:
        """Return the texts that can contain signatures."""
        if not self.signature_field:
            return [read_header(meta, name) for name in list_names(self.signature_header)]
        with suppress(ValueError, RecursionError):
            return [write_text(find(self.decode_signed(body), self.signature_field))]
        return []

    def decode(self, body: bytes) -> Any:
        """Return the document in a body. Raises ``ValueError``."""
        raise NotImplementedError

    def decode_signed(self, body: bytes) -> Any:
        """Return the document that has a signature and what it covers. Raises ``ValueError``.

        It is not yet proved genuine. A class whose events are inside an envelope that is signed as
        a whole overrides this.
        """
        return self.decode(body)

    def matches(
        self,
        key: bytes,
        meta: Mapping[str, Any],
        body: bytes,
        timestamp: str,
        signatures: Sequence[bytes],
    ) -> bool:
        """Return whether a key made one of these signatures."""
        ways = self.list_ways(key, meta)
        made = [self.sign(each, headers, body, timestamp) for each, headers in ways]
        return any([is_among(signature, signatures) for signature in made])

    def list_ways(
        self, key: bytes, meta: Mapping[str, Any]
    ) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
        """Yield the keys and headers that a provider may have signed with, usually one pair."""
        yield key, meta

    def normalize(self, signature: str) -> bytes:
        """Return a received signature in the form that :meth:`sign` returns.

        As bytes, because ``compare_digest`` raises for a string that is not ASCII.
        """
        text = signature.lower() if self.signature_encoding == "hex" else signature
        return text.encode("utf-8", "replace")

    def sign(self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = "") -> str:
        """Return the signature of a webhook, encoded as the provider encodes it."""
        content = self.fill_content(meta, body, timestamp, key)
        proof = PROOFS[self.proof](key, content, self.digest)
        return ENCODERS[self.signature_encoding](proof).decode("utf-8", "replace")

    def fill_content(
        self, meta: Mapping[str, Any], body: bytes, timestamp: str = "", key: bytes = b""
    ) -> bytes:
        """Return the signed content: ``content`` with its placeholders replaced.

        Raises ``WebhookRefused`` if a part of the body is signed and the body can't be read.
        """

        def fill(name: str) -> bytes:
            if name in DIGESTS:
                return DIGESTS[name](body)
            kind, _, path = name.partition(":")
            if kind in ("json", "form"):
                return write_text(find(self.read_signed(body), path)).encode("utf-8", "replace")
            text = read_outside(name if path else f"header:{name}", meta)
            return text.encode("utf-8", "replace")

        known = {"body": body, "timestamp": timestamp.encode(), "secret": key}
        return fill_template(self.content, {**known, "url": self.url.encode()}, fill)

    def read_signed(self, body: bytes) -> Any:
        """Return the document in a body with signed parts. Raises ``WebhookRefused``."""
        try:
            return self.decode_signed(body)
        except (ValueError, RecursionError):
            raise self.refuse("malformed_signature") from None

    def sign_headers(
        self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = ""
    ) -> dict[str, str]:
        """Return the headers that prove a webhook, by name: the inverse of :meth:`verify`.

        Only for sending. ``meta`` has the other headers, some of which may be signed.
        ``timestamp`` is the signing time as :meth:`read_timestamp` returns it.
        """
        headers = {}
        if not self.signature_field:
            signature = self.sign(key, meta, body, timestamp)
            header = self.signature_template.replace("{timestamp}", timestamp)
            name = list_names(self.signature_header)[0]
            headers = {name: header.replace("{signature}", signature)}
        if timestamp and self.timestamp_header:
            headers.setdefault(self.timestamp_header, timestamp)
        return headers

    def read_timestamp(self, meta: Mapping[str, Any]) -> str | None:
        """Return the signing time as it was sent.

        It is "" if the scheme has no signing time, and None if the time is missing or malformed.
        """
        pattern = self.derive_timestamp_pattern()
        if not pattern:
            return ""
        name = self.timestamp_header or list_names(self.signature_header)[0]
        found = compile_pattern(pattern).search(read_header(meta, name))
        if found and TIMESTAMPS[self.timestamp_unit].fullmatch(found.group(1) or ""):
            return found.group(1)
        return None

    def has_timestamp(self) -> bool:
        """Whether the scheme has a signing time."""
        return bool(self.derive_timestamp_pattern())

    def check_age(self, timestamp: str) -> None:
        """Raise ``WebhookRefused`` for a signing time too far from now. "" stands for no time."""
        if not timestamp or self.tolerance is None:
            return
        age = time.time() - self.read_seconds(timestamp)
        if abs(age) > self.tolerance:
            raise self.refuse("stale" if age > 0 else "future")

    def read_seconds(self, timestamp: str) -> float:
        """Return a signing time in Unix seconds. Raises ``WebhookRefused``."""
        if self.timestamp_unit != "iso":
            return int(timestamp) / (1000 if self.timestamp_unit == "ms" else 1)
        try:
            return read_moment(timestamp, "iso", read_zone("UTC")).timestamp()
        except ValueError:
            raise self.refuse("malformed_signature") from None

    def write_timestamp(self, seconds: float) -> str:
        """Return a signing time as the provider writes it. Only for sending."""
        moment = django_timezone.now().fromtimestamp(int(seconds), read_zone("UTC"))
        return str(write_time(moment, self.timestamp_unit)) if self.has_timestamp() else ""

    def refuse(self, reason: str) -> WebhookRefused:
        """Return the error that refuses a webhook not proved to be genuine.

        The reason is not shown to the sender.
        """
        return WebhookRefused(self.refusal_status, reason, "The signature does not match.")

    def refuse_malformed(self, meta: Mapping[str, Any]) -> WebhookRefused:
        """Return the error that refuses a webhook with no signature, or none of this form."""
        names = list_names(self.signature_header)
        has_header = any(read_header(meta, name) for name in names)
        return self.refuse("malformed_signature" if has_header else "no_signature")


@lru_cache(maxsize=None)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return a compiled regular expression, cached."""
    return re.compile(pattern)


@lru_cache(maxsize=None)
def derive_pattern(template: str, name: str, written: str) -> str:
    """Return a pattern for a placeholder of a template, or "" if the template does not have it.

    The parts of a header are separated by commas, semicolons or spaces, in any order and number.
    """
    if template == f"{{{name}}}":
        return rf"\A({written})\Z"
    for part in re.split(r"[,;\s]+", template):
        before, found, after = part.partition(f"{{{name}}}")
        if found:
            return rf"(?:^|[,;\s]){re.escape(before)}({written}){re.escape(after)}(?=$|[,;\s])"
    return ""


def list_names(names: Any) -> Sequence[str]:
    """Return the names of headers from an option that has one or several."""
    return [names] if isinstance(names, str) else list(names)


def is_among(expected: str, signatures: Sequence[bytes]) -> bool:
    """Return whether a signature is among those received, in constant time.

    It is compared with all of them, even after a match.
    """
    return any([hmac.compare_digest(expected.encode(), signature) for signature in signatures])


def fingerprint(key: bytes) -> str:
    """Return a short name for a key that reveals nothing about it: an event's ``verified_by``."""
    return hashlib.sha256(b"fingerprint:" + key).hexdigest()[:12]


def cut_prefix(secret: str, prefix: str) -> str:
    """Return a secret without its prefix, if it has one."""
    return secret[len(prefix) :] if secret.startswith(prefix) else secret


def list_secrets(provider: HMACSignature) -> Sequence[Any]:
    """Return a provider's secrets, or none if they are not a list."""
    return provider.secrets if isinstance(provider.secrets, (list, tuple)) else ()


def decode_secrets(provider: HMACSignature) -> dict[int, bytes]:
    """Return the usable keys of a provider's secrets by the secrets' numbers, from 1."""
    keys = {}
    for number, secret in enumerate(list_secrets(provider), 1):
        with suppress(ValueError):
            keys[number] = provider.decode_secret(secret)
    return keys


def number_keys(provider: HMACSignature) -> dict[int, bytes]:
    """Return a provider's usable keys by number, from 1: that of its secret if there is one."""
    if provider.has_secrets:
        return decode_secrets(provider)
    return dict(enumerate(provider.keys(), 1))
