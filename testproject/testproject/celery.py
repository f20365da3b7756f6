"""The shop's Celery app: ``celery -A testproject worker``."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")

app = Celery("testproject")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Keep database connections between tasks. Celery reads this name from its own configuration.
app.conf.CELERY_DB_REUSE_MAX = 100
