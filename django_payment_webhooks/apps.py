"""The Django application."""

from importlib import import_module

from django.apps import AppConfig

from .conf import settings


class PaymentWebhooksAppConfig(AppConfig):
    """Name this app in ``INSTALLED_APPS`` as ``"django_payment_webhooks"``."""

    name = "django_payment_webhooks"
    label = "payment_webhooks"
    verbose_name = "Payment webhooks"

    def ready(self) -> None:
        """Register the task, and load the extensions that the settings name."""
        for module in (self.name + ".processing", *settings.PAYMENT_WEBHOOKS_EXTENSIONS):
            import_module(module)
