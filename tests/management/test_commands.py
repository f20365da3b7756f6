"""What the commands have in common."""

from importlib import import_module
from pkgutil import iter_modules

import pytest

from django_payment_webhooks.management import commands
from django_payment_webhooks.management.terminal import TerminalCommand

NAMES = [module.name for module in iter_modules(commands.__path__)]


@pytest.mark.parametrize("name", NAMES)
def test_a_command_runs_without_the_system_checks_and_ends_without_a_traceback(name):
    command = import_module(f"{commands.__name__}.{name}").Command
    assert issubclass(command, TerminalCommand)
    assert not command.requires_system_checks
