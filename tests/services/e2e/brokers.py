"""Brokers of a test's own, which it can kill, freeze and fill, as nothing else uses them."""

import os
import random
import shutil
import signal
import subprocess
import uuid

import redis
from processes import Process, accepts, wait_until


def find_port():
    """Return a port that nobody listens at, and that the kernel gives to no client while its owner
    is down.
    """
    while True:
        port = random.randrange(20000, 32000)
        if not accepts(port):
            return port


class Broker:
    """A broker that runs as a process of ours. Nothing of it outlives the tests."""

    programs = ()

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, find_port(), None
        self.env = dict(os.environ, VAR_DIR=folder)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.end()

    @classmethod
    def find_missing(cls):
        """Return the programs that this machine does not have."""
        return [program for program in cls.programs if not shutil.which(program)]

    def start(self):
        """Start it, at the same port as before, and wait until it takes connections."""
        self.process = Process(type(self).__name__.lower(), self.command(), self.env)
        self.process.wait_until(self.is_ready, timeout=120)

    def is_ready(self):
        """Return whether it takes connections."""
        return accepts(self.port)

    def stop(self):
        """Kill it: connections to it are refused, until it is started again."""
        self.process.kill()
        wait_until(lambda: not accepts(self.port))

    def end(self):
        """Kill it for good."""
        self.process.kill()

    def freeze(self):
        """Let it be silent: connections to it are accepted, and nothing is ever said."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        """Let it go on."""
        os.killpg(self.process.pid, signal.SIGCONT)


class Redis(Broker):
    """A Redis in memory: what is in it when it is killed is lost."""

    programs = ("redis-server",)

    @property
    def url(self):
        """The address of its first database."""
        return "redis://127.0.0.1:%d/0" % self.port

    @property
    def client(self):
        """A client that can tell it what to do."""
        return redis.Redis(port=self.port, socket_timeout=10)

    def command(self):
        """Return what starts it."""
        command = [
            "redis-server",
            "--bind",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--dir",
            self.folder,
        ]
        return [*command, "--save", "", "--appendonly", "no"]

    def fill(self, is_full):
        """Take no more messages, as if the memory was full, or take them again."""
        with self.client as client:
            client.config_set("maxmemory", 1 if is_full else 0)


class RabbitMQ(Broker):
    """A RabbitMQ node, with a port mapper of its own. It keeps what it has confirmed, even if it is
    killed.
    """

    programs = ("rabbitmq-server", "rabbitmqctl", "epmd")

    def __init__(self, folder):
        super().__init__(folder)
        self.name, self.mapper, self.mapper_port = (
            "tests_%s@localhost" % uuid.uuid4().hex[:8],
            None,
            find_port(),
        )
        # Distributions put a wrapper in the programs' place, which changes the user and the
        # folders.
        self.path = os.path.dirname(os.path.realpath(shutil.which("rabbitmq-server")))
        files = {
            "MNESIA_BASE": "mnesia",
            "LOG_BASE": "log",
            "ENABLED_PLUGINS_FILE": "plugins",
            "CONFIG_FILE": "none",
        }
        ports = {
            "NODENAME": self.name,
            "NODE_IP_ADDRESS": "127.0.0.1",
            "NODE_PORT": self.port,
            "LOGS": "-",
        }
        ports.update(DIST_PORT=find_port(), CONF_ENV_FILE=os.devnull)
        ports.update(SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}")
        ports.update((name, os.path.join(folder, file)) for name, file in files.items())
        self.env.update(("RABBITMQ_" + name, str(value)) for name, value in ports.items())
        # The home is for the cookie.
        self.env.update(
            HOME=folder, ERL_EPMD_PORT=str(self.mapper_port), ERL_EPMD_ADDRESS="127.0.0.1"
        )

    @property
    def url(self):
        """The address of its default virtual host."""
        return "amqp://guest:guest@127.0.0.1:%d//" % self.port

    def start(self):
        """Start it, and its port mapper if that is not there."""
        if self.mapper is None:
            self.mapper = Process(
                "epmd", ["epmd", "-port", str(self.mapper_port), "-address", "127.0.0.1"], self.env
            )
            self.mapper.wait_until(lambda: accepts(self.mapper_port))
        try:
            super().start()
        except RuntimeError:
            # On a busy machine it sometimes starts its own network twice, and ends.
            super().start()

    def end(self):
        """Kill both."""
        super().end()
        self.mapper.kill()

    def command(self):
        """Return what starts it."""
        return [os.path.join(self.path, "rabbitmq-server")]

    def is_ready(self):
        """Return whether it takes connections, and is complete."""
        return "startup complete" in self.process.output() and accepts(self.port)

    def control(self, *arguments):
        """Run a command of ``rabbitmqctl``."""
        command = [os.path.join(self.path, "rabbitmqctl"), "-n", self.name, *arguments]
        subprocess.run(
            command,
            env=self.env,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )

    def fill(self, is_full):
        """Take no more messages, as if the memory was full, or take them again."""
        # Not quite nothing: that would be refused.
        self.control("set_vm_memory_high_watermark", "0.00001" if is_full else "0.4")
