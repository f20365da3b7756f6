"""The shop's Celery app: ``celery -A testproject worker``."""

import os

from celery import Celery
from celery.signals import task_prerun
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")

app = Celery("testproject")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect
def close_ended_connections(task, **_):
    """Close what the database has ended, and what is older than CONN_MAX_AGE, as Django does before each request.

    Celery itself keeps a connection for so many tasks, whether or not it still works.
    """
    if not task.request.is_eager:
        close_old_connections()
