"""``manage.py send_payment_webhook``."""

import http.client
import ipaddress
import json
import sys
import time
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError
from django.urls import NoReverseMatch, reverse

from ...providers.diagnosis import fingerprint, list_keys
from ...providers.sending import (
    Webhook,
    compose,
    compose_headers,
    find_provider,
    forge_webhook,
    is_header,
    make_id,
    make_values,
    sign_webhook,
)

MAX_ANSWER = 64 * 1024  # bytes
HINTS = {
    401: "The other side has another secret, or something changes the body. There, verify_payment_webhook tells why.",
    403: "Something in front of the webhook refuses it: the app itself never answers 403.",
    404: "There is no webhook at this address, or no provider of this name.",
    413: "The body is larger than PAYMENT_WEBHOOKS_MAX_BODY_SIZE allows there.",
    503: "The other side has no secret for this provider, or no database.",
}
PLAIN = " Use https as well: whoever sees a signed webhook on its way can send it again."
REDIRECT = "A provider does not follow a redirect: give the address that it leads to."


class Command(BaseCommand):
    """Play the provider: sign one event and post it."""

    help = (
        "Play a payment provider: sign an event as the provider does, with its first secret in the settings, and post "
        "it to a URL. The event is made up of --type, --order and --set, or read from a file. "
        "Exits with 0 if every answer is as it should be: 200, and at most the first one new; 401 with --forge, "
        "and with --stale if the time is out of the provider's tolerance. "
        "Example: send_payment_webhook --type charge.succeeded --order A1 --set amount=25.00 --duplicate 2"
    )

    # It helps to find mistakes in the settings, and must not be stopped by one.
    requires_system_checks: list = []

    def add_arguments(self, parser):
        """Add the options."""
        parser.add_argument(
            "url",
            nargs="?",
            default="http://127.0.0.1:8000",
            help="where to; without a path the project's own address for the provider is added [%(default)s]",
        )
        parser.add_argument(
            "--provider", default="default", metavar="NAME", help="who sends [%(default)s]"
        )
        self.add_event_arguments(parser)
        self.add_signature_arguments(parser)
        parser.add_argument(
            "--duplicate", type=int, default=0, metavar="N", help="post it N times more"
        )
        parser.add_argument(
            "--timeout",
            type=float,
            default=10,
            metavar="SECONDS",
            help="for each answer [%(default)s]",
        )
        parser.add_argument(
            "--remote", action="store_true", help="allow a URL that is not on this machine"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="print what would be posted, but no signature"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def add_event_arguments(self, parser):
        """Add the options that say what is sent."""
        parser.add_argument("--type", help="the type of the event, such as charge.succeeded")
        parser.add_argument("--order", metavar="ID", help="the id of the order")
        parser.add_argument("--event-id", metavar="ID", help="the id of the event [a new one]")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a field of the event, such as amount=25.00, or a dotted path in it; NAME:=VALUE for JSON that is no "
            "text, such as amount:=2500. Otherwise a charge, refund or dispute has a new id, and 10.00 EUR",
        )
        parser.add_argument(
            "--file",
            help="the body, - for the standard input: sent as it is, byte for byte; or a template, if --type, --order, "
            "--event-id or --set is given",
        )
        parser.add_argument(
            "--header",
            action="append",
            default=[],
            metavar="'NAME: VALUE'",
            help="one more header, such as a signed id",
        )

    def add_signature_arguments(self, parser):
        """Add the options that say how it is signed."""
        parser.add_argument(
            "--key", type=int, default=1, metavar="NUMBER", help="which of the secrets signs [1]"
        )
        parser.add_argument("--forge", action="store_true", help="sign with a key that nobody has")
        parser.add_argument(
            "--stale",
            type=int,
            nargs="?",
            const=True,
            metavar="SECONDS",
            help="sign a time that is so long ago (negative: still to come) [a minute more than is tolerated]",
        )

    def handle(self, *args, **options):
        """Send the webhook, and print what it was answered with."""
        try:
            if options["duplicate"] < 0 or options["timeout"] <= 0:
                raise ValueError("--duplicate is a number from 0 on, --timeout a number above it.")
            provider = find_provider(options["provider"])
            url = complete_url(options["url"], options["provider"])
            check_url(url, options)
            age = find_age(provider, options)
            webhook = sign(provider, make_webhook(provider, options), age, options)
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        expected = 401 if options["forge"] or abs(age) > provider.tolerance else 200
        report = {
            "url": url,
            "provider": provider.name,
            "bytes": len(webhook.body),
            "expected": expected,
        }
        if options["dry_run"]:
            return self.print_webhook(
                provider, webhook, dict(report, headers=hide_proof(provider, webhook)), options
            )
        answers = list(self.post_all(url, webhook, options))
        problem = find_problem(answers, expected)
        report.update(answers=answers, ok=not problem)
        if options["json"]:
            self.stdout.write(json.dumps(report))
        elif options["verbosity"]:
            self.print_answers(url, answers)
        if problem:
            raise CommandError(problem)

    def post_all(self, url, webhook, options):
        """Post the webhook as often as asked for, and give each answer. Shows how far it is on a terminal."""
        count = options["duplicate"] + 1
        shows = count > 10 and options["verbosity"] and self.stderr.isatty()
        for number in range(1, count + 1):
            try:
                yield post(url, webhook, options["timeout"])
            except (OSError, http.client.HTTPException, ValueError) as error:
                hint = (
                    "Is the server running?"
                    if isinstance(error, ConnectionError)
                    else "Is the address right?"
                )
                text = "No answer from %s after %d of %d posts: %r. %s"
                raise CommandError(text % (url, number - 1, count, error, hint)) from error
            if shows:
                self.stderr.write(
                    "\r%d of %d posted" % (number, count), ending="\n" if number == count else ""
                )

    def print_answers(self, url, answers):
        """Print what the answers say, for people."""
        for answer in answers[:1]:
            said = ", ".join(answer["outcomes"]) or answer["error"] or "%d bytes" % answer["bytes"]
            events = " ".join(answer["event_ids"])
            self.stdout.write("%s\n%d %s" % (url, answer["status"], (said + " " + events).strip()))
        if len(answers) > 1:
            told = [
                str(answer["status"]) + " " + (", ".join(answer["outcomes"]) or "-")
                for answer in answers[1:]
            ]
            counts = ["%d times %s" % (told.count(each), each) for each in sorted(set(told))]
            self.stdout.write("and then " + "; ".join(counts))

    def print_webhook(self, provider, webhook, report, options):
        """Print what would be posted. Its body is what the caller has asked for; its signature is nobody's business."""
        body = webhook.body.decode("utf-8", "backslashreplace")
        if options["json"]:
            return self.stdout.write(json.dumps(dict(report, body=body)))
        lines = [
            "POST " + report["url"],
            *("%s: %s" % header for header in report["headers"].items()),
            "",
            body,
        ]
        self.stdout.write("\n".join(lines))


def complete_url(url, provider):
    """Return the URL, with the path of the provider's webhook if it has none."""
    if urlsplit(url).path:
        return url
    try:
        path = reverse("payment_webhooks:receive_from", args=[provider])
        return url + (reverse("payment_webhooks:receive") if provider == "default" else path)
    except NoReverseMatch as error:
        text = "The URL has no path, and this project does not include django_payment_webhooks.urls: give the whole URL."
        raise ValueError(text) from error


def check_url(url, options):
    """Raise ``ValueError`` for a URL that a genuine webhook should not be posted to without a thought."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("The URL must begin with http:// or https:// and have a host.")
    if options["remote"] or options["forge"] or options["dry_run"] or is_local(parts.hostname):
        return
    text = "%s is not this machine, and would believe the event. If that is what you want, add --remote."
    raise ValueError(text % parts.hostname + (PLAIN if parts.scheme == "http" else ""))


def is_local(host):
    """Return whether a host is this machine, by its name or its address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def find_age(provider, options):
    """Return how many seconds ago the webhook is to be signed."""
    return provider.tolerance + 60 if options["stale"] is True else options["stale"] or 0


def make_webhook(provider, options):
    """Return the webhook that the options describe, without its signature."""
    chosen = {
        "provider_event_id": options["event_id"],
        "type": options["type"],
        "order_id": options["order"],
    }
    values = {name: value for name, value in chosen.items() if value is not None}
    values.update(read_value(text) for text in options["set"])
    headers = dict(read_header_line(text) for text in options["header"])
    body = read_file(options["file"]) if options["file"] else None
    if body is None:
        if "type" not in values:
            raise ValueError(
                "Give the --type of the event, such as charge.succeeded, or a --file with the body."
            )
        webhook = compose(provider, make_values(provider, values.pop("type"), **values))
    else:
        if is_header(provider, "provider_event_id"):
            values.setdefault("provider_event_id", make_id("evt"))
        is_template = [name for name in values if not is_header(provider, name)]
        webhook = (
            compose(provider, values, read_template(body)) if is_template else Webhook(body, {})
        )
        webhook.headers.update(compose_headers(provider, values))
    return webhook._replace(headers=dict(webhook.headers, **headers))


def read_value(text):
    """Return the name and the value of ``NAME=TEXT`` or ``NAME:=JSON``."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip(":"):
        raise ValueError("--set %s is not NAME=VALUE." % ascii(text))
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except ValueError as error:
        raise ValueError("--set %s: what follows := is not JSON." % ascii(text)) from error


def read_header_line(text):
    """Return the name and the value of a header."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError("--header %s is not 'NAME: VALUE'." % ascii(name))
    return name.strip(), value.strip()


def read_file(path):
    """Return the bytes of a file, or of the standard input."""
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()


def read_template(body):
    """Return the JSON object that a template is."""
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except ValueError as error:
        raise ValueError("The template is not JSON: %s." % error) from error
    if not isinstance(document, dict):
        raise ValueError("The template is not a JSON object.")
    return document


def sign(provider, webhook, age, options):
    """Return the webhook with its signature, a genuine one or not."""
    if options["forge"]:
        return forge_webhook(provider, webhook, age)
    keys = dict(list_keys(provider))
    if keys and options["key"] not in keys:
        known = ", ".join(
            "%d (%s)" % (number, fingerprint(key)) for number, key in sorted(keys.items())
        )
        raise ValueError("There is no key %d: there is %s." % (options["key"], known))
    return sign_webhook(provider, webhook, age, keys.get(options["key"]))


def hide_proof(provider, webhook):
    """Return the headers of a webhook for printing."""
    hidden = {provider.signature_header.lower()}
    return {
        name: "(%d characters)" % len(value) if name.lower() in hidden else value
        for name, value in webhook.headers.items()
    }


def post(url, webhook, timeout):
    """Post a webhook once, and return its answer as plain values. Follows no redirect, as a provider does not."""
    parts = urlsplit(url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    connection = kinds[parts.scheme](parts.netloc.rpartition("@")[2], timeout=timeout)
    headers = dict(
        {"Content-Type": "application/json", "User-Agent": "django-payment-webhooks"},
        **webhook.headers,
    )
    started = time.monotonic()
    try:
        connection.request(
            "POST", parts.path + ("?" + parts.query if parts.query else ""), webhook.body, headers
        )
        response = connection.getresponse()
        body = response.read(MAX_ANSWER)
    finally:
        connection.close()
    try:
        said = json.loads(body.decode())
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    several = said.get("events")
    events = [
        event
        for event in (several if isinstance(several, list) else [said])
        if isinstance(event, dict)
    ]
    return {
        "status": response.status,
        "outcomes": [ascii(str(event["status"]))[1:-1] for event in events if "status" in event],
        "event_ids": [
            ascii(str(event["event_id"]))[1:-1] for event in events if "event_id" in event
        ],
        "error": ascii(str(said.get("error", "")))[1:-1],
        "bytes": len(body),
        "seconds": round(time.monotonic() - started, 4),
    }


def find_problem(answers, expected):
    """Return what is not as it should be, in a sentence; nothing if all is well."""
    for answer in answers:
        status = answer["status"]
        if status != expected:
            hint = REDIRECT if 300 <= status < 400 else HINTS.get(status, "")
            hint = "It should have been refused." if status == 200 else hint
            return ("The answer is %d, not %d. %s" % (status, expected, hint)).strip()
    if any("accepted" in answer["outcomes"] for answer in answers[1:]):
        return "An event was accepted again: it is not recognized as a duplicate."
    return ""
