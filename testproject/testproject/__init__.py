"""A small shop that takes payments: the bundled test project of django-payment-webhooks."""

from .celery import app as celery_app

__all__ = ["celery_app"]
