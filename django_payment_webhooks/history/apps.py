"""The Django application."""

from importlib import import_module
from typing import Any

from django.apps import AppConfig

from . import APP_LABEL


class HistoryConfig(AppConfig):
    """Name it ``"django_payment_webhooks.history.apps.HistoryConfig"`` in ``INSTALLED_APPS``."""

    name = "django_payment_webhooks.history"
    label = APP_LABEL
    verbose_name = "History of payment webhooks"

    def import_models(self, *args: Any) -> None:
        """Import the models, and listen to the signals.

        Before any app is ready: what an event's end releases is written after that end.
        """
        super().import_models(*args)
        import_module(f"{self.name}.receivers")
        import_module(f"{self.name}.hours")
