"""The Django application."""

from django.apps import AppConfig

from . import APP_LABEL


class BackfillConfig(AppConfig):
    """Name it ``"django_payment_webhooks.backfill.apps.BackfillConfig"`` in ``INSTALLED_APPS``."""

    name = "django_payment_webhooks.backfill"
    label = APP_LABEL
    verbose_name = "Backfills of payment webhooks"
