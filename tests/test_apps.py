"""The app, as Django and Celery see it."""

import sys

import django
import pytest
from django.apps import apps

import django_payment_webhooks
from django_payment_webhooks.apps import PaymentWebhooksAppConfig
from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import process


def test_the_app_is_known_by_its_label():
    config = apps.get_app_config("payment_webhooks")
    assert type(config) is PaymentWebhooksAppConfig
    assert (config.name, config.verbose_name) == ("django_payment_webhooks", "Payment webhooks")
    assert Event._meta.db_table == "payment_webhooks_event"


def test_old_django_is_given_the_config_and_new_django_finds_it():
    assert hasattr(django_payment_webhooks, "default_app_config") == (django.VERSION < (3, 2))


def test_the_version_is_a_version():
    assert all(part.isdigit() for part in django_payment_webhooks.__version__.split("."))


@pytest.mark.parametrize(
    "name", ["payment_webhooks.process_events", "payment_webhooks.sweep_events"]
)
def test_the_tasks_have_names_that_never_change(name):
    assert name in process.app.tasks


def test_ready_can_be_called_again():
    apps.get_app_config("payment_webhooks").ready()


def test_an_extension_that_does_not_exist_stops_the_start(settings):
    settings.PAYMENT_WEBHOOKS_EXTENSIONS = ["tests.no_such_extension"]
    with pytest.raises(ImportError, match="no_such_extension"):
        apps.get_app_config("payment_webhooks").ready()


def test_an_extension_can_be_the_projects_own(settings, tmp_path, monkeypatch):
    (tmp_path / "own_extension.py").write_text("loaded = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.PAYMENT_WEBHOOKS_EXTENSIONS = ["own_extension"]
    apps.get_app_config("payment_webhooks").ready()
    assert __import__("own_extension").loaded


@pytest.mark.parametrize("plugin", ["checks", "logging", "publisher", "sweeper", "worker"])
def test_what_a_project_can_not_do_without_is_always_loaded(plugin):
    assert f"{django_payment_webhooks.__name__}.{plugin}" in sys.modules
