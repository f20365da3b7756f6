"""Brokers of a test's own: they can be stopped, frozen, and told to take no messages, as nobody else uses them."""

import os
import shutil
import signal
import subprocess
import uuid

import redis
from processes import Process, accepts, find_port, wait_until

# Debian's commands on the PATH become another user first, who can't enter the tests' folders.
RABBITMQ_PATH = os.pathsep.join(["/usr/lib/rabbitmq/bin", os.environ.get("PATH", "")])


class Broker:
    """A broker that runs as a process of ours. Nothing of it outlives the tests."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, find_port(), None
        self.env = dict(os.environ, VAR_DIR=folder)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Start it, at the same port as before, and wait until it takes connections."""
        self.process = Process(type(self).__name__.lower(), self.command(), self.env)
        self.process.wait_until(self.is_ready)

    def is_ready(self):
        """Return whether it takes connections."""
        return accepts(self.port)

    def stop(self):
        """Kill it: connections to it are refused."""
        self.process.kill()
        wait_until(lambda: not accepts(self.port))

    def freeze(self):
        """Let it be silent: connections to it are accepted, and nothing is ever said."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        """Let it go on."""
        os.killpg(self.process.pid, signal.SIGCONT)


class Redis(Broker):
    """A Redis that keeps nothing on the disk."""

    programs = ["redis-server"]

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
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.folder]
        return [*command, "--save", "", "--appendonly", "no"]


class RabbitMQ(Broker):
    """A RabbitMQ node with a port mapper of its own, so that it leaves none behind."""

    programs = ["rabbitmq-server", "rabbitmqctl", "epmd"]

    def __init__(self, folder):
        super().__init__(folder)
        self.name, self.mapper = "tests_%s@localhost" % uuid.uuid4().hex[:8], find_port()
        files = {"MNESIA_BASE": "mnesia", "LOG_BASE": "log", "ENABLED_PLUGINS_FILE": "plugins", "CONFIG_FILE": "none"}
        ports = {"NODENAME": self.name, "NODE_IP_ADDRESS": "127.0.0.1", "NODE_PORT": self.port, "LOGS": "-"}
        ports.update(DIST_PORT=find_port(), CONF_ENV_FILE=os.devnull)
        ports.update(SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}")
        ports.update((name, os.path.join(folder, file)) for name, file in files.items())
        self.env.update(("RABBITMQ_" + name, str(value)) for name, value in ports.items())
        self.env.update(HOME=folder, ERL_EPMD_PORT=str(self.mapper), ERL_EPMD_ADDRESS="127.0.0.1", PATH=RABBITMQ_PATH)

    @property
    def url(self):
        """The address of its default virtual host."""
        return "amqp://guest:guest@127.0.0.1:%d//" % self.port

    def __enter__(self):
        mapper = ["epmd", "-port", str(self.mapper), "-address", "127.0.0.1"]
        self.mapping = Process("epmd", mapper, self.env).wait_until(lambda: accepts(self.mapper))
        return super().__enter__()

    def __exit__(self, *_):
        super().__exit__()
        self.mapping.kill()

    def command(self):
        """Return what starts it."""
        return [shutil.which("rabbitmq-server", path=RABBITMQ_PATH)]

    def is_ready(self):
        """Return whether it takes connections, and is complete."""
        return "startup complete" in self.process.output() and accepts(self.port)

    def control(self, *arguments):
        """Run a command of ``rabbitmqctl``."""
        command = [shutil.which("rabbitmqctl", path=RABBITMQ_PATH), "-n", self.name, *arguments]
        subprocess.run(command, env=self.env, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
