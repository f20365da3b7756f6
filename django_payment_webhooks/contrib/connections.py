"""Connections that the database has ended: a worker that keeps its connections opens new ones.

An extension: with ``CELERY_DB_REUSE_MAX`` Celery keeps a connection for so many tasks, whether or not it still works,
and all of them would fail.
"""

from typing import Any

from celery.signals import task_postrun
from django.db import connections


@task_postrun.connect
def close_ended_connections(**_: Any) -> None:
    """Close the connections that have failed and do not work any more. The next task opens new ones."""
    for connection in connections.all():
        if connection.errors_occurred and not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
