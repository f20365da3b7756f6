"""Why a webhook is answered with 401: each check of ``verify`` by itself, and what would have to be different.

Nothing that is returned here has a secret, a signature or a payload in it.
"""

import base64
import copy
import hashlib
import hmac
import itertools
import json
import re
import time
from contextlib import suppress
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import parse_qsl, unquote_to_bytes

from ..exceptions import WebhookRefused
from .declarative import Provider
from .signatures import DECODERS, MIN_KEY_LENGTH, HMACSignature, read_header

DIGESTS = ("sha1", "sha256", "sha384", "sha512", "md5")
CONTENTS = (
    "{body}",
    "{timestamp}.{body}",
    "{timestamp}{body}",
    "{timestamp}:{body}",
    "{body}{timestamp}",
)
# Whatever could be an encoded MAC or a time, wherever it is in a header.
TOKEN = re.compile(r"[A-Za-z0-9+/_-]{22,}={0,2}")
MAC_SIZES = {hashlib.new(name).digest_size for name in DIGESTS}
TIME = re.compile(r"(?<![0-9])[0-9]{10,13}(?![0-9])")


STYLES: List[Tuple[str, Dict[str, Any]]] = [
    ("compactly", {"separators": (",", ":")}),
    ("with spaces", {}),
    ("over many lines, with two spaces", {"indent": 2}),
    ("over many lines, with four spaces", {"indent": 4}),
    ("over many lines, with tabs", {"indent": "\t"}),
]


class Check(NamedTuple):
    """One thing that must be right, whether it is, and a sentence that says what was found."""

    name: str
    passed: bool
    text: str


class Change(NamedTuple):
    """One thing that could be different: what that would be, how to mend it, and what it makes of an attempt."""

    text: str
    advice: str
    values: Dict[str, Any]


class Match(NamedTuple):
    """A signature that was found: in which header, whether as hex or base64, and the number of its secret or 0."""

    header: str
    encoding: str
    number: int


def fingerprint(key: bytes) -> str:
    """Return what ``verified_by`` has of an event that this key verified."""
    return hashlib.sha256(b"fingerprint:" + key).hexdigest()[:12]


def explain(
    provider: Provider, meta: Mapping[str, Any], body: bytes, now: Optional[float] = None
) -> List[Check]:
    """Return what is checked before a webhook is stored, in that order, up to the first check that fails.

    ``now`` is when the webhook was received, in Unix seconds; the present by default. A provider whose class has a
    ``verify`` of its own gives only its verdict.
    """
    checks = [check_length(meta, body)]
    if type(provider).verify is HMACSignature.verify:
        for check in (check_secrets, check_header, check_signatures, check_time, check_match):
            checks.append(check(provider, meta, body))
            if not checks[-1].passed:
                return checks
        if provider.timestamp_pattern:
            checks.append(check_age(provider, meta, time.time() if now is None else now))
    if now is None and checks[-1].passed:
        checks += give_verdict(provider, meta, body)
    if all(check.passed for check in checks):
        checks.append(check_events(provider, meta, body))
    return checks


def give_verdict(provider: Provider, meta: Mapping[str, Any], body: bytes) -> Iterator[Check]:
    """Ask the provider itself, whose class may have rules of its own."""
    try:
        key = provider.verify(meta, body)
    except WebhookRefused as error:
        yield Check("verify", False, "The provider refuses it: %s." % error.reason)
    else:
        if type(provider).verify is not HMACSignature.verify:
            yield Check(
                "verify", True, "It is genuine, says the provider's class, by the key %s." % key
            )


def check_length(meta: Mapping[str, Any], body: bytes) -> Check:
    """Check that the body is as long as was announced."""
    length = str(meta.get("HTTP_CONTENT_LENGTH", ""))
    passed = length in ("", str(len(body)))
    hint = (
        "" if passed else " Its Content-Length is %s: it is not what was sent." % ascii(length[:20])
    )
    return Check("body", passed, "The body has %d bytes.%s" % (len(body), hint))


def check_events(provider: Provider, meta: Mapping[str, Any], body: bytes) -> Check:
    """Check that the body can be parsed. One that can't is answered with 400, not 401."""
    try:
        events = provider.parse(meta, body)
    except WebhookRefused as error:
        return Check("events", False, "It is genuine, but: %s" % ascii(str(error))[1:-1])
    told = ["%s %s" % (event["type"], event["provider_event_id"]) for event in events]
    return Check("events", True, "It says: %s." % ascii(", ".join(told))[1:-1])


def list_keys(provider: Provider) -> List[Tuple[int, bytes]]:
    """Return the usable keys, each with the number of its secret, the first being 1."""
    if type(provider).keys is not HMACSignature.keys:
        return list(enumerate(provider.keys(), 1))
    found = []
    for number, secret in enumerate(
        provider.secrets if isinstance(provider.secrets, (list, tuple)) else (), 1
    ):
        alone = copy.copy(provider)
        alone.secrets = [secret]
        keys = alone.keys()
        found += [(number, keys[0])] if keys else []
    return found


def check_secrets(provider: Provider, meta: Mapping[str, Any], body: bytes) -> Check:
    """Check that there is a usable secret."""
    keys = dict(list_keys(provider))
    told = [
        "Key %d has the fingerprint %s." % (number, fingerprint(key))
        for number, key in sorted(keys.items())
    ]
    for number, secret in enumerate(
        provider.secrets if isinstance(provider.secrets, (list, tuple)) else (), 1
    ):
        if number not in keys:
            told.append(
                "Key %d can't be used: its secret %s." % (number, find_fault(provider, secret))
            )
    if not keys:
        told.append("Set SECRETS to a list of texts of %d bytes or more." % MIN_KEY_LENGTH)
    return Check("secrets", bool(keys), " ".join(told))


def find_fault(provider: Provider, secret: Any) -> str:
    """Return what is wrong with a secret that gives no key."""
    if not isinstance(secret, str):
        return "is no text"
    if not secret.strip():
        return "is blank"
    try:
        start = len(provider.key_prefix) if secret.startswith(provider.key_prefix) else 0
        length = len(DECODERS[provider.key_encoding](secret[start:]).strip())
    except (KeyError, ValueError):
        return "can't be decoded as %s, which KEY_ENCODING says" % provider.key_encoding
    return "has %d bytes, and %d are needed" % (length, MIN_KEY_LENGTH)


def check_header(provider: Provider, meta: Mapping[str, Any], body: bytes) -> Check:
    """Check that the header with the signatures is there."""
    name = provider.signature_header
    if read_header(meta, name):
        return Check(
            "header",
            True,
            "The header %s has %d characters." % (name, len(read_header(meta, name))),
        )
    others = [
        header
        for header in list_headers(meta)
        if "sign" in header.lower() or "hmac" in header.lower()
    ]
    hint = (
        "There is %s: look at SIGNATURE_HEADER." % ", ".join(others)
        if others
        else "A proxy may have removed it."
    )
    return Check("header", False, "The header %s is missing or empty. %s" % (name, hint))


def list_headers(meta: Mapping[str, Any]) -> List[str]:
    """Return the names of the headers that came."""
    return [name[5:].replace("_", "-").title() for name in meta if name.startswith("HTTP_")]


def check_signatures(provider: Provider, meta: Mapping[str, Any], body: bytes) -> Check:
    """Check that the pattern finds a signature in the header."""
    header = read_header(meta, provider.signature_header)
    count = len(re.findall(provider.signature_pattern, header))
    if count:
        return Check("signatures", True, "SIGNATURE_PATTERN finds %d in it." % count)
    forms = [
        "%d characters of %s" % (len(word), encoding) for word, encoding, _ in find_macs(header)
    ]
    hints = [
        "It has %s." % " and ".join(forms) if forms else "Nothing in it is as long as a signature."
    ]
    if header != header.strip():
        hints.append("It begins or ends with white space.")
    text = "SIGNATURE_PATTERN finds no signature in %s. " % provider.signature_header
    return Check("signatures", False, text + " ".join(hints))


def find_macs(text: str) -> List[Tuple[str, str, bytes]]:
    """Return what could be a MAC in a text: how it is written, whether that is hex or base64, and its bytes."""
    found = []
    for word in TOKEN.findall(text):
        if re.match(r"(?:[0-9a-fA-F]{2})+\Z", word):
            found.append((word, "hex", bytes.fromhex(word)))
            continue
        plain = word.rstrip("=").replace("-", "+").replace("_", "/")
        with suppress(ValueError):
            found.append((word, "base64", base64.b64decode(plain + "=" * (-len(plain) % 4))))
    return [each for each in found if len(each[2]) in MAC_SIZES]


def check_time(provider: Provider, meta: Mapping[str, Any], body: bytes) -> Check:
    """Check that the time of signing is there, if the scheme has one."""
    timestamp = provider.read_timestamp(meta)
    if timestamp == "":
        return Check("time", True, "The scheme has no time of signing.")
    if timestamp:
        return Check("time", True, "The time of signing is %s." % timestamp)
    name = provider.timestamp_header or provider.signature_header
    header = read_header(meta, name)
    hint = "It has no 1 to 12 plain digits where TIMESTAMP_PATTERN looks."
    if not header:
        hint = "The header is missing or empty."
    elif [found for found in TIME.findall(header) if len(found) == 13]:
        hint = "It has a time in milliseconds, and Unix seconds are needed."
    return Check("time", False, "There is no time of signing in %s. %s" % (name, hint))


def check_match(provider: Provider, meta: Mapping[str, Any], body: bytes) -> Check:
    """Check that a key has signed exactly this body."""
    header = read_header(meta, provider.signature_header)
    found = [provider.normalize(text) for text in re.findall(provider.signature_pattern, header)]
    timestamp = provider.read_timestamp(meta) or ""
    for number, key in list_keys(provider):
        expected = provider.sign(key, meta, body, timestamp).encode()
        if any([hmac.compare_digest(expected, signature) for signature in found]):
            text = "It matches key %d of %d, whose fingerprint is %s."
            return Check("match", True, text % (number, len(list_keys(provider)), fingerprint(key)))
    return Check("match", False, "No key of this provider has signed exactly this body.")


def check_age(provider: Provider, meta: Mapping[str, Any], now: float) -> Check:
    """Check that it was signed near enough to now."""
    age = now - int(provider.read_timestamp(meta) or 0)
    passed = abs(age) <= provider.tolerance
    text = "It was signed %d s %s it was received; up to %g s are allowed."
    hint = "" if passed else " Compare the clocks, or it was recorded and sent again."
    return Check(
        "age",
        passed,
        text % (abs(age), "before" if age >= 0 else "after", provider.tolerance) + hint,
    )


# ---- what would have to be different


def find_changes(
    provider: Provider, others: List[Provider], meta: Mapping[str, Any], body: bytes
) -> Optional[List[Change]]:
    """Return what would have to be different for a signature to be right; None if nothing is found.

    Every change is proved: with all of them, a key gives a MAC that is in a header. At most two of
    the body, the key, the digest and the content are changed at once, and the likeliest is tried
    first. ``others`` are the project's other providers, whose keys are tried, too.
    """
    macs = {
        name: {mac: encoding for _, encoding, mac in find_macs(read_header(meta, name))}
        for name in list_headers(meta)
    }
    kinds = [
        list_bodies(body),
        list_key_changes(provider, others),
        list_digests(provider),
        list_contents(provider),
    ]
    for count in range(3):
        for chosen in itertools.combinations(kinds, count):
            for changes in itertools.product(*chosen):
                match = find_match(provider, meta, body, changes, macs)
                if match:
                    found = [*changes, *explain_match(provider, match)]
                    return [
                        change._replace(values={}) for change in found
                    ]  # which has bodies and keys
    return None


def find_match(
    provider: Provider,
    meta: Mapping[str, Any],
    body: bytes,
    changes: Tuple[Change, ...],
    macs: Mapping[str, Mapping[bytes, str]],
) -> Optional[Match]:
    """Return a signature, among the MACs of each header, that a key gives with these changes."""
    values: Dict[str, Any] = {}
    for change in changes:
        values.update(change.values)
    variant = copy.copy(provider)
    variant.digest, variant.content = (
        values.get("digest", provider.digest),
        values.get("content", provider.content),
    )
    keys = [(0, values["key"])] if "key" in values else list_keys(provider)
    names = sorted(macs, key=lambda name: name.lower() != provider.signature_header.lower())
    for (number, key), timestamp in itertools.product(keys, list_times(provider, meta)):
        signature = variant.sign(key, meta, values.get("body", body), timestamp)
        for (_, _, mac), name in itertools.product(find_macs(signature), names):
            if mac in macs[name]:
                return Match(name, macs[name][mac], number)
    return None


def list_times(provider: Provider, meta: Mapping[str, Any]) -> List[str]:
    """Return the time of signing; if the provider finds none, whatever in a header could be one."""
    timestamp = provider.read_timestamp(meta)
    if timestamp:
        return [timestamp]
    found = {text for name in list_headers(meta) for text in TIME.findall(read_header(meta, name))}
    return ["", *sorted(found)]


def explain_match(provider: Provider, match: Match) -> Iterator[Change]:
    """Tell where the right signature is, and how it is written, as far as the options say something else."""
    if match.number:
        yield Change("it is key %d" % match.number, "", {})
    if match.header.lower() != provider.signature_header.lower():
        text = "the signature is in the header %s" % match.header
        yield Change(text, "Set SIGNATURE_HEADER to %r." % match.header, {})
    if match.encoding != provider.signature_encoding:
        text = "the signature is written in %s" % match.encoding
        yield Change(
            text,
            "Set SIGNATURE_ENCODING to %r, and look at SIGNATURE_PATTERN." % match.encoding,
            {},
        )


def list_bodies(body: bytes) -> List[Change]:
    """Return what the body may have been before somebody rewrote it."""
    rewritten = "Something between the provider and the app rewrites the body: it must pass on the raw bytes."
    saved = "Take the body as it was sent; an editor or a shell may have changed its end."
    bodies: List[Tuple[str, str, bytes]] = [
        ("the line break at the body's end is left out", saved, re.sub(rb"\r?\n\Z", b"", body)),
        ("the body gets a line break at its end", saved, body + b"\n"),
        ("the white space around the body is left out", saved, body.strip()),
        ("the body's line breaks are LF, not CRLF", rewritten, body.replace(b"\r\n", b"\n")),
        ("the body's line breaks are CRLF, not LF", rewritten, re.sub(rb"\r?\n", b"\r\n", body)),
        (
            "the byte order mark is left out",
            rewritten,
            body[3:] if body.startswith(b"\xef\xbb\xbf") else body,
        ),
        ("the body gets a byte order mark", rewritten, b"\xef\xbb\xbf" + body),
        (
            "the body is empty",
            "The provider signs no body: look at CONTENT, or at what reads the body first.",
            b"",
        ),
        *[("the body is %s" % how, rewritten, decoded) for how, decoded in decode(body)],
        *[
            ("the body is JSON that is written %s" % how, rewritten, text)
            for how, text in rewrite_json(body)
        ],
    ]
    known = {body}
    changes = []
    for text, advice, changed in bodies:
        if changed not in known:
            known.add(changed)
            changes.append(Change(text, advice, {"body": changed}))
    return changes


def decode(body: bytes) -> Iterator[Tuple[str, bytes]]:
    """Return what a body says if it was encoded once more on its way."""
    yield "decoded from percent signs", unquote_to_bytes(body)
    yield "decoded as a form", unquote_to_bytes(body.replace(b"+", b" "))
    for name, value in parse_qsl(body.decode("utf-8", "replace")):
        yield "the field %s of a form" % ascii(name[:40]), value.encode()
    functions: List[Tuple[str, Callable[[], bytes]]] = [
        ("decoded from base64", lambda: base64.b64decode(body, validate=True)),
        ("decoded from a JSON string", lambda: json.loads(body.decode()).encode()),
        ("decoded from UTF-8 to Latin-1", lambda: body.decode().encode("latin-1")),
        ("decoded from Latin-1 to UTF-8", lambda: body.decode("latin-1").encode()),
        ("decoded from UTF-16 to UTF-8", lambda: body.decode("utf-16").encode()),
    ]
    for how, function in functions:
        with suppress(AttributeError, RecursionError, ValueError):
            yield how, function()


def rewrite_json(body: bytes) -> Iterator[Tuple[str, bytes]]:
    """Return the same JSON as other programs write it."""
    try:
        document = json.loads(body.decode("utf-8-sig"))
        for (style, options), by_name, only_ascii in itertools.product(
            STYLES, (False, True), (False, True)
        ):
            text = json.dumps(document, sort_keys=by_name, ensure_ascii=only_ascii, **options)
            how = (
                style
                + (", sorted by name" if by_name else "")
                + (", with \\u escapes" if only_ascii else "")
            )
            for changed, detail in (
                (text, ""),
                (text.replace("/", "\\/"), ", with \\/ for /"),
                (
                    re.sub(r"(?<=[0-9])\.0+(?=[\s,\]}])", "", text),
                    ", with whole numbers without .0",
                ),
            ):
                yield how + detail, changed.encode("utf-8", "surrogatepass")
    except (RecursionError, TypeError, ValueError):
        return


def list_key_changes(provider: Provider, others: List[Provider]) -> List[Change]:
    """Return other keys that may have signed."""
    changes = []
    for other in others:
        for number, key in list_keys(other):
            advice = "Look at the address that the provider was given: it says who sends."
            changes.append(
                Change(
                    "it is key %d of the provider %s" % (number, other.name), advice, {"key": key}
                )
            )
    for number, secret in enumerate(
        provider.secrets if isinstance(provider.secrets, (list, tuple)) else (), 1
    ):
        changes += vary_secret(provider, number, str(secret))
    return [
        *changes,
        Change("the key is empty", "The provider has no secret: give it yours.", {"key": b""}),
    ]


def vary_secret(provider: Provider, number: int, secret: str) -> Iterator[Change]:
    """Return other keys that the text of a secret can become."""
    encoding = "Set KEY_ENCODING to %r, and look at KEY_PREFIX."
    plain = secret[len(provider.key_prefix) :] if secret.startswith(provider.key_prefix) else secret
    fault, longer = (
        find_fault(provider, secret),
        "Ask the provider for a secret of %d bytes or more." % MIN_KEY_LENGTH,
    )
    broken = "The provider has it with a line break: give it to them again."
    functions: List[Tuple[str, str, Callable[[], bytes]]] = [
        ("is used although it " + fault, longer, lambda: DECODERS[provider.key_encoding](plain)),
        *[
            ("is read as " + name + how, encoding % name, partial(decoder, text))
            for name, decoder in DECODERS.items()
            for text, how in ((secret, ""), (plain, ", without its prefix"))
        ],
        (
            "has no white space around it",
            "Remove that from the secret.",
            lambda: secret.strip().encode(),
        ),
        (
            "has no quotes around it",
            "Remove them from the secret.",
            lambda: secret.strip("\"'").encode(),
        ),
        ("has a line break at its end", broken, lambda: secret.encode() + b"\n"),
    ]
    for text, advice, function in functions:
        with suppress(KeyError, ValueError):
            yield Change("secret %d %s" % (number, text), advice, {"key": function()})


def list_digests(provider: Provider) -> List[Change]:
    """Return the other digests."""
    return [
        Change(
            "the digest is %s" % digest,
            "Set DIGEST to %r, and look at SIGNATURE_PATTERN." % digest,
            {"digest": digest},
        )
        for digest in DIGESTS
        if digest != provider.digest
    ]


def list_contents(provider: Provider) -> List[Change]:
    """Return other things that may be signed."""
    return [
        Change(
            "what is signed is %s" % content, "Set CONTENT to %r." % content, {"content": content}
        )
        for content in CONTENTS
        if content != provider.content
    ]
