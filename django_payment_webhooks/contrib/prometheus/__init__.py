"""Metrics for Prometheus: an extension that counts in web servers and Celery workers.

Management commands count nothing: in prometheus_client's multiprocess mode, each process leaves
files that every scrape reads, and commands are many.
"""

from __future__ import annotations

import logging
import os
import shutil
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from celery.signals import worker_init
from django.core.checks import Warning as CheckWarning
from django.core.checks import register
from django.core.signals import request_started

from ...checks import PREFIX

logger = logging.getLogger("django_payment_webhooks")

METRICS = f"{__name__}.metrics"
UID = "payment_webhooks.metrics.start"
# Each process writes a few files of up to a megabyte. On a full disk, that would kill it.
MIN_FREE = 16 * 1024 * 1024  # bytes


def find_directory() -> str:
    """Return the directory in which processes share their counts, or "" if they do not."""
    # The second is the old name.
    names = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
    return next((os.environ[name] for name in names if name in os.environ), "")


def find_fault() -> str:
    """Return why nothing can be counted, or "" if it can."""
    if not find_spec("prometheus_client"):
        return "prometheus_client is not installed."
    directory = find_directory()
    if not directory:
        return ""
    if not os.path.isdir(directory):
        return f"PROMETHEUS_MULTIPROC_DIR is {directory!a}, and there is no such directory."
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"PROMETHEUS_MULTIPROC_DIR is {directory!a}, and this user can't write there."
    if shutil.disk_usage(directory).free < MIN_FREE:
        return f"PROMETHEUS_MULTIPROC_DIR is {directory!a}, and its disk is full."
    return ""


@register()
def check_directory(**_: Any) -> list[CheckWarning]:
    """Warn that nothing will be counted."""
    fault = find_fault()
    if not fault:
        return []
    hint = (
        "Install django-payment-webhooks[metrics]. The directory must exist, belong to the user of "
        "the web server and of the workers, and have 16 MB free. Then restart."
    )
    text = f"{fault} Webhooks are received and processed, but no process counts anything."
    return [CheckWarning(text, hint=hint, id=PREFIX + "W020")]


class Start:
    """Starts counting once this process serves. No error here stops the process."""

    has_warned = False

    def __call__(self, **_: Any) -> None:
        """Load the metrics. After a failure, the next request tries again."""
        fault = find_fault()
        if fault:
            self.warn(fault)
            return
        request_started.disconnect(dispatch_uid=UID)
        try:
            import_module(METRICS)
        except Exception as error:
            self.warn(f"The metrics can't be loaded: {error!r}.")

    def warn(self, fault: str) -> None:
        """Log the fault once."""
        if not self.has_warned:
            logger.warning("Nothing is counted for Prometheus. %s", fault)
        self.has_warned = True


start = Start()
request_started.connect(start, dispatch_uid=UID)
# The children of the worker's pool inherit the metrics, and count in files of their own.
worker_init.connect(start, dispatch_uid=UID)
