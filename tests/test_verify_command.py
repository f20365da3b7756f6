"""The command that explains why a webhook is refused: its reports, and what it is given."""

import hashlib
import io
import json
import re
import sys
import time

import pytest
from django.core.management import CommandError, call_command

from django_payment_webhooks.management.commands.verify_payment_webhook import Command

from .factories import SECRET, PayloadFactory, sign
from .providers.samples import SAMPLES

OLD = "the old secret of the partner!!!"
TIMED = "a-secret-of-the-timed-partner!!!"
TIMED_PROVIDER = ("--provider", "timed", "--at", "1795435200")
SAVED = "Take the body as it was sent; an editor or a shell may have changed its end."
BODY = json.dumps(PayloadFactory(event_id="evt_1"), separators=(",", ":")).encode()


def without_age(text):
    """Return a text without how long ago a webhook was signed: the clock goes on between two."""
    return re.sub(r"signed \d+ s ", "signed ", text)


@pytest.fixture
def verify(tmp_path):
    """Run the command on a body and headers, and return its report.

    What it prints for people says the same.
    """

    def verify(body, headers, *args):
        (tmp_path / "body").write_bytes(body)
        lines = ["%s: %s" % header for header in headers.items()]
        words = [word for line in lines for word in ("--header", line)]
        args = ["--body", str(tmp_path / "body"), *words, *args]
        report = json.loads(run(*args, "--json"))
        people = without_age(run(*args))
        for text in [check["text"] for check in report["checks"]]:
            assert without_age(text) in people
        for found in report["changes"]:
            assert found["change"] in people
            assert found["advice"] in people
        return report

    return verify


def run(*args):
    """Run the command, and return what it printed.

    It fails if the webhook is not verified, and shows no secret.
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
    """Return the name of the check that failed."""
    (check,) = [check for check in report["checks"] if not check["passed"]]
    return check["name"]


@pytest.fixture(autouse=True)
def _provider(settings):
    """Give the provider two secrets."""
    options = {"SECRETS": [SECRET, OLD]}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        **settings.PAYMENT_WEBHOOKS_PROVIDERS,
        "default": options,
    }


# ---- what it reports


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.name for sample in SAMPLES])
def test_what_every_provider_sends_is_genuine(verify, settings, sample):
    sample.set_up(settings)
    body = sample.body("evt_1")
    meta = sample.headers("evt_1", body, int(time.time()))
    headers = {name[5:].replace("_", "-").lower(): value for name, value in meta.items()}
    report = verify(body, headers, "--provider", sample.name)
    assert (report["verified"], report["matches"], report["changes"]) == (True, False, [])
    assert all(check["passed"] for check in report["checks"])
    said = report["checks"][-1]["text"]
    assert said.startswith("It says: charge.succeeded evt_1 (order A1, ")
    assert said.endswith("10.00 EUR).")


def test_a_key_is_shown_by_number_and_fingerprint(verify):
    key = hashlib.sha256(b"fingerprint:" + OLD.encode()).hexdigest()[:12]
    report = verify(BODY, {"X-Signature": sign(BODY, OLD)})
    texts = {check["name"]: check["text"] for check in report["checks"]}
    assert texts["match"] == "It matches key 2 of 2, whose fingerprint is %s." % key


def test_what_would_have_to_be_different_is_reported_with_advice(verify):
    report = verify(BODY + b"\n", {"X-Other": "sha1=" + "0" * 40, "X-Signature": sign(BODY, OLD)})
    assert (report["verified"], report["matches"], failing(report)) == (False, True, "match")
    assert report["changes"] == [
        {
            "change": "the line break at the body's end is left out",
            "advice": SAVED,
        },
        {"change": "key 2 signs", "advice": ""},
    ]


@pytest.mark.parametrize(
    ("headers", "name", "matches"),
    [
        ({}, "header", False),
        ({"X-Signature": "forged"}, "signatures", False),
        ({"X-Signature": "sha256=" + sign(BODY)}, "signatures", True),
        ({"X-Signature": "0" * 64}, "match", False),
        ({"X-Signature": sign(BODY, TIMED)}, "match", True),
        ({"X-Signature": sign(BODY), "Content-Length": "5"}, "body", False),
    ],
)
def test_the_check_that_fails_is_reported(verify, headers, name, matches):
    report = verify(BODY, headers)
    assert (failing(report), report["matches"]) == (name, matches)


def test_what_is_only_too_old_is_not_searched_for(verify, tmp_path):
    old = int(time.time()) - 412
    headers = {"X-Signature": "t=%d,v1=%s" % (old, sign(b"%d.%s" % (old, BODY), TIMED))}
    (tmp_path / "body").write_bytes(BODY)
    header = "X-Signature: " + headers["X-Signature"]
    args = ["--provider", "timed", "--body", str(tmp_path / "body"), "--header", header]
    report = json.loads(run(*args, "--json"))
    assert (failing(report), report["matches"]) == ("age", False)
    assert "matches if" not in run(*args)
    assert verify(BODY, headers, "--provider", "timed", "--at", str(old + 300))["verified"]
    assert not verify(BODY, headers, "--provider", "timed", "--at", str(old + 301))["verified"]


@pytest.mark.parametrize(
    "at", ["2026-11-23T12:00:00Z", "2026-11-23T13:00:00+01:00", "1795435200", "1795435200.5"]
)
def test_the_time_of_receipt_can_be_written_in_many_ways(verify, at):
    headers = {"X-Signature": "t=1795435200,v1=%s" % sign(b"1795435200." + BODY, TIMED)}
    assert verify(BODY, headers, "--provider", "timed", "--at", at)["verified"]


def test_that_a_forgery_matches_nothing_is_said(tmp_path):
    (tmp_path / "body").write_bytes(BODY)
    forged = "X-Signature: " + sign(BODY, "an attacker's own key")
    printed = run("--body", str(tmp_path / "body"), "--header", forged)
    assert "Nothing that was tried makes it match" in printed
    assert "or it is forged" in printed


@pytest.mark.parametrize(
    ("provider", "headers", "missing"),
    [
        ("default", [], "no signature"),
        ("default", ["--header", "X-Signature: hello"], "no signature that can be read"),
        ("timed", ["--header", "X-Signature: v1=" + "0" * 64], "no signing time"),
    ],
)
def test_what_has_no_proof_is_not_called_forged(tmp_path, provider, headers, missing):
    (tmp_path / "body").write_bytes(BODY)
    printed = run("--provider", provider, "--body", str(tmp_path / "body"), *headers)
    assert f"Whether it is genuine can't be said: it has {missing}, so" in printed
    assert "forged" not in printed


def test_advice_to_sign_no_time_says_what_that_costs(verify):
    report = verify(BODY, {"X-Signature": f"t=1795435200,v1={sign(BODY, TIMED)}"}, *TIMED_PROVIDER)
    (change, *_) = [each for each in report["changes"] if "what is signed" in each["change"]]
    assert change["change"] == "what is signed is {body}"
    assert "anyone who records a webhook can resend it" in change["advice"]


def test_the_report_reads_well(tmp_path):
    (tmp_path / "body").write_bytes(BODY + b"\n")
    printed = run("--body", str(tmp_path / "body"), "--header", "X-Signature: " + sign(BODY, OLD))
    lines = printed.splitlines()
    assert lines[0] == "ok   body        The body has %d bytes." % (len(BODY) + 1)
    assert lines[-4] == "FAIL match       No key of this provider has signed exactly this body."
    assert lines[-3:] == [
        "",
        "It matches if the line break at the body's end is left out and key 2 signs.",
        SAVED,
    ]


# ---- how it is asked


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_whole_request_can_be_given_as_it_was_on_the_wire(tmp_path, end):
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


def test_headers_can_be_given_in_a_file_and_the_body_on_the_standard_input(tmp_path, monkeypatch):
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
            "There is no provider 'nobody' in PAYMENT_WEBHOOKS_PROVIDERS. There are: default, t",
        ),
        (
            [],
            "Give the raw body as --body FILE, - for standard input; or the whole as"
            " --request FILE.",
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


def test_it_is_silent_if_asked(tmp_path):
    (tmp_path / "body").write_bytes(BODY)
    printed = io.StringIO()
    args = ["--body", str(tmp_path / "body"), "--header", "X-Signature: " + sign(BODY)]
    call_command("verify_payment_webhook", *args, stdout=printed, verbosity=0)
    assert printed.getvalue() == ""


def test_help_says_what_it_is_for_and_names_every_option(capsys):
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
