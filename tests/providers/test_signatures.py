"""A webhook is from whom it says: every part of how a provider signs is an option."""

import base64
import hashlib
import hmac
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.signatures import (
    HMACSignature,
    fingerprint,
    number_keys,
)

NEW, OLD, OTHER = "the-new-secret-16", "the-old-secret-16", "of-somebody-else!"
BODY = b'{"event_id": "evt_1"}'


def scheme(secrets=(NEW,), **options):
    """Return a way to sign, with these attributes."""
    signature = HMACSignature()
    vars(signature).update(options, secrets=list(secrets))
    return signature


def timed(**options):
    """Return a way to sign the time as well, as many providers do."""
    options.setdefault("signature_pattern", r"(?:\A|,)v1=([0-9a-f]{64})(?=,|\Z)")
    return scheme(timestamp_pattern=r"(?:\A|,)t=([^,]*)", content="{timestamp}.{body}", **options)


def hex_mac(secret, content, digest="sha256"):
    """Return an HMAC in hex."""
    return hmac.new(secret.encode(), content, digest).hexdigest()


def refusal(signature, body=BODY, **meta):
    """Return status and reason of the refusal of a request with these headers."""
    with pytest.raises(WebhookRefused) as raised:
        signature.verify(meta, body)
    return raised.value.status, raised.value.reason


# ---- the default partner's scheme


def test_the_hmac_of_the_raw_body_in_hex_is_accepted():
    assert scheme().verify({"HTTP_X_SIGNATURE": hex_mac(NEW, BODY)}, BODY)


def test_a_known_vector_of_another_implementation_is_accepted():
    # printf '{"event_id": "evt_1"}' | openssl dgst -sha256 -hmac the-new-secret-16
    genuine = "bc1f4cf1f346d6d512d0532e11172a31faec0831661187889abc5d3c9b404335"
    assert scheme().verify({"HTTP_X_SIGNATURE": genuine}, BODY)


def test_upper_case_hex_is_accepted():
    assert scheme().verify({"HTTP_X_SIGNATURE": hex_mac(NEW, BODY).upper()}, BODY)


@pytest.mark.parametrize(
    "body", [b"", BODY + b" ", BODY + b"\n", BODY[:-1], BODY.replace(b"1", b"2"), BODY.upper()]
)
def test_any_other_body_is_refused(body):
    assert refusal(scheme(), body, HTTP_X_SIGNATURE=hex_mac(NEW, BODY)) == (401, "mismatch")


@pytest.mark.parametrize(
    "body", [b"\xff\x00\xfe", b"{body}", b"{timestamp}{x-signature}", b"%s %d {}", b"\\1 \\g<0>"]
)
def test_the_bytes_are_signed_as_they_are(body):
    genuine = {"HTTP_X_SIGNATURE": hex_mac(NEW, body)}
    assert scheme().verify(genuine, body)
    genuine = {"HTTP_X_SIGNATURE": hex_mac(NEW, b"<" + body + b">")}
    assert scheme(content="<{body}>").verify(genuine, body)


@pytest.mark.parametrize(
    "meta",
    [{}, {"HTTP_X_SIGNATURE": ""}, {"HTTP_X_SIGNATURE": None}, {"HTTP_SIGNATURE": "00" * 32}],
)
def test_a_request_without_the_header_has_no_signature(meta):
    assert refusal(scheme(), **meta) == (401, "no_signature")


GENUINE = hex_mac(NEW, BODY)


@pytest.mark.parametrize(
    "header",
    [
        " " + GENUINE,
        GENUINE + " ",
        GENUINE + "\n",
        GENUINE[:32] + " " + GENUINE[32:],
        " ".join(GENUINE),
        GENUINE[:-1],
        GENUINE + "0",
        GENUINE + GENUINE,
        GENUINE + "," + GENUINE,
        GENUINE + ",",
        "0x" + GENUINE,
        "sha256=" + GENUINE,
        "v1=" + GENUINE,
        "g" * 64,
        "\u00e9" * 64,
        "\uff10" * 64,
        "\ud800" * 64,
        "\0" * 64,
        base64.b64encode(hmac.new(NEW.encode(), BODY, hashlib.sha256).digest()).decode(),
        "0" * 2**20,
    ],
)
def test_a_header_that_is_not_exactly_64_hex_digits_is_malformed(header):
    assert refusal(scheme(), HTTP_X_SIGNATURE=header) == (401, "malformed_signature")


def test_the_hmac_of_another_digest_is_refused():
    assert refusal(scheme(), HTTP_X_SIGNATURE=hex_mac(NEW, BODY, "sha3_256")) == (401, "mismatch")
    assert refusal(scheme(), HTTP_X_SIGNATURE=hex_mac(NEW, BODY, "md5")) == (
        401,
        "malformed_signature",
    )


def test_the_plain_digest_of_the_body_is_refused():
    assert refusal(scheme(), HTTP_X_SIGNATURE=hashlib.sha256(BODY).hexdigest()) == (401, "mismatch")


def test_the_sender_does_not_learn_what_is_wrong():
    def message(**meta):
        with pytest.raises(WebhookRefused) as raised:
            timed().verify(meta, BODY)
        return str(raised.value)

    late = str(int(time.time()) - 301)
    stale = "t=%s,v1=%s" % (late, hex_mac(NEW, late.encode() + b"." + BODY))
    headers = ["", "nonsense", "t=1,v1=" + "0" * 64, stale]
    assert {message(HTTP_X_SIGNATURE=header) for header in headers} == {
        "The signature does not match."
    }


# ---- secrets


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_each_of_several_secrets_is_accepted(secret):
    assert scheme([NEW, OLD]).verify({"HTTP_X_SIGNATURE": hex_mac(secret, BODY)}, BODY)


def test_a_secret_that_was_removed_is_refused():
    assert refusal(scheme([NEW]), HTTP_X_SIGNATURE=hex_mac(OLD, BODY)) == (401, "mismatch")


def test_the_fingerprint_says_which_secret_verified_and_not_what_it_is():
    signature = scheme([NEW, OLD])
    by_new = signature.verify({"HTTP_X_SIGNATURE": hex_mac(NEW, BODY)}, BODY)
    by_old = signature.verify({"HTTP_X_SIGNATURE": hex_mac(OLD, BODY)}, BODY)
    again = scheme([OLD]).verify({"HTTP_X_SIGNATURE": hex_mac(OLD, b"other")}, b"other")
    assert by_new != by_old == again
    assert (by_new, by_old) == (fingerprint(NEW.encode()), fingerprint(OLD.encode()))
    assert len(by_new) == len(by_old) == 12
    assert not {by_new, by_old} & {
        hashlib.sha256(secret.encode()).hexdigest()[:12] for secret in (NEW, OLD)
    }


UNUSABLE = [
    "",
    " ",
    " " * 16,
    "\t" * 32,
    "fifteen-bytes-x",
    None,
    17,
    b"sixteen-bytes-or-more",
    ["sixteen-bytes-or-more"],
]


@pytest.mark.parametrize("secret", UNUSABLE)
def test_a_secret_that_is_no_text_or_too_short_or_blank_gives_no_key(secret):
    assert scheme([secret]).keys() == []
    assert scheme([secret, NEW]).keys() == [NEW.encode()]


@pytest.mark.parametrize(
    "secrets",
    [
        None,
        (),
        [],
        {},
        "sixteen-bytes-or-more",
        b"sixteen-bytes-or-more",
        17,
        *([s] for s in UNUSABLE),
    ],
)
def test_without_a_usable_key_everything_is_refused_with_503(secrets):
    signature = HMACSignature()
    signature.secrets = secrets
    assert signature.keys() == []
    with_empty_key = hmac.new(b"", BODY, hashlib.sha256).hexdigest()
    for header in ("", with_empty_key, hex_mac(NEW, BODY), "nonsense"):
        assert refusal(signature, HTTP_X_SIGNATURE=header) == (503, "no_secret")


@pytest.mark.parametrize("key", [b"", b" ", b"None", b"[]", NEW[:15].encode()])
def test_a_signature_made_with_an_empty_or_guessable_key_is_refused(key):
    forged = hmac.new(key, BODY, hashlib.sha256).hexdigest()
    assert refusal(scheme(["", None, NEW]), HTTP_X_SIGNATURE=forged) == (401, "mismatch")


@pytest.mark.parametrize(
    ("secret", "options", "fault"),
    [
        (None, {}, "is not text"),
        (b"sixteen-bytes-or-more", {}, "is not text"),
        ("", {}, "is blank"),
        ("\t \n", {}, "is blank"),
        ("fifteen-bytes-x", {}, "has 15 bytes, and 16 are needed"),
        ("  spaces do not count ", {"key_prefix": "  spaces do not"}, "has 5 bytes, and 16"),
        ("not hex at all, it is", {"key_encoding": "hex"}, "can't be decoded as hex, which KEY_"),
        ("abcde", {"key_encoding": "base64"}, "can't be decoded as base64, which KEY_ENCODING"),
        (NEW, {"key_encoding": "rot13"}, "can't be decoded as rot13, which KEY_ENCODING says"),
        ("\ud800" * 16, {}, "can't be decoded as text, which KEY_ENCODING says"),
    ],
)
def test_what_is_wrong_with_a_secret_is_said_without_the_secret(secret, options, fault):
    with pytest.raises(ValueError) as raised:
        scheme([secret], **options).decode_secret(secret)
    assert str(raised.value).startswith(fault)
    assert not secret or not str(secret).strip() or str(secret) not in str(raised.value)
    assert scheme([secret], **options).keys() == []


def test_keys_are_numbered_as_their_secrets_are():
    signature = scheme(["", NEW, None, OLD])
    assert number_keys(signature) == {2: NEW.encode(), 4: OLD.encode()}


def test_keys_that_come_from_elsewhere_are_numbered_in_their_order():
    class Keyed(HMACSignature):
        has_secrets = False
        secrets = [NEW]

        def keys(self):
            return [OLD.encode(), OTHER.encode()]

    assert number_keys(Keyed()) == {1: OLD.encode(), 2: OTHER.encode()}
    assert Keyed().verify({"HTTP_X_SIGNATURE": hex_mac(OTHER, BODY)}, BODY)
    assert refusal(Keyed(), HTTP_X_SIGNATURE=hex_mac(NEW, BODY)) == (401, "mismatch")


def test_secrets_are_decoded_and_patterns_are_compiled_once_and_not_for_each_webhook(monkeypatch):
    decoded = []

    class Counting(HMACSignature):
        secrets = [NEW, OLD]
        timestamp_pattern = r"(?:\A|,)t=([^,]*)"
        signature_pattern = r"(?:\A|,)v1=([0-9a-f]{64})(?=,|\Z)"
        content = "{timestamp}.{body}"

        def decode_secret(self, secret):
            decoded.append(secret)
            return super().decode_secret(secret)

    signature = Counting()
    genuine = {"HTTP_X_SIGNATURE": timed_header(int(time.time()))}
    assert signature.verify(genuine, BODY)
    with monkeypatch.context() as patched:
        for name in ("compile", "findall", "search", "sub", "split", "match"):
            patched.setattr(re, name, None)
        for _ in range(3):
            assert signature.verify(genuine, BODY)
            assert signature.sign(NEW.encode(), {}, BODY, "1")
    assert decoded == [NEW, OLD]


def test_a_secret_of_16_bytes_is_long_enough():
    assert scheme(["sixteen-bytes-xx"]).keys() == [b"sixteen-bytes-xx"]
    assert scheme(["\u00e9" * 8]).keys() == [b"\xc3\xa9" * 8]


KEY = bytes(range(16, 48))


@pytest.mark.parametrize(
    ("encoding", "prefix", "secret"),
    [
        ("hex", "", KEY.hex()),
        ("hex", "key_", "key_" + KEY.hex().upper()),
        ("base64", "", base64.b64encode(KEY).decode()),
        ("base64", "whsec_", "whsec_" + base64.b64encode(KEY).decode()),
        ("text", "", KEY.decode()),
        ("text", "whsec_", "whsec_" + KEY.decode()),
    ],
)
def test_the_key_is_decoded_after_its_prefix_is_cut_off(encoding, prefix, secret):
    signature = scheme([secret], key_encoding=encoding, key_prefix=prefix)
    assert signature.keys() == [KEY]
    genuine = hmac.new(KEY, BODY, hashlib.sha256).hexdigest()
    assert signature.verify({"HTTP_X_SIGNATURE": genuine}, BODY)
    text = hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
    assert secret.encode() == KEY or refusal(signature, HTTP_X_SIGNATURE=text) == (401, "mismatch")


@pytest.mark.parametrize(
    ("encoding", "secret"),
    [("hex", "not-hex-not-hex-not-hex-not-hex-"), ("hex", "abc"), ("base64", "abcde")],
)
def test_a_secret_that_can_not_be_decoded_gives_no_key(encoding, secret):
    assert scheme([secret], key_encoding=encoding).keys() == []


def test_a_secret_without_the_prefix_that_it_should_have_is_not_cut():
    secret = "a-good-secret-without-its-prefix"
    assert scheme([secret], key_prefix="whsec_").keys() in ([], [secret.encode()])


# ---- where and how signatures are written


def test_the_name_of_the_header_is_an_option():
    signature = scheme(signature_header="Partner-Signature")
    assert signature.verify({"HTTP_PARTNER_SIGNATURE": hex_mac(NEW, BODY)}, BODY)
    assert refusal(signature, HTTP_X_SIGNATURE=hex_mac(NEW, BODY)) == (401, "no_signature")


def test_the_pattern_finds_the_signature_in_its_header():
    signature = scheme(signature_pattern=r"\Asha256=([0-9a-f]{64})\Z")
    assert signature.verify({"HTTP_X_SIGNATURE": "sha256=" + GENUINE}, BODY)
    for header in (
        GENUINE,
        "sha1=" + GENUINE,
        "SHA256=" + GENUINE,
        "sha256=" + GENUINE.upper(),
        "sha256=",
    ):
        assert refusal(signature, HTTP_X_SIGNATURE=header) == (401, "malformed_signature")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_any_of_several_signatures_in_one_header_is_enough(position):
    found = ["v1=" + hex_mac(OTHER, BODY)] * 3
    found[position] = "v1=" + GENUINE
    signature = scheme(signature_pattern=r"(?:\A|,)v1=([0-9a-f]{64})(?=,|\Z)")
    assert signature.verify({"HTTP_X_SIGNATURE": ",".join(found)}, BODY)


def test_signatures_of_another_scheme_beside_the_genuine_one_are_ignored():
    signature = scheme(signature_pattern=r"(?:\A|,)v1=([0-9a-f]{64})(?=,|\Z)")
    assert signature.verify({"HTTP_X_SIGNATURE": "v0=%s,v1=%s,none=" % ("0" * 64, GENUINE)}, BODY)
    assert refusal(signature, HTTP_X_SIGNATURE="v0=%s,none=" % GENUINE) == (
        401,
        "malformed_signature",
    )


def test_several_signatures_meet_several_secrets():
    signature = scheme([NEW, OLD], signature_pattern=r"(?:\A|,)v1=([0-9a-f]{64})(?=,|\Z)")
    header = "v1=%s,v1=%s" % (hex_mac(OTHER, BODY), hex_mac(OLD, BODY))
    assert signature.verify({"HTTP_X_SIGNATURE": header}, BODY)


def test_a_signature_can_be_base64_which_has_a_case():
    signature = scheme(signature_encoding="base64", signature_pattern=r"\A([\w+/]{43}=)\Z")
    genuine = base64.b64encode(hmac.new(NEW.encode(), BODY, hashlib.sha256).digest()).decode()
    assert signature.verify({"HTTP_X_SIGNATURE": genuine}, BODY)
    assert refusal(signature, HTTP_X_SIGNATURE=genuine.swapcase()) == (401, "mismatch")


def test_a_signature_beyond_ascii_is_refused_whatever_the_pattern_lets_through():
    signature = scheme(signature_pattern=r"\A(.*)\Z")
    for header in ("\u00e9" * 64, "\ud800", "\U0001f600", GENUINE[:-1] + "\u0661"):
        assert refusal(signature, HTTP_X_SIGNATURE=header) == (401, "mismatch")


@pytest.mark.parametrize("digest", ["sha1", "sha384", "sha512"])
def test_the_digest_is_an_option(digest):
    signature = scheme(digest=digest, signature_pattern=r"\A([0-9a-f]+)\Z")
    assert signature.verify({"HTTP_X_SIGNATURE": hex_mac(NEW, BODY, digest)}, BODY)
    assert refusal(signature, HTTP_X_SIGNATURE=hex_mac(NEW, BODY)) == (401, "mismatch")


def test_headers_can_be_signed_too():
    signature = scheme(content="{Webhook-Id}.{body}")
    genuine = {"HTTP_WEBHOOK_ID": "evt_1", "HTTP_X_SIGNATURE": hex_mac(NEW, b"evt_1." + BODY)}
    assert signature.verify(genuine, BODY)
    assert refusal(signature, **dict(genuine, HTTP_WEBHOOK_ID="evt_2")) == (401, "mismatch")
    del genuine["HTTP_WEBHOOK_ID"]
    assert refusal(signature, **genuine) == (401, "mismatch")


@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
def test_headers_whose_names_have_no_prefix_can_be_signed_too(name):
    signature = scheme(content="{%s}.{body}" % name)
    genuine = {
        "CONTENT_TYPE": "application/json",
        "HTTP_X_SIGNATURE": hex_mac(NEW, b"application/json." + BODY),
    }
    assert signature.verify(genuine, BODY)
    assert refusal(signature, **dict(genuine, CONTENT_TYPE="text/plain")) == (401, "mismatch")


def test_a_signed_header_is_not_a_template_itself():
    signature = scheme(content="{Webhook-Id}.{body}")
    genuine = {"HTTP_WEBHOOK_ID": "{body}", "HTTP_X_SIGNATURE": hex_mac(NEW, b"{body}." + BODY)}
    assert signature.verify(genuine, BODY)


# ---- sending


def test_what_is_signed_for_sending_is_accepted():
    signature = timed(signature_template="t={timestamp},v1={signature}")
    now = str(int(time.time()))
    headers = signature.sign_headers(OLD.encode(), {}, BODY, now)
    assert headers == {"X-Signature": timed_header(now, OLD)}


def test_the_time_is_sent_in_its_own_header_if_it_has_one():
    signature = scheme(timestamp_header="X-Time", timestamp_pattern=r"\A(.*)\Z")
    headers = signature.sign_headers(NEW.encode(), {}, BODY, "1700000000")
    assert headers == {"X-Signature": hex_mac(NEW, BODY), "X-Time": "1700000000"}
    assert scheme(timestamp_header="X-Time").sign_headers(NEW.encode(), {}, BODY) == {
        "X-Signature": hex_mac(NEW, BODY)
    }


# ---- the time of signing


def timed_header(timestamp, secret=NEW, body=BODY):
    """Return a genuine signature that was made at a time."""
    return "t=%s,v1=%s" % (timestamp, hex_mac(secret, ("%s." % timestamp).encode() + body))


def test_the_time_is_signed_with_the_body():
    now = int(time.time())
    assert timed().verify({"HTTP_X_SIGNATURE": timed_header(now)}, BODY)
    other = timed_header(now).replace("t=%d" % now, "t=%d" % (now - 1))
    assert refusal(timed(), HTTP_X_SIGNATURE=other) == (401, "mismatch")


@pytest.mark.parametrize("seconds", [-298, -1, 0, 1, 299])
def test_a_time_within_the_tolerance_is_accepted_in_both_directions(seconds):
    assert timed().verify({"HTTP_X_SIGNATURE": timed_header(int(time.time()) + seconds)}, BODY)


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(-301, "stale"), (-86400, "stale"), (301, "future"), (86400, "future"), (10**10, "future")],
)
def test_a_time_beyond_the_tolerance_is_refused_in_both_directions(seconds, reason):
    assert refusal(timed(), HTTP_X_SIGNATURE=timed_header(int(time.time()) + seconds)) == (
        401,
        reason,
    )


def test_the_tolerance_is_an_option():
    header = timed_header(int(time.time()) - 60)
    assert timed(tolerance=90).verify({"HTTP_X_SIGNATURE": header}, BODY)
    assert refusal(timed(tolerance=30), HTTP_X_SIGNATURE=header) == (401, "stale")


def test_whether_a_time_is_stale_is_said_only_of_a_genuine_signature():
    late = int(time.time()) - 86400
    assert refusal(timed(), HTTP_X_SIGNATURE=timed_header(late, OTHER)) == (401, "mismatch")


NOW = int(time.time())


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "-1",
        "+%d" % NOW,
        " %d" % NOW,
        "%d " % NOW,
        "%d.0" % NOW,
        "NaN",
        "nan",
        "inf",
        "1e9",
        "1_700_000_000",
        "0x6a",
        str(NOW).translate({48 + digit: 0xFF10 + digit for digit in range(10)}),
        str(NOW).translate({48 + digit: 0x0660 + digit for digit in range(10)}),
        "%d" % (NOW * 1000),
        "1" * 13,
        "1" * 5000,
        "now",
        "\ud800",
    ],
)
def test_a_time_that_is_not_one_to_twelve_plain_digits_is_malformed(timestamp):
    content = ("%s." % timestamp).encode("utf-8", "replace") + BODY
    header = "t=%s,v1=%s" % (timestamp, hex_mac(NEW, content))
    assert refusal(timed(), HTTP_X_SIGNATURE=header) == (401, "malformed_signature")


def test_a_signature_without_its_time_is_malformed():
    assert refusal(timed(), HTTP_X_SIGNATURE="v1=" + GENUINE) == (401, "malformed_signature")
    assert refusal(timed(), HTTP_X_SIGNATURE="v1=" + hex_mac(NEW, b"." + BODY)) == (
        401,
        "malformed_signature",
    )
    assert refusal(timed()) == (401, "no_signature")


def test_a_time_that_the_pattern_leaves_out_is_malformed():
    signature = timed()
    signature.timestamp_pattern = r"v1=|t=([0-9]+)"
    header = "v1=" + hex_mac(NEW, b"." + BODY)
    assert refusal(signature, HTTP_X_SIGNATURE=header) == (401, "malformed_signature")


def test_the_time_can_come_in_a_header_of_its_own():
    signature = scheme(
        timestamp_header="X-Time", timestamp_pattern=r"\A(.*)\Z", content="{timestamp}{body}"
    )
    now = str(int(time.time()))
    genuine = {"HTTP_X_TIME": now, "HTTP_X_SIGNATURE": hex_mac(NEW, now.encode() + BODY)}
    assert signature.verify(genuine, BODY)
    for wrong in (str(int(now) + 1), "0" + now):
        assert refusal(signature, **dict(genuine, HTTP_X_TIME=wrong)) == (401, "mismatch")
    for malformed in ("", now + "\n", "x"):
        assert refusal(signature, **dict(genuine, HTTP_X_TIME=malformed)) == (
            401,
            "malformed_signature",
        )
    del genuine["HTTP_X_TIME"]
    assert refusal(signature, **genuine) == (401, "malformed_signature")


# ---- whatever is sent

SCHEMES = {
    "default": scheme(),
    "timed": timed(),
    "permissive": scheme(
        [NEW, OLD], signature_pattern=r"(.+)", timestamp_header="X-Time", timestamp_pattern=r"(.*)"
    ),
    "base64": scheme(
        signature_encoding="base64", signature_pattern=r"(?:\A| )v1,(\S+)", content="{x-id}.{body}"
    ),
}
HEADERS = (
    st.text()
    | st.text("0123456789abcdefABCDEF", max_size=70)
    | st.text("tv10=,. \u0661\ud800", max_size=40)
)


@pytest.mark.parametrize("name", SCHEMES)
@given(header=HEADERS, other=HEADERS, body=st.binary())
def test_nothing_that_is_sent_raises_anything_but_a_refusal(name, header, other, body):
    meta = {"HTTP_X_SIGNATURE": header, "HTTP_X_TIME": other, "HTTP_X_ID": other}
    with pytest.raises(WebhookRefused) as raised:
        SCHEMES[name].verify(meta, body)
    assert raised.value.status == 401


@given(body=st.binary(min_size=1), data=st.data())
def test_no_flipped_bit_of_the_body_is_ever_verified(body, data):
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    flipped = bytearray(body)
    flipped[bit // 8] ^= 1 << bit % 8
    assert scheme().verify({"HTTP_X_SIGNATURE": hex_mac(NEW, body)}, body)
    assert refusal(scheme(), bytes(flipped), HTTP_X_SIGNATURE=hex_mac(NEW, body)) == (
        401,
        "mismatch",
    )


@given(body=st.binary(), bit=st.integers(0, 255))
def test_no_flipped_bit_of_the_signature_is_ever_verified(body, bit):
    flipped = bytearray.fromhex(hex_mac(NEW, body))
    flipped[bit // 8] ^= 1 << bit % 8
    assert refusal(scheme(), body, HTTP_X_SIGNATURE=flipped.hex()) == (401, "mismatch")


@given(
    key=st.binary(max_size=64).filter(lambda key: key.rstrip(b"\0") != NEW.encode()),
    body=st.binary(),
)
def test_no_other_key_is_ever_verified(key, body):
    forged = hmac.new(key, body, hashlib.sha256).hexdigest()
    assert refusal(scheme(), body, HTTP_X_SIGNATURE=forged) == (401, "mismatch")


@pytest.mark.parametrize("secret", ["user:password", "dXNlcjpwYXNzd29yZA=="])
def test_a_name_and_a_password_are_the_key_as_they_are_sent(secret):
    # RFC 7617, 2.
    provider = Provider("made", SECRETS=[secret], KEY_ENCODING="basic")
    assert provider.keys() == [b"dXNlcjpwYXNzd29yZA=="]
