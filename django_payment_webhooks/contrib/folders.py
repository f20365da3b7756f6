"""A broker made of two folders, with a file for each message. For one worker, in development.

``CELERY_BROKER_TRANSPORT = "django_payment_webhooks.contrib.folders.Transport"``
"""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """A folder in which each message appears whole.

    Kombu's own writes a message where the worker can already see it. A worker that reads it too
    early finds an empty file, and ends.
    """

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        """Write a message under a name that the worker ignores, then rename it."""
        moment = int(time.monotonic() * 1000)
        path = os.path.join(self.data_folder_out, f"{moment}_{uuid.uuid4()}.{queue}.")
        with open(path + "new", "wb") as file:
            file.write(dumps(payload).encode())
        os.rename(path + "new", path + "msg")


class Transport(filesystem.Transport):
    """Kombu's transport with this channel."""

    Channel = Channel
