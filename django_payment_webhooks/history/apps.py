"""The Django application."""

from importlib import import_module

from django.apps import AppConfig

from . import APP_LABEL


class HistoryConfig(AppConfig):
    """Name it ``"django_payment_webhooks.history.apps.HistoryConfig"`` in ``INSTALLED_APPS``."""

    name = "django_payment_webhooks.history"
    label = APP_LABEL
    verbose_name = "History of payment webhooks"

    def ready(self) -> None:
        """Listen to the signals."""
        import_module(f"{self.name}.receivers")
