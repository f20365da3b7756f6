"""What the commands have in common."""

from importlib import import_module
from pkgutil import iter_modules

import pytest

from django_payment_webhooks.management import commands

NAMES = [module.name for module in iter_modules(commands.__path__)]


@pytest.mark.parametrize("name", NAMES)
def test_a_command_of_operators_runs_without_the_system_checks(name):
    command = import_module(f"{commands.__name__}.{name}").Command
    assert not command.requires_system_checks
