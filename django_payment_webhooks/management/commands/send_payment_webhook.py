"""``manage.py send_payment_webhook``."""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
from collections import Counter
from urllib.parse import urlsplit

from django.core.management.base import CommandError
from django.urls import NoReverseMatch

from ...conf import settings
from ...providers.posting import find_webhook_path, post
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
from ...providers.signatures import fingerprint, number_keys
from ...providers.spelling import ask_whether, find_near, suggest
from ..terminal import TerminalCommand, add_no_input, between, mix_words, read_file, unable

HINTS = {
    401: "The other side has another secret, or something changes the body: there, run"
    " verify_payment_webhook.",
    403: "Something in front of the webhook refuses it: the app itself never answers 403.",
    404: "There is no webhook at this address, or no provider of this name.",
    413: "The body is larger than PAYMENT_WEBHOOKS_MAX_BODY_SIZE allows there.",
    503: "The other side has no secret for this provider, or no database.",
}
USE_HTTPS = "Use https as well: anyone who sees a signed webhook on its way can resend it."
DEFAULT_URL = "http://127.0.0.1:8000"
# What can be no URL, which has a colon or a slash.
TYPE = re.compile(r"[^:/]+")
REDIRECT = "A provider does not follow a redirect: give the address that it leads to."


class Command(TerminalCommand):
    """Play the provider: sign one event and post it."""

    help = (
        "Play a payment provider: sign an event as the provider does, with its first secret in the"
        " settings, and post it to a URL. The event is made from its type, --order and --set, or"
        " read from a file. Exits with 0 if every answer is as it should be: 200, and at most the"
        " first one new; 401 with --forge, and with --stale if the time is out of the provider's"
        " tolerance. Example: send_payment_webhook charge.succeeded --order A1 --set amount=25.00"
        " --duplicate 2"
    )

    def add_arguments(self, parser):
        """Add the options."""
        mix_words(parser)
        parser.add_argument(
            "words",
            nargs="*",
            metavar="TYPE|URL",
            help="the type of the event, as --type says it; and where to: to a URL without a path"
            f" the project's own address for the provider is added (default: {DEFAULT_URL})",
        )
        parser.add_argument(
            "--provider",
            default="default",
            metavar="NAME",
            help="the provider to play (default: default)",
        )
        self.add_event_arguments(parser)
        self.add_signature_arguments(parser)
        self.add_posting_arguments(parser)

    def add_event_arguments(self, parser):
        """Add the options that say what is sent."""
        parser.add_argument("--type", help="the type of the event, such as charge.succeeded")
        parser.add_argument("--order", metavar="ID", help="the id of the order")
        text = "the id of the event (default: a new one)"
        parser.add_argument("--event-id", metavar="ID", help=text)
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a field of the event, such as amount=25.00, or a dotted path in it; NAME:=VALUE"
            " for JSON that is not text, such as amount:=2500. Otherwise a charge, refund or"
            " dispute has a new id, and 10.00 EUR",
        )
        parser.add_argument(
            "--file",
            help="the body, - for standard input: sent as it is, byte for byte; or a template,"
            " if --type, --order, --event-id or --set is given",
        )
        parser.add_argument(
            "--header",
            action="append",
            default=[],
            metavar="'NAME: VALUE'",
            help="an additional header, such as a signed id",
        )

    def add_signature_arguments(self, parser):
        """Add the options that say how it is signed."""
        parser.add_argument(
            "--key",
            type=int,
            default=1,
            metavar="NUMBER",
            help="which of the secrets signs (default: 1)",
        )
        parser.add_argument("--forge", action="store_true", help="sign with a wrong key")
        parser.add_argument(
            "--stale",
            type=int,
            nargs="?",
            const=True,
            metavar="SECONDS",
            help="sign with a time SECONDS ago, or in the future if negative"
            " (default: a minute beyond the tolerance)",
        )

    def add_posting_arguments(self, parser):
        """Add the options that say how it is posted."""
        add = parser.add_argument
        text = "post it N more times (default: 0)"
        add("--duplicate", type=between(0, 100_000), default=0, metavar="N", help=text)
        text = "how long to wait for each answer (default: 10)"
        timeout = between(0.001, 3600, float)
        add("--timeout", type=timeout, default=10, metavar="SECONDS", help=text)
        text = "allow a URL that is not on this machine; it asks before it posts there"
        add("--remote", action="store_true", help=text)
        add_no_input(parser)
        text = "print what would be posted, but no signature"
        add("--dry-run", action="store_true", help=text)
        add("--json", action="store_true", help="print one JSON object")

    def handle(self, *args, **options):
        """Send the webhook, and print what it was answered with."""
        try:
            sort_words(options)
            provider = find_provider(options["provider"])
            url = complete_url(options["url"], provider.name)
            check_url(url, options)
            age = find_age(provider, options)
            unsigned = make_webhook(provider, options)
            webhook = sign(provider, unsigned, age, options)
            for doubt in find_doubts(provider, read_values(options)):
                self.stderr.write(f"Note: {doubt}")
        except (OSError, ValueError) as error:
            raise unable(str(error)) from error
        expected = find_expected(provider, age, options)
        report = {
            "url": url,
            "provider": provider.name,
            "bytes": len(webhook.body),
            "expected": expected,
        }
        if options["dry_run"]:
            report["headers"] = hide_proof(unsigned, webhook)
            self.print_webhook(webhook, report, options)
            return
        self.confirm_remote(url, report, options)
        answers = list(self.post_all(url, webhook, options))
        problem = find_problem(answers, expected)
        if options["json"]:
            report["answers"] = [answer._asdict() for answer in answers]
            report["ok"] = not problem
            self.stdout.write(json.dumps(report))
        elif options["verbosity"]:
            self.print_answers(url, answers)
        if problem:
            raise CommandError(problem)

    def confirm_remote(self, url, report, options):
        """Raise ``CommandError`` unless whoever runs the command wants another machine to act."""
        host = urlsplit(url).hostname
        if options["forge"] or is_local(host):
            return
        question = (
            f"Post a genuine webhook of {report['provider']}, signed with its secret, to {host}?"
            f" That machine will believe it, and act on it."
        )
        self.confirm(question, "Nothing was posted.", options)

    def post_all(self, url, webhook, options):
        """Post the webhook as often as asked for, and give each answer.

        Shows how far it is on a terminal.
        """
        count = options["duplicate"] + 1
        shows_progress = count > 10 and options["verbosity"] and self.stderr.isatty()
        for number in range(1, count + 1):
            try:
                yield post(url, webhook, options["timeout"])
            except (OSError, http.client.HTTPException, ValueError) as error:
                posted = f"after {number - 1} of {count} posts"
                hint = find_hint(error)
                raise unable(f"No answer from {url} {posted}: {error!r}. {hint}") from error
            if shows_progress:
                ending = "\n" if number == count else ""
                self.stderr.write(f"\r{number} of {count} posted", ending=ending)

    def print_answers(self, url, answers):
        """Print what the answers say, for people."""
        first, *others = answers
        text = ", ".join(first.outcomes) or first.error or f"{first.bytes} bytes"
        words = [str(first.status), text, *first.event_ids]
        self.stdout.write(f"{url}\n{' '.join(words)}")
        if others:
            counts = Counter(describe(answer) for answer in others)
            texts = [
                f"{'once' if count == 1 else f'{count} times'} {text}"
                for text, count in sorted(counts.items())
            ]
            self.stdout.write(f"and then {'; '.join(texts)}")

    def print_webhook(self, webhook, report, options):
        """Print what would be posted.

        Its body is what the caller has asked for; its signature is nobody's business.
        """
        body = webhook.body.decode("utf-8", "backslashreplace")
        if options["json"]:
            self.stdout.write(json.dumps({**report, "body": body}))
            return
        headers = [f"{name}: {value}" for name, value in report["headers"].items()]
        self.stdout.write("\n".join(["POST " + report["url"], *headers, "", body]))


# ---- where to


def sort_words(options):
    """Set the URL and the type to the words that are one. Raises ``ValueError`` for too many."""
    types = [word for word in options["words"] if TYPE.fullmatch(word)]
    urls = [word for word in options["words"] if word not in types]
    if len(urls) > 1 or len(types) + bool(options["type"]) > 1:
        raise ValueError("Give one type and one URL at most.")
    options["url"] = urls[0] if urls else DEFAULT_URL
    options["type"] = types[0] if types else options["type"]


def complete_url(url, provider):
    """Return the URL, with the path of the provider's webhook if it has none."""
    if urlsplit(url).path:
        return url
    try:
        return url + find_webhook_path(provider)
    except NoReverseMatch as error:
        raise ValueError(
            "The URL has no path, and this project does not include django_payment_webhooks.urls:"
            " give the whole URL."
        ) from error


def check_url(url, options):
    """Raise ``ValueError`` for a URL that a genuine webhook should not be posted to blindly."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("The URL must begin with http:// or https:// and have a host.")
    is_harmless = options["forge"] or options["dry_run"] or is_local(parts.hostname)
    if options["remote"] or is_harmless:
        return
    text = f"{parts.hostname} is not this machine, and would believe the event."
    text += " If that is what you want, add --remote."
    if parts.scheme == "http":
        text += " " + USE_HTTPS
    raise ValueError(text)


def is_local(host):
    """Return whether a host is this machine, by its name or its address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


# ---- what


def make_webhook(provider, options):
    """Return the webhook that the options describe, without its signature."""
    values = read_values(options)
    if options["file"]:
        webhook = read_webhook(provider, values, read_file(options["file"]))
    elif "type" in values:
        webhook = compose(provider, {**make_values(provider, values["type"]), **values})
    else:
        raise ValueError(
            "Give the --type of the event, such as charge.succeeded, or a --file with the body."
        )
    return webhook.add_headers(dict(read_header_line(text) for text in options["header"]))


def read_values(options):
    """Return the fields of the event that the options give."""
    chosen = {
        "provider_event_id": options["event_id"],
        "type": options["type"],
        "order_id": options["order"],
    }
    values = {name: value for name, value in chosen.items() if value is not None}
    values.update(read_value(text) for text in options["set"])
    return values


def find_doubts(provider, values):
    """Yield what is likely mistyped among the values, and is sent nevertheless."""
    name = values.get("type")
    types = {*settings.PAYMENT_WEBHOOKS_HANDLERS, *provider.types, *provider.types.values()}
    if name is not None and name not in types:
        yield f"No handler here is for the type {name!a}. {suggest(name, types)}"
    for name in values:
        near = [] if name in provider.fields or "." in name else find_near(name, provider.fields)
        if near:
            yield f"{name!a} is none of the provider's fields. {ask_whether(near)}"


def read_webhook(provider, values, body):
    """Return a webhook with a body from a file; a template if values change something in it."""
    if is_header(provider, "provider_event_id"):
        values.setdefault("provider_event_id", make_id("evt"))
    if all(is_header(provider, name) for name in values):
        return Webhook(body, compose_headers(provider, values))
    return compose(provider, values, read_template(body))


def read_value(text):
    """Return the name and the value of ``NAME=TEXT`` or ``NAME:=JSON``."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip(":"):
        raise ValueError(f"--set {text!a} is not NAME=VALUE.")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except (RecursionError, ValueError) as error:
        raise ValueError(f"--set {text!a}: what follows := is not JSON.") from error


def read_header_line(text):
    """Return the name and the value of a header."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"--header {name!a} is not 'NAME: VALUE'.")
    return name.strip(), value.strip()


def read_template(body):
    """Return the JSON object that a template is."""
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except (RecursionError, ValueError) as error:
        raise ValueError(f"The template is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise ValueError("The template is not a JSON object.")
    return document


# ---- its signature


def find_age(provider, options):
    """Return how many seconds ago the webhook is to be signed."""
    if options["stale"] is True:
        return (provider.tolerance or 0) + 60
    return options["stale"] or 0


def sign(provider, webhook, age, options):
    """Return the webhook with its signature, a genuine one or not."""
    if options["forge"]:
        return forge_webhook(provider, webhook, age)
    keys = number_keys(provider)
    if keys and options["key"] not in keys:
        known = ", ".join(f"{number} ({fingerprint(key)})" for number, key in keys.items())
        raise ValueError(f"There is no key {options['key']}: there is {known}.")
    return sign_webhook(provider, webhook, age, keys.get(options["key"]))


def hide_proof(unsigned, signed):
    """Return the headers of a signed webhook for printing: what its signature added is hidden."""
    headers = dict(signed.headers)
    for name, value in signed.headers.items():
        if unsigned.headers.get(name) != value:
            headers[name] = f"({len(value)} characters)"
    return headers


# ---- the answer


def find_expected(provider, age, options):
    """Return the status that the webhook should be answered with."""
    is_stale = provider.tolerance is not None and abs(age) > provider.tolerance
    return provider.refusal_status if options["forge"] or is_stale else 200


def describe(answer):
    """Return what an answer says, without the ids in it."""
    outcomes = ", ".join(answer.outcomes) or "-"
    return f"{answer.status} {outcomes}"


def find_hint(error):
    """Return what to look at if there is no answer."""
    if isinstance(error, ConnectionError):
        return "Is the server running?"
    return "Is the address right?"


def find_problem(answers, expected):
    """Return what is not as it should be, in a sentence; nothing if all is well."""
    for answer in answers:
        if answer.status != expected:
            hint = find_status_hint(answer.status)
            return f"The answer is {answer.status}, not {expected}. {hint}".strip()
    if any("accepted" in answer.outcomes for answer in answers[1:]):
        return "An event was accepted again: it is not recognized as a duplicate."
    return ""


def find_status_hint(status):
    """Return what a status that was not expected may come from."""
    if status == 200:
        return "It should have been refused."
    if 300 <= status < 400:
        return REDIRECT
    return HINTS.get(status, "")
