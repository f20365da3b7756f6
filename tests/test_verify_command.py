"""The command that tells why a webhook is refused: what it says is proved, and never a secret."""

import base64
import hashlib
import hmac
import io
import json
import sys
import time
from urllib.parse import quote, quote_plus

import pytest
from django.core.management import CommandError, call_command

from django_payment_webhooks.management.commands.verify_payment_webhook import Command
from django_payment_webhooks.providers import Provider, diagnosis

from .factories import SECRET, PayloadFactory, sign
from .test_providers import SAMPLES

OLD = "the old secret of the partner!!!"
TIMED = "a-secret-of-the-timed-partner!!!"
# As many programs write it, and with all that they write in different ways.
PAYLOAD = PayloadFactory(event_id="evt_1", note="\u00e9 </b>", count=2.5, data__amount="10.00")
BODY = json.dumps(PAYLOAD, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.fixture
def verify(tmp_path):
    """Run the command on a body and headers, and return its report, with whether it exits with 0."""

    def verify(body, headers, *args):
        (tmp_path / "body").write_bytes(body)
        lines = ["%s: %s" % header for header in headers.items()]
        args = [
            "--body",
            str(tmp_path / "body"),
            *(word for line in lines for word in ("--header", line)),
            *args,
        ]
        report = json.loads(run(*args, "--json"))
        people = run(*args)
        texts = [check["text"] for check in report["checks"]] + [
            found["change"] for found in report["changes"]
        ]
        assert all(text in people for text in texts)
        return report

    return verify


def run(*args):
    """Run the command, and return what it printed. It fails if the webhook is not verified, and
    shows no secret.
    """
    printed, error = io.StringIO(), None
    try:
        call_command("verify_payment_webhook", *args, stdout=printed)
    except CommandError as raised:
        error = str(raised)
    text = printed.getvalue()
    assert error is None or error.startswith("This webhook is refused: ")
    if "--json" in args:
        assert json.loads(text)["verified"] is (error is None)
    for secret in (SECRET, OLD, TIMED, sign(BODY), "batch-secret"):
        assert secret not in text
    return text


def failing(report):
    """Return the check that failed, and what it says."""
    (check,) = [check for check in report["checks"] if not check["passed"]]
    return check["name"], check["text"]


def changes(report):
    """Return what would have to be different."""
    return [found["change"] for found in report["changes"]]


@pytest.fixture
def provider(settings):
    """Set the options of the provider; two secrets by default."""

    def provider(**options):
        options = dict({"SECRETS": [SECRET, OLD]}, **options)
        settings.PAYMENT_WEBHOOKS_PROVIDERS = dict(
            settings.PAYMENT_WEBHOOKS_PROVIDERS, default=options
        )

    provider()
    return provider


# ---- what is genuine


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.name for sample in SAMPLES])
def test_what_every_provider_sends_is_genuine(verify, settings, sample):
    if sample.options:
        settings.PAYMENT_WEBHOOKS_PROVIDERS = {sample.name: sample.options}
    body = sample.body("evt_1")
    meta = sample.headers("evt_1", body, int(time.time()))
    headers = {name[5:].replace("_", "-").lower(): value for name, value in meta.items()}
    report = verify(body, headers, "--provider", sample.name)
    assert report["verified"] is True
    assert all(check["passed"] for check in report["checks"])
    assert report["checks"][-1]["text"] == "It says: charge.succeeded evt_1."


def test_it_tells_which_key_matches_by_number_and_fingerprint(verify, provider):
    key = hashlib.sha256(b"fingerprint:" + OLD.encode()).hexdigest()[:12]
    report = verify(BODY, {"X-Signature": sign(BODY, OLD)})
    texts = {check["name"]: check["text"] for check in report["checks"]}
    assert texts["match"] == "It matches key 2 of 2, whose fingerprint is %s." % key
    assert "Key 2 has the fingerprint %s." % key in texts["secrets"]
    assert texts["body"] == "The body has %d bytes." % len(BODY)


def test_it_tells_how_old_the_signature_is(verify):
    old = int(time.time()) - 412
    headers = {"X-Signature": "t=%d,v1=%s" % (old, sign(b"%d.%s" % (old, BODY), TIMED))}
    name, text = failing(verify(BODY, headers, "--provider", "timed"))
    assert name == "age"
    assert text.startswith(
        (
            "It was signed 412 s before it was received; up to 300 s are allowed.",
            "It was signed 413 s",
        )
    )
    assert verify(BODY, headers, "--provider", "timed", "--at", str(old + 300))["verified"]
    assert not verify(BODY, headers, "--provider", "timed", "--at", str(old + 301))["verified"]
    name, text = failing(verify(BODY, headers, "--provider", "timed", "--at", str(old - 400)))
    assert (name, "400 s after it was received" in text) == ("age", True)


@pytest.mark.parametrize(
    "at", ["2026-11-23T12:00:00Z", "2026-11-23T13:00:00+01:00", "1795435200", "1795435200.5"]
)
def test_the_time_of_receipt_can_be_written_in_many_ways(verify, at):
    headers = {"X-Signature": "t=1795435200,v1=%s" % sign(b"1795435200." + BODY, TIMED)}
    assert verify(BODY, headers, "--provider", "timed", "--at", at)["verified"]


# ---- which check fails


def mac(body, key=SECRET, digest="sha256"):
    return hmac.new(key if isinstance(key, bytes) else key.encode(), body, digest)


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
def test_it_names_the_check_that_fails(verify, provider, headers, name, text):
    failed = failing(verify(BODY, headers))
    assert failed[0] == name
    assert text in failed[1]


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
def test_a_time_that_can_not_be_read_is_a_failure_of_its_own(verify, header, text):
    name, told = failing(verify(BODY, {"X-Signature": header}, "--provider", "timed"))
    assert (name, text in told) == ("time", True)


def test_a_time_that_has_a_header_of_its_own_can_be_missing(verify, provider):
    provider(TIMESTAMP_HEADER="X-Time", TIMESTAMP_PATTERN="(.+)", CONTENT="{timestamp}{body}")
    name, text = failing(verify(BODY, {"X-Signature": sign(BODY)}))
    assert (name, text) == (
        "time",
        "There is no time of signing in X-Time. The header is missing or empty.",
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
        ({"SECRETS": [None]}, "Key 1 can't be used: its secret is no text."),
        (
            {"KEY_ENCODING": "hex"},
            "Key 1 can't be used: its secret can't be decoded as hex, which KEY_ENCODING says.",
        ),
    ],
)
def test_a_secret_that_can_not_be_used_is_named_by_its_number(verify, provider, options, text):
    provider(**options)
    name, told = failing(verify(BODY, {"X-Signature": sign(BODY)}))
    assert (name, text in told) == ("secrets", True)
    assert "elevenbytes" not in told


def test_a_genuine_body_that_can_not_be_parsed_is_told_apart(verify, provider):
    name, text = failing(verify(b"{}", {"X-Signature": sign(b"{}")}))
    assert (name, text.startswith("It is genuine, but: type is missing")) == ("events", True)


# ---- what would have to be different


def rewritten(**options):
    return json.dumps(PAYLOAD, **options).encode()


REWRITTEN = {
    "with a line break": (BODY + b"\n", "the line break at the body's end is left out"),
    "without its line break": (BODY, "the body gets a line break at its end"),
    "spaced": (rewritten(ensure_ascii=False), "the body is JSON that is written compactly"),
    "over many lines": (rewritten(indent=2), "the body is JSON that is written compactly"),
    "byte order mark": (b"\xef\xbb\xbf" + BODY, "the byte order mark is left out"),
    "white space": (b"\n " + BODY + b" \n", "the white space around the body is left out"),
    "percent signs": (quote(BODY).encode(), "the body is decoded from percent signs"),
    "form": (
        b"id=1&payload=" + quote_plus(BODY).encode(),
        "the body is the field 'payload' of a form",
    ),
    "base64": (base64.b64encode(BODY), "the body is decoded from base64"),
    "JSON string": (json.dumps(BODY.decode()).encode(), "the body is decoded from a JSON string"),
    "UTF-8 twice": (BODY.decode("latin-1").encode(), "the body is decoded from UTF-8 to Latin-1"),
    "Latin-1": (BODY.decode().encode("latin-1"), "the body is decoded from Latin-1 to UTF-8"),
    "UTF-16": (BODY.decode().encode("utf-16"), "the body is decoded from UTF-16 to UTF-8"),
    "nothing": (b"", None),
}
SENT = {
    "without its line break": BODY + b"\n",
    "escaped": rewritten(separators=(",", ":")),
    "PHP": rewritten(separators=(",", ":")).replace(b"/", b"\\/"),
    "lines": rewritten(indent=4, ensure_ascii=False),
    "tabs": rewritten(indent="\t"),
    "CRLF": rewritten(indent=2).replace(b"\n", b"\r\n"),
    "empty": b"",
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_a_body_that_was_rewritten_on_its_way_is_recognized(verify, provider, name):
    body, change = REWRITTEN[name]
    report = verify(body, {"X-Signature": sign(SENT.get(name, BODY), OLD)})
    assert failing(report)[0] == "match"
    assert changes(report) == ([change, "it is key 2"] if change else [])
    assert report["matches"] is bool(change)
    if change:
        assert report["changes"][0]["advice"]


@pytest.mark.parametrize(
    ("name", "body", "change"),
    [
        ("escaped", BODY, "written compactly, with \\u escapes"),
        ("PHP", BODY, "written compactly, with \\u escapes, with \\/ for /"),
        ("lines", BODY, "written over many lines, with four spaces"),
        ("tabs", BODY, "written over many lines, with tabs, with \\u escapes"),
        ("CRLF", rewritten(indent=2), "the body's line breaks are CRLF, not LF"),
        ("empty", BODY, "the body is empty"),
    ],
)
def test_what_was_sent_can_be_written_in_many_ways(verify, provider, name, body, change):
    found = changes(verify(body, {"X-Signature": sign(SENT[name])}))
    assert found[0].endswith(change)
    assert found[1:] == ["it is key 1"]


def test_numbers_that_were_whole_are_recognized(verify, provider):
    assert changes(
        verify(b'{"a": 10.0, "b": [2.0]}', {"X-Signature": sign(b'{"a":10,"b":[2]}')})
    ) == [
        "the body is JSON that is written compactly, with whole numbers without .0",
        "it is key 1",
    ]


B64 = base64.b64encode(mac(BODY).digest()).decode()
URLSAFE = B64.replace("+", "-").replace("/", "_").rstrip("=")
SIGNED = {
    "other header": (
        {"X-Other": sign(BODY)},
        {},
        ["it is key 1", "the signature is in the header X-Other"],
    ),
    "prefix": ({"X-Signature": "sha256=" + sign(BODY)}, {}, ["it is key 1"]),
    "base64": ({"X-Signature": B64}, {}, ["it is key 1", "the signature is written in base64"]),
    "base64 for URLs": (
        {"X-Signature": URLSAFE},
        {},
        ["it is key 1", "the signature is written in base64"],
    ),
    "hex": (
        {"X-Signature": sign(BODY)},
        {"SIGNATURE_ENCODING": "base64", "SIGNATURE_PATTERN": "(.*)"},
        ["it is key 1", "the signature is written in hex"],
    ),
    "sha1": (
        {"X-Signature": mac(BODY, digest="sha1").hexdigest()},
        {},
        ["the digest is sha1", "it is key 1"],
    ),
    "sha512": (
        {"X-Signature": mac(BODY, digest="sha512").hexdigest()},
        {},
        ["the digest is sha512", "it is key 1"],
    ),
    "other provider": (
        {"X-Signature": sign(BODY, TIMED)},
        {},
        ["it is key 1 of the provider timed"],
    ),
    "empty key": ({"X-Signature": sign(BODY, "")}, {}, ["the key is empty"]),
    "hex key": (
        {"X-Signature": mac(BODY, b"0123456789abcdef").hexdigest()},
        {"SECRETS": [b"0123456789abcdef".hex()]},
        ["secret 1 is read as hex"],
    ),
    "base64 key": (
        {"X-Signature": mac(BODY, b"0123456789abcdef" * 2).hexdigest()},
        {
            "SECRETS": ["whsec_" + base64.b64encode(b"0123456789abcdef" * 2).decode()],
            "KEY_PREFIX": "whsec_",
        },
        ["secret 1 is read as base64, without its prefix"],
    ),
    "prefix is part of the key": (
        {"X-Signature": sign(BODY, "whsec_and-something-more")},
        {"SECRETS": ["whsec_and-something-more"], "KEY_PREFIX": "whsec_"},
        ["secret 1 is read as text"],
    ),
    "text key": (
        {"X-Signature": sign(BODY, "00112233445566778899aabbccddeeff")},
        {"SECRETS": ["00112233445566778899aabbccddeeff"], "KEY_ENCODING": "hex"},
        ["secret 1 is read as text"],
    ),
    "short key": (
        {"X-Signature": sign(BODY, "short")},
        {"SECRETS": [SECRET, "short"]},
        ["secret 2 is used although it has 5 bytes, and 16 are needed"],
    ),
    "key with a space": (
        {"X-Signature": sign(BODY)},
        {"SECRETS": [SECRET + " "]},
        ["secret 1 has no white space around it"],
    ),
    "key in quotes": (
        {"X-Signature": sign(BODY)},
        {"SECRETS": ['"%s"' % SECRET]},
        ["secret 1 has no quotes around it"],
    ),
    "key with a line break": (
        {"X-Signature": sign(BODY, SECRET + "\n")},
        {},
        ["secret 1 has a line break at its end"],
    ),
    "time is signed": (
        {"X-Signature": sign(b"1795435200." + BODY), "X-Time": "1795435200"},
        {},
        ["what is signed is {timestamp}.{body}", "it is key 1"],
    ),
    "time is not signed": (
        {"X-Signature": sign(BODY), "X-Time": "1795435200"},
        {
            "TIMESTAMP_HEADER": "X-Time",
            "TIMESTAMP_PATTERN": "(.+)",
            "CONTENT": "{timestamp}.{body}",
        },
        ["what is signed is {body}", "it is key 1"],
    ),
    "two at once": (
        {"X-Signature": "sha1=" + mac(BODY + b"\n", TIMED, "sha1").hexdigest()},
        {},
        [],
    ),
    "rewritten, and another digest": (
        {"X-Signature": "sha1=" + mac(BODY + b"\n", digest="sha1").hexdigest()},
        {},
        ["the body gets a line break at its end", "the digest is sha1", "it is key 1"],
    ),
}


@pytest.mark.parametrize("name", SIGNED)
def test_a_signature_that_was_made_in_another_way_is_recognized(verify, provider, name):
    headers, options, expected = SIGNED[name]
    provider(**options)
    report = verify(BODY, headers)
    assert changes(report) == expected
    assert report["matches"] is bool(expected)
    assert not report["verified"]


def test_what_is_forged_matches_nothing_and_that_is_said(tmp_path, provider):
    (tmp_path / "body").write_bytes(BODY)
    printed = run(
        "--body",
        str(tmp_path / "body"),
        "--header",
        "X-Signature: " + sign(BODY, "an attacker's own key"),
    )
    assert "Nothing that was tried makes it match" in printed
    assert "or it is forged" in printed


def test_the_report_reads_well(tmp_path, provider):
    (tmp_path / "body").write_bytes(BODY + b"\n")
    printed = run("--body", str(tmp_path / "body"), "--header", "X-Signature: " + sign(BODY, OLD))
    lines = printed.splitlines()
    assert lines[0] == "ok   body        The body has %d bytes." % (len(BODY) + 1)
    assert lines[-4] == "FAIL match       No key of this provider has signed exactly this body."
    assert lines[-3:] == [
        "",
        "It would match if the line break at the body's end is left out, and it is key 2.",
        "Take the body as it was sent; an editor or a shell may have changed its end.",
    ]


def test_what_would_match_is_returned_without_keys_and_bodies(provider):
    changed = diagnosis.find_changes(
        Provider("x", SECRETS=["x" * 16]), [], {"HTTP_X_SIGNATURE": sign(b"{}", "")}, b"{}"
    )
    assert [change.values for change in changed] == [{}]


@pytest.mark.parametrize(
    "body", [b"[" * 100000, b"\xff" * 100, b"%", b"&&==", b"\x00", b'{"a": 1e999, "b": NaN}']
)
def test_no_body_makes_it_fail(verify, provider, body):
    assert verify(body, {"X-Signature": "0" * 64})["matches"] is False


# ---- classes of their own


class Keyed(Provider):
    """Has its keys elsewhere, and signs in a way of its own."""

    def keys(self):
        return [b"keys from elsewhere", b"another one of them"]

    def sign(self, key, meta, body, timestamp=""):
        return super().sign(key[::-1], meta, body, timestamp)


class Verified(Provider):
    """Verifies in a way of its own."""

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


def test_a_class_with_keys_and_signatures_of_its_own_is_explained(verify, provider):
    provider(BACKEND=__name__ + ".Keyed")
    genuine = mac(BODY, b"another one of them"[::-1]).hexdigest()
    report = verify(BODY, {"X-Signature": genuine})
    assert report["verified"]
    assert [check["text"] for check in report["checks"] if check["name"] == "match"][0].startswith(
        "It matches key 2 of 2,"
    )
    assert changes(verify(BODY + b"\n", {"X-Signature": genuine}))[1] == "it is key 2"


def test_a_class_with_a_verify_of_its_own_is_only_asked(verify, provider):
    provider(BACKEND=__name__ + ".Verified")
    report = verify(BODY, {"X-Own": sign(BODY)})
    assert [check["name"] for check in report["checks"]] == ["body", "verify", "events"]
    assert failing(verify(BODY, {"X-Signature": sign(BODY)})) == (
        "verify",
        "The provider refuses it: no_signature.",
    )


def test_the_provider_itself_has_the_last_word(verify, provider):
    provider(BACKEND=__name__ + ".Strict")
    now = str(int(time.time()))
    headers = {"X-Signature": "t=%s,v1=%s" % (now, sign(now.encode() + BODY))}
    assert failing(verify(BODY, headers)) == ("verify", "The provider refuses it: stale.")


# ---- how it is asked


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_whole_request_can_be_given_as_it_was_on_the_wire(tmp_path, provider, end):
    head = [
        "POST /v1/webhooks/payment HTTP/1.1",
        "Host: shop",
        "Content-Length: %d" % (len(BODY) + 2),
    ]
    head.append("X-SIGNATURE:" + sign(b"\n\n" + BODY))
    (tmp_path / "request").write_bytes(
        end.join(line.encode() for line in [*head, "", ""]) + b"\n\n" + BODY
    )
    assert (
        json.loads(run("--request", str(tmp_path / "request"), "--json"))["checks"][-2]["name"]
        == "match"
    )


def test_headers_can_be_given_in_a_file_and_the_body_on_the_standard_input(
    tmp_path, provider, monkeypatch
):
    (tmp_path / "headers").write_bytes(
        b"Host: shop\r\n\r\nX-Signature: %s\r\n" % sign(BODY).encode()
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BODY)))
    assert json.loads(run("--body", "-", "--headers", str(tmp_path / "headers"), "--json"))[
        "verified"
    ]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (
            ["--provider", "nobody"],
            "There is no provider 'nobody' in PAYMENT_WEBHOOKS_PROVIDERS; there is: default, timed.",
        ),
        (
            [],
            "Give the raw body as --body FILE, - for the standard input; or the whole as --request FILE.",
        ),
        (["--body", "/no/such/file"], "No such file"),
        (["--request", __file__, "--body", __file__], "--request has the headers and the body"),
        (
            ["--request", "/dev/null"],
            "The request has no empty line between its headers and its body.",
        ),
        (["--body", "/dev/null", "--header", "a secret"], "Header 1 is not written 'NAME: VALUE'."),
        (
            ["--body", "/dev/null", "--header", "A: b", "--header", "a b: c"],
            "Header 2 is not written 'NAME: VALUE'.",
        ),
        (["--body", "/dev/null", "--at", "noon"], "--at 'noon' is neither ISO 8601"),
    ],
)
def test_what_can_not_be_answered_is_said(args, error):
    with pytest.raises(CommandError, match=error):
        call_command("verify_payment_webhook", *args, stdout=io.StringIO())


def test_it_exits_with_1_and_without_a_traceback_if_it_is_not_genuine(tmp_path, capsys):
    (tmp_path / "body").write_bytes(BODY)
    with pytest.raises(SystemExit) as exit:
        Command().run_from_argv(
            ["manage.py", "verify_payment_webhook", "--body", str(tmp_path / "body")]
        )
    assert exit.value.code == 1
    printed = capsys.readouterr()
    assert "FAIL header" in printed.out
    assert printed.err.endswith("CommandError: This webhook is refused: header.\n")


def test_it_is_silent_if_asked(tmp_path, provider):
    (tmp_path / "body").write_bytes(BODY)
    printed = io.StringIO()
    args = ["--body", str(tmp_path / "body"), "--header", "X-Signature: " + sign(BODY)]
    call_command("verify_payment_webhook", *args, stdout=printed, verbosity=0)
    assert printed.getvalue() == ""


def test_help_tells_what_it_is_for_and_names_every_option(capsys):
    with pytest.raises(SystemExit) as exit:
        Command().run_from_argv(["manage.py", "verify_payment_webhook", "--help"])
    assert exit.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert " ".join(Command.help.split()) in text
    for option in (
        "--provider NAME",
        "--body FILE",
        "--header 'NAME: VALUE'",
        "--request FILE",
        "--at TIME",
        "--json",
    ):
        assert option in text
