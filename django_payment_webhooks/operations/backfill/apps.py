"""The Django application."""

from django.apps import AppConfig

from . import APP_LABEL


class BackfillConfig(AppConfig):
    """Add the path of this class to ``INSTALLED_APPS``."""

    name = "django_payment_webhooks.operations.backfill"
    label = APP_LABEL
    verbose_name = "Backfills of payment webhooks"
