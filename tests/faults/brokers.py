"""Brokers of the campaign's own, which it can kill, freeze, fill and empty without anybody else noticing."""

import os
import random
import shutil
import subprocess
from contextlib import closing

import redis
from processes import Process, accepts


def find_port():
    """Return a port that nobody listens at, and that the kernel gives to no client while its owner is down."""
    while True:
        port = random.randrange(20000, 32000)
        if not accepts(port):
            return port


class Redis:
    """A Redis in memory: what is in it when it is killed is lost."""

    needs = ("redis-server",)

    def __init__(self, env):
        self.env, self.port = env, find_port()
        self.url = "redis://127.0.0.1:%d/0" % self.port
        self.start()

    def start(self):
        """Start it, and return once it accepts connections."""
        options = {"--port": self.port, "--bind": "127.0.0.1", "--dir": self.env["VAR_DIR"]}
        options.update({"--save": "", "--appendonly": "no"})
        command = ["redis-server", *[str(word) for option in options.items() for word in option]]
        self.process = Process("redis", command, self.env)
        self.process.wait_until(lambda: accepts(self.port))

    def fill(self, is_full):
        """Take no more messages, as if the memory was full, or take them again."""
        with closing(redis.Redis.from_url(self.url, socket_timeout=10)) as client:
            client.config_set("maxmemory", 1 if is_full else 0)

    def stop(self):
        """End it."""
        self.process.kill()


class RabbitMQ:
    """A node of RabbitMQ, with its own port mapper. It keeps what it has confirmed, even if it is killed."""

    needs = ("rabbitmq-server", "epmd")

    def __init__(self, env):
        folder = os.path.join(env["VAR_DIR"], "rabbitmq")
        os.makedirs(folder)
        self.port, ports = find_port(), (find_port(), find_port())
        self.url = "amqp://guest:guest@127.0.0.1:%d//" % self.port
        self.node = "campaign%d@localhost" % self.port
        with open(os.path.join(folder, "plugins"), "w") as file:
            file.write("[].")
        values = {
            "HOME": folder,  # for the cookie
            "ERL_EPMD_PORT": ports[0],
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": os.path.join(folder, "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(folder, "plugins"),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_DIST_PORT": ports[1],
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
        }
        self.env = dict(env, **{name: str(value) for name, value in values.items()})
        # Distributions put a wrapper in its place, which changes the user and the folders.
        self.programs = os.path.dirname(os.path.realpath(shutil.which("rabbitmq-server")))
        self.mapper = Process("epmd", ["epmd"], self.env)
        self.mapper.wait_until(lambda: accepts(ports[0]))
        self.start()

    def start(self):
        """Start it, and return once it accepts connections."""
        self.process = Process("rabbitmq", [os.path.join(self.programs, "rabbitmq-server")], self.env)
        self.process.wait_until(lambda: accepts(self.port), timeout=120)

    def fill(self, is_full):
        """Take no more messages, as if the memory was full, or take them again."""
        command = [os.path.join(self.programs, "rabbitmqctl"), "-n", self.node, "set_vm_memory_high_watermark"]
        # Not quite nothing: that would be refused.
        command.append("0.00001" if is_full else "0.6")
        subprocess.run(command, env=self.env, stdout=subprocess.DEVNULL, check=True, timeout=60)

    def stop(self):
        """End it."""
        self.process.kill()
        self.mapper.kill()


class Folder:
    """The embedded broker: a folder."""

    needs = ()
    url = None

    def __init__(self, env):
        self.path = os.path.join(env["VAR_DIR"], "queue")

    def fill(self, is_full):
        """Put something in the folder's place that can be read and not be written, whoever we are; or put it back."""
        if is_full:
            os.rename(self.path, self.path + ".away")
            os.symlink("/proc/self/task", self.path)
        else:
            os.remove(self.path)
            os.rename(self.path + ".away", self.path)

    def stop(self):
        """There is nothing to end."""


BROKERS = {"embedded": Folder, "redis": Redis, "rabbitmq": RabbitMQ}
