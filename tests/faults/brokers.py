"""The brokers of the campaign, which it can kill, freeze, fill and empty without anyone else
noticing.
"""

import os

from ..services.e2e.brokers import Broker, RabbitMQ, Redis


class Folder(Broker):
    """The embedded broker: a folder, without a process."""

    url = None

    def start(self):
        """There is nothing to start."""

    def end(self):
        """There is nothing to end."""

    def fill(self, is_full):
        """Put something in the folder's place that can be read and not be written, whoever we are;
        or put it back.
        """
        path = os.path.join(self.folder, "queue")
        if is_full:
            os.rename(path, path + ".away")
            os.symlink("/proc/self/task", path)
        else:
            os.remove(path)
            os.rename(path + ".away", path)


BROKERS = {"embedded": Folder, "redis": Redis, "rabbitmq": RabbitMQ}
