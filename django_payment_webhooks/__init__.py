"""Receive payment webhooks, and give each of them exactly one effect."""

import django

__version__ = "0.2.0"

if django.VERSION < (3, 2):
    default_app_config = "django_payment_webhooks.apps.PaymentWebhooksAppConfig"
