"""The Django application."""

from importlib import import_module
from typing import Any

from django.apps import AppConfig

from . import APP_LABEL


class HistoryConfig(AppConfig):
    """Add ``"django_payment_webhooks.history.apps.HistoryConfig"`` to ``INSTALLED_APPS``."""

    name = "django_payment_webhooks.history"
    label = APP_LABEL
    verbose_name = "History of payment webhooks"

    def import_models(self, *args: Any) -> None:
        """Import the models, and listen to the signals.

        Before any app is ready, so that an event's end is recorded before the release of others.
        """
        super().import_models(*args)
        import_module(f"{self.name}.receivers")
        import_module(f"{self.name}.hours")
