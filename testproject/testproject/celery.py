"""The shop's Celery app: ``celery -A testproject worker``."""

import os

from celery import VERSION as celery_version
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")

app = Celery("testproject")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
if celery_version >= (5, 3):
    # Keep database connections between tasks. Celery reads this name from its own configuration. Celery 5.2 would keep
    # one as well that the database has ended.
    app.conf.CELERY_DB_REUSE_MAX = 100
