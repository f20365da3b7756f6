"""The Django application."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.module_loading import module_has_submodule

from .conf import settings


class PaymentWebhooksAppConfig(AppConfig):
    """Name this app in ``INSTALLED_APPS`` as ``"django_payment_webhooks"``."""

    name = "django_payment_webhooks"
    label = "payment_webhooks"
    verbose_name = "Payment webhooks"

    def ready(self) -> None:
        """Load the plug-ins, and what the settings add to them."""
        # The core imports none of them, and runs without them.
        plugins = ("checks", "logging", "publisher", "sweeper", "worker")
        own = [f"{self.name}.{name}" for name in plugins if module_has_submodule(self.module, name)]
        for module in [*own, *settings.PAYMENT_WEBHOOKS_EXTENSIONS]:
            import_module(module)
