"""The settings: their defaults, and what they name."""

import sys

import pytest
from appconf import AppConf
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from django_payment_webhooks.conf import get_provider, load, settings
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.publisher import PublisherConf, ThreadPublisher

from .providers.samples import BatchProvider

PACKAGE = "django_payment_webhooks"

DEFAULTS = {
    "EXTENSIONS": [],
    "SOURCES": {},
    "PUBLISHER": "django_payment_webhooks.publisher.ThreadPublisher",
    "RETRY_POLICY": "django_payment_webhooks.retrying.RetryPolicy",
    "MAX_BODY_SIZE": 1048576,
    "MAX_JSON_DEPTH": 31,
    "MAX_JSON_VALUES": 50000,
    "MAX_EVENTS": 1000,
    "MESSAGE_SIZE": 100,
    "TASK_TIME": 1,
    "PUBLISH_PAUSE": 5,
    "SWEEP_INTERVAL": 10,
    "SWEEP_BATCH": 1000,
    "TENANTS": "django_payment_webhooks.publisher.NoTenants",
    "REDACTED_FIELDS": [],
    "SHOWN_FIELDS": [],
    "REJECTIONS_INTERVAL": 10,
    "HEALTH_DUE_AGE": 300,
    "HEALTH_SWEEP_AGE": 120,
    "HEALTH_RETRY_AGE": 300,
    "HEALTH_RETRY_CRITICAL_AGE": 3600,
    "HEALTH_UNFINISHED_AGE": 3600,
    "SWEEP_GRACE": 30,
    "SWEEP_CEILING": 3600,
    "LEASE": 300,
    "WAIT_DEADLINE": 259200,
    "MAX_ATTEMPTS": 25,
    "BACKOFF_BASE": 5,
    "BACKOFF_CEILING": 14400,
}


# What the tests themselves set.
SET = {"PUBLISH_PAUSE", "TASK_TIME"}


@pytest.mark.parametrize("name", sorted(set(DEFAULTS) - SET))
def test_a_setting_that_the_project_leaves_out_has_its_default(name):
    assert getattr(django_settings, f"PAYMENT_WEBHOOKS_{name}") == DEFAULTS[name]


def test_every_default_is_known_here():
    modules = [module for name, module in sys.modules.items() if name.startswith(PACKAGE)]
    found = {value for module in modules for value in vars(module).values() if is_conf(value)}
    names = {name for conf in found for name in vars(conf) if name.isupper()}
    assert names == set(DEFAULTS) | {"PROVIDERS", "HANDLERS"}
    assert {name: DEFAULTS[name] for name in SET} == {
        name: getattr(PublisherConf, name) for name in SET
    }


def is_conf(value):
    """Return whether something is a class of our defaults."""
    return isinstance(value, type) and issubclass(value, AppConf) and value is not AppConf


def test_a_setting_that_the_project_gives_is_read_when_it_is_needed(settings, webhook):
    settings.PAYMENT_WEBHOOKS_MAX_BODY_SIZE = 3
    assert webhook(b"1234").status_code == 413
    settings.PAYMENT_WEBHOOKS_MAX_BODY_SIZE = 4
    assert webhook(b"1234", signature="").status_code == 401


def test_the_app_reads_the_settings_of_django():
    assert settings is django_settings


# ---- providers


def test_a_provider_is_the_default_class_with_the_options_that_the_settings_give(settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"partner": {"SECRETS": ["s"], "TOLERANCE": 9}}
    provider = get_provider("partner")
    assert type(provider) is Provider
    assert (provider.name, provider.secrets, provider.tolerance) == ("partner", ["s"], 9)


def test_a_provider_can_have_a_class_of_its_own(settings):
    options = {"BACKEND": "tests.providers.samples.BatchProvider", "SECRETS": ["s"]}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"batch": options}
    for _ in range(2):
        assert type(get_provider("batch")) is BatchProvider
    assert options == {"BACKEND": "tests.providers.samples.BatchProvider", "SECRETS": ["s"]}


def test_a_secret_that_is_changed_counts_at_once(settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"partner": {"SECRETS": ["old"]}}
    assert get_provider("partner").secrets == ["old"]
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"partner": {"SECRETS": ["new", "old"]}}
    assert get_provider("partner").secrets == ["new", "old"]


def test_a_provider_that_the_settings_do_not_name_raises_key_error():
    with pytest.raises(KeyError):
        get_provider("nobody")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"BACKEND": "no.such.module"}, ImportError),
        ({"BACKEND": "tests.providers.samples.NoSuchClass"}, ImportError),
        ({"BACKEND": "nodots"}, ImportError),
        ({"SECRET": "s"}, ImproperlyConfigured),
    ],
)
def test_a_provider_that_can_not_be_loaded_raises(settings, options, error):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"partner": options}
    with pytest.raises(error):
        get_provider("partner")


# ---- plug-ins


def test_a_plug_in_is_loaded_once_for_a_process():
    publisher = load(settings.PAYMENT_WEBHOOKS_PUBLISHER)
    assert type(publisher) is ThreadPublisher
    assert load("django_payment_webhooks.publisher.ThreadPublisher") is publisher


@pytest.mark.django_db
def test_a_publisher_can_be_the_projects_own(settings, receive):
    settings.PAYMENT_WEBHOOKS_PUBLISHER = f"{__name__}.OwnPublisher"
    event = receive()
    assert load(f"{__name__}.OwnPublisher").events == [event]


class OwnPublisher:
    """A publisher that keeps what it is given."""

    def __init__(self):
        self.events = []

    def publish(self, events):
        """Keep the events."""
        self.events += events
