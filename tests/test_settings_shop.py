"""The shop takes everything that differs between two places, and everything secret, from its
environment.
"""

from __future__ import annotations

import os
import re
import runpy

import pytest
from appconf import AppConf
from django.core.exceptions import ImproperlyConfigured

from . import ROOT

SETTINGS = os.path.join(ROOT, "testproject", "testproject", "settings.py")
EXAMPLE = os.path.join(ROOT, "testproject", ".env.example")


def read(path):
    """Return a file's text."""
    with open(path) as file:
        return file.read()


def find_variables():
    """Return the names of the variables that the settings read."""
    source = read(SETTINGS)
    names = re.findall(r'env\.\w+\(\s*"(\w+)"', source)
    own = re.findall(r'\("(\w+)", env\.\w+\)', source)
    return {*names, *(f"PAYMENT_WEBHOOKS_{name}" for name in own)}


def find_examples():
    """Return each variable of the example with its value, and those that are commented out."""
    lines = re.findall(r"^(#?)([A-Z_]+)=(.*)$", read(EXAMPLE), re.MULTILINE)
    given = {name: value for is_comment, name, value in lines if not is_comment}
    commented = {name for is_comment, name, _ in lines if is_comment}
    return given, commented


def find_defaults():
    """Return the defaults of the app's settings, wherever they are declared."""
    found = [conf for conf in AppConf.__subclasses__() if conf.__module__.startswith("django_pay")]
    return {name: value for conf in found for name, value in conf._meta.defaults.items()}


@pytest.fixture
def load(tmp_path):
    """Return the settings that a given environment makes."""
    before = dict(os.environ)

    def load(**environ):
        own = {"VAR_DIR": str(tmp_path / "var"), "ENV_FILE": str(tmp_path / "none")}
        environ = {**own, "SECRET_KEY": "k", **environ}
        os.environ.clear()
        os.environ.update({name: value for name, value in environ.items() if value is not None})
        return {name: value for name, value in runpy.run_path(SETTINGS).items() if name.isupper()}

    yield load
    os.environ.clear()
    os.environ.update(before)


# ---- the example


def test_every_variable_is_in_the_example_and_nothing_else():
    given, commented = find_examples()
    assert set(given) | commented == find_variables()


def test_the_example_gives_the_defaults(load):
    given, _ = find_examples()
    secrets = ("PAYMENT_WEBHOOKS_SECRETS", "PAYMENT_WEBHOOKS_SECRETS_TIMED")
    example = load(**{**given, "SECRET_KEY": "k", **dict.fromkeys(secrets)})
    names = [name for name in example if re.match("PAYMENT_WEBHOOKS_[A-Z_]+$", name)]
    own = {name: example.pop(name) for name in names}
    defaults = load()
    for name in (
        "PAYMENT_WEBHOOKS_PROVIDERS",
        "PAYMENT_WEBHOOKS_HANDLERS",
        "PAYMENT_WEBHOOKS_SOURCES",
    ):
        assert own.pop(name) == defaults.pop(name)
    assert example == defaults
    assert own == {name: find_defaults()[name] for name in own} != {}


def test_the_example_says_of_every_variable_what_it_is_for():
    explained = ""
    for line in read(EXAMPLE).splitlines():
        if re.match("#?[A-Z_]+=", line):
            assert explained, line
        explained = line


def test_the_example_has_no_secret():
    given, _ = find_examples()
    secrets = {
        name: value for name, value in given.items() if re.search("SECRET|PASSWORD|TOKEN", name)
    }
    assert secrets == {
        "SECRET_KEY": "",
        "PAYMENT_WEBHOOKS_SECRETS": "",
        "PAYMENT_WEBHOOKS_SECRETS_TIMED": "",
    }


def test_the_example_can_be_used_as_the_file_of_the_environment(load, tmp_path):
    text = read(EXAMPLE).replace("SECRET_KEY=", "SECRET_KEY=from-the-file", 1)
    (tmp_path / "env").write_text(
        text.replace("PAYMENT_WEBHOOKS_SECRETS=", "PAYMENT_WEBHOOKS_SECRETS=one,two", 1)
    )
    settings = load(ENV_FILE=str(tmp_path / "env"), SECRET_KEY=None)
    assert settings["SECRET_KEY"] == "from-the-file"
    assert settings["PAYMENT_WEBHOOKS_PROVIDERS"]["default"]["SECRETS"] == ["one", "two"]
    assert settings["PAYMENT_WEBHOOKS_PROVIDERS"]["timed"]["SECRETS"] == ["one", "two"]
    assert (settings["DEBUG"], settings["PAYMENT_WEBHOOKS_LEASE"]) == (False, 300)


def test_the_environment_itself_comes_before_the_file(load, tmp_path):
    (tmp_path / "env").write_text("SECRET_KEY=from-the-file\nDEBUG=true\n")
    settings = load(ENV_FILE=str(tmp_path / "env"), SECRET_KEY="from-the-environment")
    assert (settings["SECRET_KEY"], settings["DEBUG"]) == ("from-the-environment", True)


# ---- secrets and safety


@pytest.mark.parametrize("value", [None])
def test_without_a_secret_key_nothing_starts(load, value):
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        load(SECRET_KEY=value)


@pytest.mark.parametrize("value", [None, ""])
def test_no_provider_has_a_secret_of_its_own_accord(load, value):
    settings = load(PAYMENT_WEBHOOKS_SECRETS=value, PAYMENT_WEBHOOKS_SECRETS_TIMED=value)
    assert {
        name: options["SECRETS"] for name, options in settings["PAYMENT_WEBHOOKS_PROVIDERS"].items()
    } == {
        "default": [],
        "timed": [],
    }


def test_secrets_are_separated_by_commas(load):
    settings = load(PAYMENT_WEBHOOKS_SECRETS="new,old", PAYMENT_WEBHOOKS_SECRETS_TIMED="other")
    assert settings["PAYMENT_WEBHOOKS_PROVIDERS"]["default"]["SECRETS"] == ["new", "old"]
    assert settings["PAYMENT_WEBHOOKS_PROVIDERS"]["timed"]["SECRETS"] == ["other"]


def test_debug_is_off_unless_asked_for(load):
    assert load()["DEBUG"] is False
    assert load(DEBUG="false")["DEBUG"] is False
    assert load(DEBUG="true")["DEBUG"] is True


def test_only_this_machine_is_answered_for_unless_asked_for(load):
    assert load()["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1"]
    assert load(ALLOWED_HOSTS="shop.example,www.shop.example")["ALLOWED_HOSTS"] == [
        "shop.example",
        "www.shop.example",
    ]


# ---- services


def test_without_any_service_there_are_sqlite_and_files_in_one_folder(load, tmp_path):
    settings = load()
    assert settings["DATABASES"]["default"]["ENGINE"] == "django.db.backends.sqlite3"
    folders = [
        settings["DATABASES"]["default"]["NAME"],
        *settings["CELERY_BROKER_TRANSPORT_OPTIONS"].values(),
    ]
    folders = [folder for folder in folders if isinstance(folder, str)]
    assert len(folders) == 4
    assert all(folder.startswith(str(tmp_path / "var")) for folder in folders)
    assert settings["CELERY_BROKER_URL"].startswith("filesystem://")


@pytest.mark.parametrize(
    ("url", "engine"),
    [
        ("postgres://user:password@db.example:5433/shop", "postgresql"),
        ("mysql://user:password@db.example:5433/shop", "mysql"),
    ],
)
def test_one_variable_chooses_the_database(load, url, engine):
    database = load(DATABASE_URL=url)["DATABASES"]["default"]
    assert database["ENGINE"].split(".")[-1].startswith(engine)
    assert (database["NAME"], database["HOST"], database["PORT"]) == ("shop", "db.example", 5433)


def test_mysql_reads_what_is_committed(load):
    options = load(DATABASE_URL="mysql://user@db.example/shop")["DATABASES"]["default"]["OPTIONS"]
    assert options["init_command"].endswith("ISOLATION LEVEL READ COMMITTED")
    assert options["charset"] == "utf8mb4"


@pytest.mark.parametrize(
    ("url", "bounds"),
    [
        ("redis://localhost:6379/0", {"socket_timeout": 1, "socket_connect_timeout": 1}),
        (
            "amqp://guest@localhost//",
            {"confirm_publish": True, "read_timeout": 1, "write_timeout": 1},
        ),
    ],
)
def test_one_variable_chooses_the_broker_which_is_never_waited_for_without_bounds(
    load, url, bounds
):
    settings = load(CELERY_BROKER_URL=url)
    assert settings["CELERY_BROKER_URL"] == url
    options = settings["CELERY_BROKER_TRANSPORT_OPTIONS"]
    assert bounds.items() <= options.items()
    assert options["max_retries"] == 1


@pytest.mark.parametrize(
    "name", sorted(name for name in find_variables() if name.startswith("PAYMENT_WEBHOOKS_"))
)
def test_the_apps_own_settings_come_from_the_environment(load, name):
    if "SECRETS" not in name:
        assert load(**{name: "7"})[name] == 7
        assert name not in load()
