"""Each check of a signature by itself: which one fails, and what is said about it."""

import json
import time

import pytest

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.diagnosis.explanation import explain
from django_payment_webhooks.providers.signatures import fingerprint

from ...factories import SECRET, sign
from ..presets.contract import find_now, load_vectors, write_meta
from .refused import BODY, OLD, TIMED, mac

CHECKS = ["body", "secrets", "header", "signatures", "time", "match", "events"]


# ---- what is genuine


def test_what_every_provider_sends_passes_every_check(explained, sample):
    body = sample.body("evt_1")
    meta = sample.headers("evt_1", body, int(time.time()))
    headers = {name[len("HTTP_") :].replace("_", "-").lower(): meta[name] for name in meta}
    checks = explained(body, headers, sample.name)
    assert all(check.passed for check in checks.values())
    assert [name for name in checks if name != "age"] == CHECKS
    assert ("age" in checks) is sample.has_time
    said = checks["events"].text
    assert said.startswith("It says: charge.succeeded evt_1 (order A1, ")
    assert said.endswith("10.00 EUR).")


@pytest.mark.parametrize("preset", ["mercadopago", "polar"])
def test_a_signature_of_either_kind_matches(settings, preset):
    for vector in [each for each in load_vectors(preset) if each["expect_valid"]]:
        options = {"PRESET": preset, "SECRETS": [vector["secret"]]}
        settings.PAYMENT_WEBHOOKS_PROVIDERS = {"made": options}
        meta, body = write_meta(vector), vector["body"].encode()
        checks = explain(get_provider("made"), meta, body, find_now(vector))
        passed = {check.name: check.passed for check in checks}
        assert passed["match"], vector["name"]


def test_the_key_that_matches_is_shown_by_number_and_fingerprint(explained, provider):
    checks = explained(BODY, {"X-Signature": sign(BODY, OLD)})
    name = fingerprint(OLD.encode())
    assert checks["match"].text == "It matches key 2 of 2, whose fingerprint is %s." % name
    assert "Key 2 has the fingerprint %s." % name in checks["secrets"].text
    assert checks["body"].text == "The body has %d bytes." % len(BODY)


def test_of_many_events_only_some_are_shown(explained, provider):
    provider(EVENTS_PATH="list.*")
    events = [{"event_id": "evt_%d" % number, "type": "t"} for number in range(30)]
    body = json.dumps({"list": events}).encode()
    text = explained(body, {"X-Signature": sign(body)})["events"].text
    assert text.startswith("It says: t evt_0, t evt_1, ")
    assert text.endswith(", t evt_9 and 20 more.")


def test_what_an_event_says_can_not_move_the_cursor(explained, provider):
    body = json.dumps({"event_id": "\x1b[2J", "type": "\u2028"}).encode()
    assert explained(body, {"X-Signature": sign(body)})["events"].text.isprintable()


# ---- which check fails


@pytest.mark.parametrize(
    ("headers", "name", "text"),
    [
        ({}, "header", "The header X-Signature is missing or empty. A proxy may have removed it."),
        (
            {"X-Hmac": "1"},
            "header",
            "is missing or empty. There is X-Hmac: look at SIGNATURE_HEADER.",
        ),
        (
            {"X-Signature": "forged"},
            "signatures",
            "finds no signature in X-Signature. Nothing in it is as long as",
        ),
        ({"X-Signature": "sha256=" + sign(BODY)}, "signatures", "It has 64 characters of hex."),
        (
            {"X-Signature": sign(BODY) + " "},
            "signatures",
            "It has 64 characters of hex. It begins or ends with white space.",
        ),
        (
            {"X-Signature": "0" * 64},
            "match",
            "No key of this provider has signed exactly this body.",
        ),
        (
            {"X-Signature": sign(BODY), "Content-Length": "5"},
            "body",
            "Its Content-Length is '5': it is not what was sent.",
        ),
    ],
)
def test_the_check_that_fails_is_named(failing, provider, headers, name, text):
    failed = failing(BODY, headers)
    assert failed[0] == name
    assert text in failed[1]


def test_after_the_check_that_fails_there_is_no_other(explained, provider):
    assert list(explained(BODY, {})) == ["body", "secrets", "header"]
    assert list(explained(BODY, {"X-Signature": "0" * 64})) == CHECKS[:-1]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (
            "v1=%s" % sign(b"." + BODY, TIMED),
            "It has no 1 to 12 plain digits where TIMESTAMP_PATTERN looks.",
        ),
        (
            "t=1795435200000,v1=%s" % sign(BODY),
            "It has a time in milliseconds, and Unix seconds are needed.",
        ),
    ],
)
def test_a_time_that_can_not_be_read_is_a_failure_of_its_own(failing, header, text):
    failed = failing(BODY, {"X-Signature": header}, "timed")
    assert failed[0] == "time"
    assert text in failed[1]


def test_a_time_that_has_a_header_of_its_own_can_be_missing(failing, provider):
    provider(TIMESTAMP_HEADER="X-Time", TIMESTAMP_PATTERN="(.+)", CONTENT="{timestamp}{body}")
    assert failing(BODY, {"X-Signature": sign(BODY)}) == (
        "time",
        "There is no signing time in X-Time. The header is missing or empty.",
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"SECRETS": []}, "Set SECRETS to a list of texts of 16 bytes or more."),
        ({"SECRETS": SECRET}, "Set SECRETS to a list of texts of 16 bytes or more."),
        ({"SECRETS": [""]}, "Key 1 can't be used: its secret is blank."),
        (
            {"SECRETS": ["elevenbytes"]},
            "Key 1 can't be used: its secret has 11 bytes, and 16 are needed.",
        ),
        ({"SECRETS": [None]}, "Key 1 can't be used: its secret is not text."),
        (
            {"KEY_ENCODING": "hex"},
            "Key 1 can't be used: its secret can't be decoded as hex, which KEY_ENCODING says.",
        ),
    ],
)
def test_a_secret_that_can_not_be_used_is_named_by_its_number(failing, provider, options, text):
    provider(**options)
    failed = failing(BODY, {"X-Signature": sign(BODY)})
    assert failed[0] == "secrets"
    assert text in failed[1]
    assert "elevenbytes" not in failed[1]


def test_a_secret_that_can_not_be_used_is_named_beside_one_that_can(explained, provider):
    provider(SECRETS=["elevenbytes", SECRET])
    check = explained(BODY, {"X-Signature": sign(BODY)})["secrets"]
    assert check.passed
    assert "Key 1 can't be used: its secret has 11 bytes, and 16 are needed." in check.text
    assert "Key 2 has the fingerprint" in check.text


def test_a_genuine_body_that_can_not_be_parsed_is_distinguished(failing, provider):
    name, text = failing(b"{}", {"X-Signature": sign(b"{}")})
    assert (name, text.startswith("It is genuine, but: type is missing")) == ("events", True)


class Faulty(Provider):
    """A provider whose class has a fault."""

    def find_events(self, document):
        """Look for what is not there."""
        return document["missing\x1b"]


def test_a_genuine_body_that_a_faulty_class_can_not_read_is_distinguished(failing, provider):
    provider(SECRETS=[SECRET], BACKEND=f"{__name__}.Faulty", EVENTS_PATH="list.*")
    name, text = failing(BODY, {"X-Signature": sign(BODY)})
    assert name == "events"
    assert text.startswith("It is genuine, but: The class of the provider raised KeyError: ")
    assert text.isprintable()


# ---- how old it is


def test_the_age_of_the_signature_is_shown(failing, explained):
    old = int(time.time()) - 412
    headers = {"X-Signature": "t=%d,v1=%s" % (old, sign(b"%d.%s" % (old, BODY), TIMED))}
    name, text = failing(BODY, headers, "timed")
    assert name == "age"
    ages = ("412", "413", "414")
    text, _, hint = text.partition("; ")
    assert text in ["It was signed %s s before it was received" % age for age in ages]
    assert hint.startswith("up to 300 s are allowed. Compare the clocks")


@pytest.mark.parametrize(
    ("seconds", "passed", "text"),
    [
        (300, True, "It was signed 300 s before it was received; up to 300 s are allowed."),
        (301, False, "It was signed 301 s before it was received; up to 300 s are allowed."),
        (-300, True, "It was signed 300 s after it was received; up to 300 s are allowed."),
        (-400, False, "It was signed 400 s after it was received; up to 300 s are allowed."),
    ],
)
def test_the_age_counts_up_to_the_receipt(explained, seconds, passed, text):
    signed = 1795435200
    headers = {"X-Signature": "t=%d,v1=%s" % (signed, sign(b"%d.%s" % (signed, BODY), TIMED))}
    checks = explained(BODY, headers, "timed", now=signed + seconds)
    assert checks["age"].passed is passed
    assert checks["age"].text.startswith(text)
    assert ("events" in checks) is passed


# ---- classes of their own


class Keyed(Provider):
    """Has its keys elsewhere, and signs in a way of its own."""

    has_secrets = False

    def keys(self):
        return [b"keys from elsewhere", b"another one of them"]

    def sign(self, key, meta, body, timestamp=""):
        return super().sign(key[::-1], meta, body, timestamp)


class Verified(Provider):
    """Verifies in a way of its own."""

    verifies_by_options = False

    def verify(self, meta, body):
        return super().verify({"HTTP_X_SIGNATURE": meta.get("HTTP_X_OWN", "")}, body)


class Strict(Provider):
    """Refuses what is older than a moment."""

    tolerance = 10
    timestamp_pattern = "t=([0-9]+)"
    signature_pattern = "v1=(.*)"
    content = "{timestamp}{body}"

    def check_age(self, timestamp):
        super().check_age(str(int(timestamp) - 60))


def test_a_class_with_keys_and_signatures_of_its_own_is_explained(explained, changes, provider):
    provider(BACKEND=__name__ + ".Keyed")
    genuine = {"X-Signature": mac(BODY, b"another one of them"[::-1]).hexdigest()}
    checks = explained(BODY, genuine)
    assert all(check.passed for check in checks.values())
    assert checks["match"].text.startswith("It matches key 2 of 2,")
    assert checks["secrets"].text.startswith("Key 1 has the fingerprint ")
    assert changes(BODY + b"\n", genuine)[1] == "key 2 signs"


@pytest.mark.parametrize("now", [None, 1795435200])
def test_a_class_with_a_verify_of_its_own_is_only_asked(explained, failing, provider, now):
    provider(BACKEND=__name__ + ".Verified")
    checks = explained(BODY, {"X-Own": sign(BODY)}, now=now)
    assert list(checks) == ["body", "verify", "events"]
    assert all(check.passed for check in checks.values())
    assert failing(BODY, {"X-Signature": sign(BODY)}, now=now) == (
        "verify",
        "The provider refuses it: no_signature.",
    )


def test_the_provider_itself_has_the_last_word(failing, provider):
    provider(BACKEND=__name__ + ".Strict")
    now = str(int(time.time()))
    headers = {"X-Signature": "t=%s,v1=%s" % (now, sign(now.encode() + BODY))}
    assert failing(BODY, headers) == ("verify", "The provider refuses it: stale.")
