"""``manage.py verify_payment_webhook``."""

import json
import re
import time

from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_datetime

from ...conf import get_provider, settings
from ...providers import Provider
from ...providers.diagnosis import explain, find_changes
from ...providers.sending import find_provider
from .send_payment_webhook import read_file


class Command(BaseCommand):
    """Tell why a webhook is refused."""

    help = (
        "Tell why a webhook is answered with 401. Given its headers and its raw body, it makes each check of the "
        "signature by itself, and names the first that fails; then it tries what would have to be different: the body "
        "rewritten, another key, digest or encoding. It never prints a secret, a signature or a body. "
        "Exits with 0 if the webhook is genuine, with 1 if not. "
        "Example: verify_payment_webhook --body body.json --header 'X-Signature: 5f3a...'"
    )

    # It helps to find mistakes in the settings, and must not be stopped by one.
    requires_system_checks: list = []

    def add_arguments(self, parser):
        """Add the options."""
        parser.add_argument(
            "--provider",
            default="default",
            metavar="NAME",
            help="who is said to send [%(default)s]",
        )
        parser.add_argument("--body", metavar="FILE", help="the raw body, - for the standard input")
        parser.add_argument(
            "--header",
            action="append",
            default=[],
            metavar="'NAME: VALUE'",
            help="a header; can be given again",
        )
        parser.add_argument("--headers", metavar="FILE", help="a file with one header in each line")
        parser.add_argument(
            "--request",
            metavar="FILE",
            help="a whole request in place of these three, as it was on the wire: headers, an empty line, the body",
        )
        parser.add_argument(
            "--at",
            metavar="TIME",
            help="when it was received, as ISO 8601 or Unix seconds: its age is counted up to then [now]",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args, **options):
        """Print each check, and what would have to be different."""
        try:
            provider, others = find_provider(options["provider"]), find_others(options["provider"])
            lines, body = read_request(options)
            meta = dict(read_line(number, line) for number, line in enumerate(lines, 1))
            now = read_time(options["at"])
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        checks = explain(provider, meta, body, now)
        failed = [check.name for check in checks if not check.passed]
        # What is wrong with the signature, not with its age or with what is signed.
        is_unproved = bool({"signatures", "time", "match", "header"} & set(failed))
        changes = find_changes(provider, others, meta, body) if is_unproved else None
        if options["json"]:
            found = [{"change": change.text, "advice": change.advice} for change in changes or []]
            told = {"verified": not failed, "checks": [check._asdict() for check in checks]}
            self.stdout.write(json.dumps(dict(told, changes=found, matches=changes is not None)))
        elif options["verbosity"]:
            self.print_report(checks, changes, is_unproved)
        if failed:
            raise CommandError("This webhook is refused: %s." % ", ".join(failed))

    def print_report(self, checks, changes, is_unproved):
        """Print the checks and the changes, for people."""
        for check in checks:
            self.stdout.write(
                "%-4s %-10s  %s" % ("ok" if check.passed else "FAIL", check.name, check.text)
            )
        if changes:
            self.stdout.write(
                "\nIt would match if " + ", and ".join(change.text for change in changes) + "."
            )
            for advice in dict.fromkeys(change.advice for change in changes if change.advice):
                self.stdout.write(advice)
        elif is_unproved:
            self.stdout.write(
                "\nNothing that was tried makes it match: no other form of the body, key, digest or content."
            )
            self.stdout.write(
                "It was signed with a secret that is not here, or it is forged, or the body is another one."
            )


def find_others(name):
    """Return the providers of other names, as far as they sign in a way that is known."""
    others = [get_provider(other) for other in settings.PAYMENT_WEBHOOKS_PROVIDERS if other != name]
    return [other for other in others if isinstance(other, Provider)]


def read_request(options):
    """Return the lines of the headers, and the body."""
    lines = list(options["header"])
    if options["request"]:
        if options["body"] or options["headers"]:
            raise ValueError(
                "--request has the headers and the body: leave out --headers and --body."
            )
        head, body = split_request(read_file(options["request"]))
        return [*head.splitlines(), *lines], body
    if not options["body"]:
        raise ValueError(
            "Give the raw body as --body FILE, - for the standard input; or the whole as --request FILE."
        )
    if options["headers"]:
        lines = [*read_file(options["headers"]).decode("latin-1").splitlines(), *lines]
    return lines, read_file(options["body"])


def split_request(request):
    """Return the head of a request as text, and its body."""
    found = re.search(rb"\r?\n\r?\n", request)
    if not found:
        raise ValueError("The request has no empty line between its headers and its body.")
    return request[: found.start()].decode("latin-1"), request[found.end() :]


def read_line(number, line):
    """Return a header as ``request.META`` has it. The first line of a request is no header, and gets an empty name."""
    name, colon, value = line.strip().partition(":")
    if not colon or not re.match(r"[\w-]+\Z", name):
        if not name or re.match(r"[A-Z]+ \S+( HTTP/[\d.]+)?\Z", line.strip()):
            return "", ""
        raise ValueError("Header %d is not written 'NAME: VALUE'." % number)
    return "HTTP_" + name.upper().replace("-", "_"), value.strip()


def read_time(text):
    """Return a moment in Unix seconds; None for none."""
    if text is None:
        return None
    if re.match(r"[0-9]+(\.[0-9]+)?\Z", text):
        return float(text)
    moment = parse_datetime(text)
    if moment is None:
        raise ValueError(
            "--at %s is neither ISO 8601, such as 2026-11-23T12:00:00Z, nor Unix seconds."
            % ascii(text)
        )
    return moment.timestamp() if moment.tzinfo else time.mktime(moment.timetuple())
