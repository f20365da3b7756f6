"""The Django application."""

from importlib import import_module

from django.apps import AppConfig


class HistoryConfig(AppConfig):
    """Name this app in ``INSTALLED_APPS`` as ``"django_payment_webhooks.history.apps.HistoryConfig"``."""

    name = "django_payment_webhooks.history"
    label = "payment_webhooks_history"
    verbose_name = "History of payment webhooks"

    def ready(self) -> None:
        """Listen to the signals."""
        import_module(self.name + ".receivers")
