"""The Django application."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.module_loading import module_has_submodule

from .conf import settings

# What stands beside the core and always loads. The core imports none of it, and runs without it.
PLUGINS = ("checks", "logging", "sweeper", "worker")


class PaymentWebhooksAppConfig(AppConfig):
    """Name this app in ``INSTALLED_APPS`` as ``"django_payment_webhooks"``."""

    name = "django_payment_webhooks"
    label = "payment_webhooks"
    verbose_name = "Payment webhooks"

    def ready(self) -> None:
        """Register the task, and load the plug-ins and what the settings add to them."""
        import_module(f"{self.name}.processing")
        for plugin in PLUGINS:
            if module_has_submodule(self.module, plugin):
                import_module(f"{self.name}.{plugin}")
        for extension in settings.PAYMENT_WEBHOOKS_EXTENSIONS:
            import_module(extension)
