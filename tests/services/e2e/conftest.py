"""The shop on each stack, started once for all tests of a stack. A test that fails shows what the
processes printed.
"""

import os

import pytest

from .stacks import Shop

# The environment variables with the addresses of the database and of the broker; "" for what needs
# no service.
STACKS = {
    "embedded": ("", ""),
    "rabbitmq-postgresql": ("TEST_POSTGRES_URL", "TEST_RABBITMQ_URL"),
    "redis-mariadb": ("TEST_MYSQL_URL", "TEST_REDIS_URL"),
}
NAMES = {
    "TEST_POSTGRES_URL": "PostgreSQL",
    "TEST_RABBITMQ_URL": "RabbitMQ",
    "TEST_MYSQL_URL": "MariaDB",
    "TEST_REDIS_URL": "Redis",
}


def make_shop(stack, folder):
    """Return the shop on a stack, in a folder of its own, before it is started."""
    missing = [NAMES[name] for name in STACKS[stack] if name and not os.environ.get(name)]
    if missing:
        pytest.skip("needs " + " and ".join(missing))
    return Shop(str(folder), *[os.environ.get(name) for name in STACKS[stack]])


def start_shop(stack, folder):
    """Yield the shop on a stack."""
    shop = make_shop(stack, folder)
    try:
        yield shop.start()
    finally:
        shop.stop()


@pytest.fixture(scope="module", params=list(STACKS))
def shop(request, tmp_path_factory):
    """The shop, on one stack after the other."""
    yield from start_shop(request.param, tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def embedded_shop(tmp_path_factory):
    """The shop on SQLite and the embedded broker."""
    yield from start_shop("embedded", tmp_path_factory.mktemp("shop"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Add the logs of the shop's processes to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    shop = item.funcargs.get("shop") or item.funcargs.get("embedded_shop")
    if report.failed and shop:
        report.sections.extend(("log of " + name, text) for name, text in shop.logs().items())
