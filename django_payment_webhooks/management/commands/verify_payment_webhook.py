"""``manage.py verify_payment_webhook``."""

from __future__ import annotations

import json
import re
import time

from django.core.management.base import CommandError
from django.utils.dateparse import parse_datetime

from ...providers import Provider
from ...providers.diagnosis import explain, find_changes
from ...providers.headers import find_meta_name
from ...providers.sending import find_provider
from ...providers.subject import list_providers
from ..terminal import TerminalCommand, read_file, unable

# The checks after which it is not known who has signed. The others, such as that of the age, say
# themselves what is wrong.
UNPROVED = {"header", "signatures", "time", "match"}
NOTHING_FOUND = """
Nothing that was tried makes it match: no other form of the body, key, digest or content.
It was signed with a secret that is not here, or it is forged, or the body is another one."""

# What is missing if a check fails that needs it: that says nothing about who sent the webhook.
MISSING = {
    "header": "no signature",
    "signatures": "no signature that can be read",
    "time": "no signing time",
}
NOTHING_TO_COMPARE = """
Whether it is genuine can't be said: it has {missing}, so there is nothing to compare with.
Find out whether the provider has sent it so, or something on the way has changed its headers."""


class Command(TerminalCommand):
    """Explain why a webhook is refused."""

    help = (
        "Explain why a webhook is answered with 401. Given its headers and its raw body, it makes"
        " each check of the signature by itself, and names the first that fails; then it tries what"
        " would have to be different: the body rewritten, another key, digest or encoding. It never"
        " prints a secret, a signature or a body. Exits with 0 if the webhook is genuine, with 1 if"
        " not. Example: verify_payment_webhook --body body.json --header 'X-Signature: 5f3a...'"
    )

    def add_arguments(self, parser):
        """Add the options."""
        parser.add_argument(
            "--provider",
            default="default",
            metavar="NAME",
            help="the provider that should have sent it (default: default)",
        )
        parser.add_argument("--body", metavar="FILE", help="the raw body, - for standard input")
        parser.add_argument(
            "--header",
            action="append",
            default=[],
            metavar="'NAME: VALUE'",
            help="a header; can be repeated",
        )
        parser.add_argument("--headers", metavar="FILE", help="a file with one header per line")
        parser.add_argument(
            "--request",
            metavar="FILE",
            help="a whole request instead of these three, exactly as received: headers, an empty"
            " line, the body",
        )
        parser.add_argument(
            "--at",
            metavar="TIME",
            help="when it was received, as ISO 8601 or Unix seconds: its age is counted up to then"
            " (default: now)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args, **options):
        """Print each check, and what would have to be different."""
        try:
            provider = find_provider(options["provider"])
            others = find_others(options["provider"])
            meta, body = read_request(options)
            now = read_time(options["at"])
        except (OSError, ValueError) as error:
            raise unable(str(error)) from error
        checks = explain(provider, meta, body, now)
        failed = [check.name for check in checks if not check.passed]
        is_unproved = not UNPROVED.isdisjoint(failed)
        changes = find_changes(provider, others, meta, body) if is_unproved else None
        if options["json"]:
            self.stdout.write(json.dumps(make_report(checks, changes)))
        elif options["verbosity"]:
            self.print_checks(checks)
            self.print_changes(changes, failed)
        if failed:
            raise CommandError(f"This webhook is refused: {', '.join(failed)}.")

    def print_checks(self, checks):
        """Print the checks, for people."""
        for check in checks:
            result = "ok" if check.passed else "FAIL"
            self.stdout.write(f"{result:4} {check.name:10}  {check.text}")

    def print_changes(self, changes, failed):
        """Print what would have to be different, for people."""
        if changes:
            self.stdout.write(f"\nIt matches if {' and '.join(change.text for change in changes)}.")
            # A dictionary keeps the order, and each advice once.
            for advice in dict.fromkeys(change.advice for change in changes if change.advice):
                self.stdout.write(advice)
            return
        missing = [text for name, text in MISSING.items() if name in failed]
        if missing:
            self.stdout.write(NOTHING_TO_COMPARE.format(missing=missing[0]))
        elif not UNPROVED.isdisjoint(failed):
            self.stdout.write(NOTHING_FOUND)


def make_report(checks, changes):
    """Return what is found as plain values. ``changes`` is None if nothing makes it match."""
    return {
        "verified": all(check.passed for check in checks),
        "checks": [check._asdict() for check in checks],
        "changes": [{"change": change.text, "advice": change.advice} for change in changes or []],
        "matches": changes is not None,
    }


def find_others(name):
    """Return the providers of other names, as far as they sign in a way that is known."""
    others = [other for other in list_providers() if other.name != name]
    return [other for other in others if isinstance(other, Provider)]


# ---- what was sent


def read_request(options):
    """Return the headers as ``request.META`` has them, and the body."""
    lines, body = read_lines(options)
    meta = dict(read_line(number, line) for number, line in enumerate(lines, 1))
    return meta, body


def read_lines(options):
    """Return the lines of the headers, and the body."""
    if options["request"]:
        if options["body"] or options["headers"]:
            raise ValueError(
                "--request has the headers and the body: leave out --headers and --body."
            )
        head, body = split_request(read_file(options["request"]))
        return [*head.splitlines(), *options["header"]], body
    if not options["body"]:
        raise ValueError(
            "Give the raw body as --body FILE, - for standard input; or the whole as"
            " --request FILE."
        )
    lines = []
    if options["headers"]:
        lines = read_file(options["headers"]).decode("latin-1").splitlines()
    return [*lines, *options["header"]], read_file(options["body"])


def split_request(request):
    """Return the head of a request as text, and its body."""
    found = re.search(rb"\r?\n\r?\n", request)
    if not found:
        raise ValueError("The request has no empty line between its headers and its body.")
    return request[: found.start()].decode("latin-1"), request[found.end() :]


def read_line(number, line):
    """Return a header as ``request.META`` has it.

    An empty line, the first line of a request, and what begins with a colon (as HTTP/2 writes the
    parts of the first line) are no headers, and get an empty name.
    """
    text = line.strip()
    name, colon, value = text.partition(":")
    if colon and re.fullmatch(r"[\w-]+", name):
        return find_meta_name(name), value.strip()
    if not name or re.fullmatch(r"[A-Z]+ \S+( HTTP/[\d.]+)?", text):
        return "", ""
    raise ValueError(f"Header {number} is not written 'NAME: VALUE'.")


def read_time(text):
    """Return a moment in Unix seconds; None for none."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    moment = parse_datetime(text)
    if moment is None:
        raise ValueError(
            f"--at {text!a} is neither ISO 8601, such as 2026-11-23T12:00:00Z, nor Unix seconds."
        )
    return moment.timestamp() if moment.tzinfo else time.mktime(moment.timetuple())
