"""The command that plays the provider: against a real server, and what it refuses to do."""

import io
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command

from django_payment_webhooks.management.commands.send_payment_webhook import Command
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers import Provider

from .factories import SECRET, PayloadFactory, sign
from .management.shapes import check_shape
from .providers.samples import SAMPLES

TIMED_SECRET = "a-secret-of-the-timed-partner!!!"
CHARGE = ("--type", "charge.succeeded", "--order", "A1")


@pytest.fixture
def send():
    """Run the command, and return what it printed."""

    def send(*args, **options):
        printed = io.StringIO()
        call_command("send_payment_webhook", *args, stdout=printed, **options)
        assert SECRET not in printed.getvalue()
        return printed.getvalue()

    return send


@pytest.fixture
def shop(live_server, send):
    """Run the command against the shop, and return what it reported."""
    return lambda *args, **options: json.loads(send(live_server.url, "--json", *args, **options))


class Stub(HTTPServer):
    """A server that answers as it is asked to, and remembers what it was sent."""

    answers = ()

    def __init__(self):
        super().__init__(("127.0.0.1", 0), StubHandler)
        self.requests = []
        self.url = "http://127.0.0.1:%d/hook" % self.server_port


class StubHandler(BaseHTTPRequestHandler):
    """One request to the stub."""

    def do_POST(self):
        """Answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        status, headers, answer = self.server.answers[
            min(len(self.server.requests), len(self.server.answers)) - 1
        ]
        self.send_response(status)
        for header in headers.items():
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def stub():
    """Another server."""
    with Stub() as server:
        server.answers = [(200, {}, b'{"status": "accepted", "event_id": "evt_1"}')]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def verified(monkeypatch):
    """Record the bodies that are verified."""
    bodies = []
    verify = Provider.verify

    def record(provider, meta, body):
        bodies.append(body)
        return verify(provider, meta, body)

    monkeypatch.setattr(Provider, "verify", record)
    return bodies


# ---- to the shop


def test_an_event_is_made_up_signed_and_accepted(shop, order, live_server):
    report = shop(
        *CHARGE, "--set", "amount=25.00", "--set", "note.lines.0=hello", "--set", "count:=3"
    )
    event = Event.objects.get()
    (answer,) = report["answers"]
    assert (answer["status"], answer["outcomes"], answer["event_ids"]) == (
        200,
        ["accepted"],
        [event.provider_event_id],
    )
    assert (report["ok"], report["expected"], report["url"]) == (
        True,
        200,
        live_server.url + "/v1/webhooks/payment",
    )
    assert (event.type, event.order_id, event.provider) == ("charge.succeeded", "A1", "default")
    assert (event.data["amount"], event.data["currency"]) == ("25.00", "EUR")
    assert event.data["charge_id"].startswith("charge_")
    assert event.payload["note"] == {"lines": ["hello"]}
    assert event.payload["count"] == 3


@pytest.mark.parametrize(
    "words", ["{type} {url} {order}", "{url} {type} {order}", "{type} {order} {url}"]
)
def test_the_type_and_the_url_are_known_by_what_they_are(send, live_server, order, words):
    line = words.format(type="charge.succeeded", url=live_server.url, order="--order A1")
    send(*line.split())
    event = Event.objects.get()
    assert (event.type, event.order_id) == ("charge.succeeded", "A1")


def test_a_field_can_be_called_as_the_commands_own_words_are(shop, order):
    shop(*CHARGE, "--set", "provider=x", "--set", "event_type=y", "--set", "values=z")
    payload = Event.objects.get().payload
    assert [payload[name] for name in ("provider", "event_type", "values")] == ["x", "y", "z"]


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.name for sample in SAMPLES])
def test_every_provider_can_be_played(shop, order, settings, sample, run_due, shop_state):
    sample.set_up(settings)
    report = shop("--provider", sample.name, *CHARGE, "--event-id", "evt_7", "--duplicate", "2")
    event = Event.objects.get()
    assert (event.provider, event.provider_event_id, event.type) == (
        sample.name,
        "evt_7",
        "charge.succeeded",
    )
    assert [answer["status"] for answer in report["answers"]] == [200] * 3
    if sample.is_json_answer:
        assert [answer["outcomes"] for answer in report["answers"]] == [
            ["accepted"],
            ["duplicate"],
            ["duplicate"],
        ]
    run_due()
    assert shop_state()["ledger"] == [("payment", "A1")]


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.name for sample in SAMPLES])
def test_a_file_is_sent_byte_for_byte_as_every_provider_sends_it(
    shop, order, settings, sample, tmp_path, verified
):
    sample.set_up(settings)
    body = sample.body("evt_9") + b" \n"
    (tmp_path / "body.json").write_bytes(body)
    assert shop("--provider", sample.name, "--file", str(tmp_path / "body.json"))["ok"]
    # First by the command itself, then by the shop.
    assert verified == [body, body]
    event = Event.objects.get()
    assert event.order_id == "A1"
    assert event.provider_event_id == "evt_9" or sample.name == "standard"


def test_a_file_with_options_is_a_template(shop, order, tmp_path):
    template = dict(PayloadFactory(event_id="old", data__amount="1.00"), extra=[1, None])
    (tmp_path / "body.json").write_text(json.dumps(template))
    shop(
        "--file",
        str(tmp_path / "body.json"),
        "--event-id",
        "new",
        "--set",
        "amount=2.00",
        "--set",
        "extra.1=x",
    )
    event = Event.objects.get()
    assert (event.provider_event_id, event.type, event.data["amount"]) == (
        "new",
        "charge.succeeded",
        "2.00",
    )
    assert event.payload["extra"] == [1, "x"]


def test_the_body_can_come_from_the_standard_input(shop, order, monkeypatch):
    body = json.dumps(PayloadFactory(event_id="evt_1")).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body)))
    assert shop("--file", "-")["ok"]
    assert bytes(Event.objects.get().body) == body


def test_a_forged_webhook_is_expected_to_be_refused(shop, db):
    report = shop(*CHARGE, "--forge")
    assert (report["expected"], report["answers"][0]["status"], report["ok"]) == (401, 401, True)
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("options", "args", "status"),
    [
        ({"TOLERANCE": None}, ["--stale", "99999"], 200),
        ({"TOLERANCE": None}, ["--stale"], 200),
        ({"REFUSAL_STATUS": 498}, ["--forge"], 498),
    ],
)
def test_what_is_expected_is_what_the_provider_answers(
    shop, order, settings, options, args, status
):
    timed = {"SIGNATURE_TEMPLATE": "t={timestamp},v1={signature}", "CONTENT": "{timestamp}.{body}"}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"other": {"SECRETS": [SECRET], **timed, **options}}
    report = shop("--provider", "other", *CHARGE, *args)
    assert (report["expected"], report["ok"]) == (status, True)


@pytest.mark.parametrize(
    ("stale", "status"), [((), 401), ((301,), 401), ((200,), 200), ((-310,), 401), ((0,), 200)]
)
def test_a_time_of_signing_in_the_past_or_to_come_is_refused_beyond_the_tolerance(
    shop, order, stale, status
):
    report = shop("--provider", "timed", *CHARGE, "--stale", *map(str, stale))
    assert (report["expected"], report["answers"][0]["status"]) == (status, status)
    assert Event.objects.count() == (status == 200)


def test_another_key_can_sign(shop, send, order, settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "default": {"SECRETS": ["the new secret of the partner", SECRET]}
    }
    shop(*CHARGE)
    shop(*CHARGE, "--key", "2")
    first, second = Event.objects.order_by("pk").values_list("verified_by", flat=True)
    assert first != second
    with pytest.raises(
        CommandError, match=r"There is no key 3: there is 1 \(%s\), 2 \(%s\)\." % (first, second)
    ):
        send(*CHARGE, "--key", "3")


def test_what_is_printed_is_short_and_says_what_became_of_it(send, order, live_server):
    printed = send(live_server.url, *CHARGE, "--event-id", "evt_1", "--duplicate", "2")
    url = live_server.url + "/v1/webhooks/payment"
    assert printed == "%s\n200 accepted evt_1\nand then 2 times 200 duplicate\n" % url
    printed = send(live_server.url, *CHARGE, "--event-id", "evt_2", "--duplicate", "1")
    assert printed.endswith("and then once 200 duplicate\n")
    assert (
        send(live_server.url, *CHARGE, "--forge") == "%s\n401 The signature does not match.\n" % url
    )
    assert send(live_server.url, *CHARGE, verbosity=0) == ""


def test_an_order_that_exists_is_paid_by_it(shop, order, run_due, shop_state):
    shop(*CHARGE)
    run_due()
    assert shop_state()["orders"] == {"A1": "paid"}


# ---- answers that are not as they should be


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            (301, {"Location": "/hook/"}, b""),
            "The answer is 301, not 200. A provider does not follow a redirect",
        ),
        ((401, {}, b"{}"), "The answer is 401, not 200. The other side has another secret"),
        (
            (403, {}, b"<h1>CSRF</h1>"),
            "The answer is 403, not 200. Something in front of the webhook refuses it",
        ),
        ((404, {}, b""), "The answer is 404, not 200. There is no webhook at this address"),
        ((413, {}, b""), "The answer is 413, not 200. The body is larger than"),
        ((500, {}, b"oops"), "The answer is 500, not 200."),
        ((503, {}, b"{}"), "The answer is 503, not 200. The other side has no secret"),
    ],
)
def test_another_answer_is_an_error_with_a_hint(send, stub, answer, error):
    stub.answers = [answer]
    with pytest.raises(CommandError, match=error):
        send(stub.url, *CHARGE)
    assert len(stub.requests) == 1


def test_a_forgery_that_is_accepted_is_an_error(send, stub):
    with pytest.raises(
        CommandError, match="The answer is 200, not 401. It should have been refused."
    ):
        send(stub.url, *CHARGE, "--forge")


def test_an_event_that_is_accepted_twice_is_an_error(send, stub):
    with pytest.raises(CommandError, match="accepted again: it is not recognized as a duplicate"):
        send(stub.url, *CHARGE, "--duplicate", "1")
    assert len(stub.requests) == 2
    assert stub.requests[0][2] == stub.requests[1][2]


def test_an_error_is_reported_as_json_too(stub):
    stub.answers = [(500, {}, b"\xff\x1b[31m")]
    printed = io.StringIO()
    with pytest.raises(CommandError):
        call_command("send_payment_webhook", stub.url, *CHARGE, "--json", stdout=printed)
    report = json.loads(printed.getvalue())
    check_shape("send_payment_webhook", report)
    assert (report["ok"], report["answers"][0]["status"], report["answers"][0]["bytes"]) == (
        False,
        500,
        6,
    )


def test_what_the_other_side_says_can_not_move_the_cursor(send, stub):
    stub.answers = [(200, {}, json.dumps({"status": "\x1b[2J", "event_id": "\r\n"}).encode())]
    printed = send(stub.url, *CHARGE)
    assert printed.count("\n") == 2 and "\x1b" not in printed and "\r" not in printed


@pytest.mark.parametrize(
    "answer", [b"[]", b"1", b'{"events": 5}', b'{"events": [1]}', b"\xff", b""]
)
def test_an_answer_that_is_no_json_object_is_fine(send, stub, answer):
    stub.answers = [(200, {}, answer)]
    assert "200 %d bytes" % len(answer) in send(stub.url, *CHARGE)


def test_a_server_that_is_not_there_is_an_error(send, stub):
    stub.server_close()
    with pytest.raises(
        CommandError, match="No answer from .* after 0 of 1 posts: .*Is the server running?"
    ):
        send(stub.url, *CHARGE)


def test_the_command_exits_with_1_and_without_a_traceback(stub, capsys):
    stub.answers = [(500, {}, b"")]
    with pytest.raises(SystemExit) as exit:
        Command().run_from_argv(["manage.py", "send_payment_webhook", stub.url, *CHARGE])
    assert exit.value.code == 1
    assert capsys.readouterr().err.endswith("CommandError: The answer is 500, not 200.\n")


def test_progress_is_shown_on_a_terminal_and_nowhere_else(stub):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stub.answers = [(200, {}, b"{}")]
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        args = [stub.url, *CHARGE, "--duplicate", "11"]
        call_command(
            "send_payment_webhook", *args, stdout=io.StringIO(), stderr=stream, no_color=True
        )
        assert ("12 of 12 posted" in stream.getvalue()) is shown


# ---- what is sent


def test_what_is_posted_is_exactly_what_was_signed(send, stub, settings):
    send(stub.url + "?q=1", *CHARGE, "--header", "X-More: yes", "--set", "note=\u00e9")
    ((path, headers, body),) = stub.requests
    assert path == "/hook?q=1"
    assert headers["X-Signature"] == sign(body)
    assert (headers["Content-Type"], headers["X-More"]) == ("application/json", "yes")
    assert json.loads(body.decode())["note"] == "\u00e9"


def test_a_dry_run_sends_nothing_and_shows_no_signature(send, stub):
    printed = send(stub.url, "--provider", "timed", *CHARGE, "--dry-run")
    assert stub.requests == []
    assert printed.startswith("POST %s\nX-Signature: (80 characters)\n\n{" % stub.url)
    report = json.loads(send(stub.url, *CHARGE, "--dry-run", "--json"))
    assert sign(report["body"].encode()) not in json.dumps(report)
    assert report["headers"] == {"X-Signature": "(64 characters)"}
    assert json.loads(report["body"])["type"] == "charge.succeeded"


@pytest.mark.parametrize(
    "url", ["https://shop.example/hook", "http://192.0.2.1/hook", "http://localhost.example/hook"]
)
def test_a_genuine_webhook_goes_to_another_machine_only_if_asked(send, url, monkeypatch):
    with pytest.raises(
        CommandError, match="is not this machine, and would believe the event"
    ) as raised:
        send(url, *CHARGE)
    assert ("Use https as well" in str(raised.value)) is url.startswith("http:")
    asked = []
    module = sys.modules[Command.__module__]
    monkeypatch.setattr(module, "post", lambda url, *_: asked.append(url) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        send(url, *CHARGE, "--remote", "--no-input")
    assert asked == [url]
    host = urlsplit(url).hostname
    with pytest.raises(CommandError, match=f"^Nothing was posted. .* to {host}.*: --no-input.$"):
        send(url, *CHARGE, "--remote")
    assert asked == [url]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "shop.localhost"])
def test_this_machine_has_many_names(send, host):
    assert "POST http://%s:1/v1/webhooks/payment\n" % host in send(
        "http://%s:1" % host, *CHARGE, "--dry-run"
    )


def test_the_address_of_a_provider_is_the_projects_own(send, settings):
    assert "POST http://127.0.0.1:8000/v1/webhooks/payment/timed\n" in send(
        "--provider", "timed", *CHARGE, "--dry-run"
    )
    settings.ROOT_URLCONF = __name__
    with pytest.raises(
        CommandError, match="does not include django_payment_webhooks.urls: give the whole URL"
    ):
        send(*CHARGE)


urlpatterns = []


class Odd(Provider):
    """Reads the type from two fields, which no option can say."""

    def read_field(self, name, payload, types=()):
        return (
            "%s.%s" % (payload.get("kind"), payload.get("state"))
            if name == "type"
            else super().read_field(name, payload, types)
        )


class Verified(Provider):
    """Verifies in a way of its own."""

    verifies_by_options = False

    def verify(self, meta, body):
        return super().verify({"HTTP_X_SIGNATURE": meta.get("HTTP_X_OWN", "")}, body)


class Foreign:
    """A provider that only the core knows."""

    def __init__(self, name, **options):
        self.name = name


class Owned(Verified):
    """Can sign in this way, too."""

    def sign_headers(self, key, meta, body, timestamp=""):
        return {"X-Own": super().sign_headers(key, meta, body, timestamp)["X-Signature"]}


def test_a_class_with_a_verify_of_its_own_can_say_how_it_signs(shop, order, settings):
    options = {"BACKEND": __name__ + ".Owned", "SECRETS": [SECRET]}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"own": options}
    assert shop("--provider", "own", *CHARGE)["ok"]
    assert Event.objects.get().provider == "own"


def test_a_dry_run_shows_no_signature_in_whatever_header_it_is(send, settings):
    options = {"BACKEND": __name__ + ".Owned", "SECRETS": [SECRET]}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"own": options}
    args = ["--provider", "own", *CHARGE, "--header", "X-More: yes", "--dry-run", "--json"]
    report = json.loads(send(*args))
    assert report["headers"] == {"X-More": "yes", "X-Own": "(64 characters)"}


def test_a_type_that_the_provider_calls_by_another_name_is_sent_by_that(shop, order, settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "default": {
            "SECRETS": [SECRET],
            "TYPES": {"paid": "charge.succeeded"},
            "FIELDS": {"type": "header:X-Kind"},
        }
    }
    shop(*CHARGE)
    shop("--type", "paid", "--order", "A1")
    assert set(Event.objects.values_list("type", flat=True)) == {"charge.succeeded"}
    assert not any("type" in event.payload for event in Event.objects.all())


@pytest.mark.parametrize(
    ("options", "args", "error"),
    [
        (
            {},
            ["--provider", "nobody", *CHARGE],
            "There is no provider 'nobody' in PAYMENT_WEBHOOKS_PROVIDERS",
        ),
        ({"SECRETS": ["x"]}, CHARGE, "The provider tried has no usable secret"),
        (
            {"BACKEND": __name__ + ".Foreign"},
            CHARGE,
            "The provider tried can't be used: it is not derived",
        ),
        (
            {"BACKEND": __name__ + ".Odd"},
            CHARGE,
            "reads 'None.None' where the type should be 'charge.succeeded'",
        ),
        ({"BACKEND": __name__ + ".Verified"}, CHARGE, "Its class verifies in a way of its own"),
        (
            {"SIGNATURE_PATTERN": "v1=([0-9a-f]{64})"},
            CHARGE,
            r"\(malformed_signature\). Set SIGNATURE_TEMPLATE to what",
        ),
        ({"SIGNATURE_TEMPLATE": ""}, CHARGE, r"\(no_signature\). Set SIGNATURE_TEMPLATE to what"),
        ({}, [*CHARGE, "--stale"], "The provider tried signs no time"),
        ({}, [], "Give the --type of the event"),
        ({}, ["http://a/x", "refund.created", *CHARGE], "Give one type and one URL at most"),
        ({}, ["http://a/x", "http://b/x", *CHARGE], "Give one type and one URL at most"),
        ({}, ["--file", "/no/such/file"], "No such file"),
        ({}, ["--file", __file__, "--order", "A1"], "The template is not JSON"),
        ({}, [*CHARGE, "--set", "amount"], "--set 'amount' is not NAME=VALUE"),
        ({}, [*CHARGE, "--set", "=1"], "--set '=1' is not NAME=VALUE"),
        ({}, [*CHARGE, "--set", "amount:=1,2"], "what follows := is not JSON"),
        ({}, [*CHARGE, "--set", "amount:=" + "[" * 100000], "what follows := is not JSON"),
        ({}, [*CHARGE, "--set", "a.0=x", "--set", "a.b=x"], "there is a list, which has no 'b'"),
        (
            {},
            [*CHARGE, "--set", "a.9999999999=x", "--set", "a.0.99999999999=1"],
            "'99999999999'|'9999999999'",
        ),
        ({}, [*CHARGE, "--header", "X-Secret"], "--header 'X-Secret' is not 'NAME: VALUE'"),
        ({}, [*CHARGE, "--header", "X-A: a\nb"], "Is the address right"),
        (
            {},
            [*CHARGE, "--order", "x" * 256],
            "reads '' where the order_id should be 'xxx",
        ),
        ({}, [*CHARGE, "--duplicate", "-1"], "--duplicate: '-1' is less than 0"),
        ({}, [*CHARGE, "--timeout", "0"], "--timeout: '0' is less than 0.001"),
        ({}, ["ftp://localhost/x", *CHARGE], "must begin with http:// or https://"),
        ({}, ["localhost:8000/x", *CHARGE], "must begin with http:// or https://"),
        ({}, ["http://[::1/x", *CHARGE], "Invalid IPv6 URL"),
    ],
)
def test_what_can_not_be_sent_is_said_with_what_to_do(send, settings, stub, options, args, error):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"tried": dict({"SECRETS": [SECRET]}, **options)}
    url = [] if args and args[0].startswith(("ftp", "local", "http")) else [stub.url]
    provider = [] if "--provider" in args else ["--provider", "tried"]
    with pytest.raises(CommandError, match=error) as raised:
        send(*url, *args, *provider)
    assert SECRET not in str(raised.value)
    assert stub.requests == []


def test_help_says_what_it_is_for_and_names_every_option(capsys):
    with pytest.raises(SystemExit) as exit:
        Command().run_from_argv(["manage.py", "send_payment_webhook", "--help"])
    assert exit.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert " ".join(Command.help.split()) in text
    for option in (
        "--type TYPE",
        "--set NAME=VALUE",
        "--file FILE",
        "--forge",
        "--stale",
        "--duplicate N",
        "--json",
    ):
        assert option in text
