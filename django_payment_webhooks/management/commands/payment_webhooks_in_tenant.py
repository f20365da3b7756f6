"""``manage.py payment_webhooks_in_tenant``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management import call_command, get_commands
from django.core.management.base import CommandError

from ...providers.spelling import suggest
from ...publisher import enter_tenant, get_tenants
from ..terminal import TerminalCommand, unable


class Command(TerminalCommand):
    """Run a command among the events of one tenant, or of each."""

    help = (
        "Run another command with the events of one tenant, or of each tenant in turn: "
        "payment_webhooks_in_tenant acme replay_payment_webhooks --status failed. Exits with the "
        "highest exit code of its runs."
    )

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        add = parser.add_argument
        add("--every", action="store_true", help="run it in each tenant; TENANT is left out")
        add("words", nargs=argparse.REMAINDER, metavar="[TENANT] COMMAND ...", help="what to run")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command in each tenant that is chosen."""
        words = options["words"]
        if options["every"]:
            names = list(get_tenants().all())
        else:
            names, words = words[:1], words[1:]
            check_tenant(names)
        check_command(words)
        codes = [self.run_in(name, words, len(names) > 1) for name in names]
        code = max(codes, default=0)
        if code:
            sys.exit(code)

    def run_in(self, name: str, words: list[str], is_named: bool) -> int:
        """Run the command in one tenant, and return its exit code."""
        if is_named:
            self.stdout.write(f"== {name}")
        try:
            with enter_tenant(name):
                call_command(*words, stdout=self.stdout, stderr=self.stderr)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        except CommandError as error:
            if not is_named:
                raise
            self.stderr.write(f"{name}: {error}")
            return getattr(error, "returncode", 1)
        return 0


def check_tenant(names: list[str]) -> None:
    """Raise ``CommandError`` for a tenant that does not exist."""
    if not names:
        raise unable("Say which tenant, and which command to run.")
    known = [name for name in get_tenants().all() if name]
    if not known:
        raise unable("There are no tenants: PAYMENT_WEBHOOKS_TENANTS names none.")
    if names[0] not in known:
        raise unable(f"There is no tenant {names[0]!a}. {suggest(names[0], known)}")


def check_command(words: list[str]) -> None:
    """Raise ``CommandError`` for a command that does not exist."""
    if not words:
        raise unable("Say which command to run.")
    known = get_commands()
    if words[0] not in known:
        ours = [name for name in known if "payment_webhook" in name]
        raise unable(f"There is no command {words[0]!a}. {suggest(words[0], ours)}")
