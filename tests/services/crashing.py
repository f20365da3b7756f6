"""Processes that die: a fork of the test plays a part of an event's journey, and kills itself.

A step is each statement and each end of a transaction, each message that is published, each call to
another system, and the answer to a webhook. Nothing of it is in the app: the fork patches itself,
and takes the patches with it.
"""

import json
import os
import signal
import traceback

from django.db import connection, connections
from django.db.backends.utils import CursorWrapper
from processes import wait_until
from shop.handlers import MarkOrderPaid

from django_payment_webhooks import retrying
from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import ThreadPublisher, process

from .threads import PATIENCE

# How many connections a database has beside the one that asks.
OTHERS = {
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = database()"
    " AND id <> connection_id()",
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
}
# As the app has it: the survivors' publisher is replaced by a queue, but not this.
publish, nudge = ThreadPublisher.publish, ThreadPublisher.nudge


class Steps:
    """The steps that this process has taken, counted from 0. It kills itself before the last."""

    def __init__(self, pipe, last):
        self.pipe, self.last, self.count = pipe, last, 0

    def tell(self, **what):
        """Tell the other process, which reads it even if this one is dead by then."""
        os.write(self.pipe, json.dumps(what).encode() + b"\n")

    def step(self, name):
        """Come to a step; do not survive it if it is the last."""
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1
        self.tell(step=name)

    def around(self, owner, function, name=None, is_commit=False):
        """Make a call of a function a step, and what comes after it another one if it commits."""
        real = getattr(owner, function)

        def call(*args, **kwargs):
            # Of a statement, what tells it from others.
            self.step(name or " ".join(args[1].split()[:3])[:60])
            result = real(*args, **kwargs)
            if is_commit:
                self.step("after " + name)
            return result

        setattr(owner, function, call)

    def send(self, args, **options):
        """Be the broker: what was published outlives its publisher."""
        self.step("publish")
        self.tell(published=args[0])

    def enqueue(self, publisher, *args):
        """Enqueue as the app does, and wait until it is published.

        The steps must have the same order every time.
        """
        self.step("enqueue")
        nudge(publisher, *args)
        publisher.flush(PATIENCE)

    def patch(self):
        """Make steps of all that this process does from now on."""
        self.around(CursorWrapper, "execute")
        self.around(connection, "_commit", "commit", is_commit=True)
        self.around(connection, "_rollback", "roll back")
        for name in ("take", "claim", "confirm", "finish", "reschedule"):
            self.around(Event, name, name)
        self.around(retrying, "carry_out", "record")
        self.around(MarkOrderPaid, "apply", "handler")
        self.around(MarkOrderPaid, "deliver", "deliver")
        ThreadPublisher.nudge = lambda publisher, *args: self.enqueue(publisher, *args)
        ThreadPublisher.publish = publish
        process.apply_async = self.send


class Fate:
    """What became of a process: its ``steps``, what it ``published``, its ``answer``, its end."""

    def __init__(self, told, status):
        self.steps = [line["step"] for line in told if "step" in line]
        self.published = [key for line in told for key in line.get("published", [])]
        self.answer = [line["answer"] for line in told if "answer" in line]
        self.error = "".join(line["error"] for line in told if "error" in line)
        self.is_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        self.is_alive = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


def live(steps, function):
    """Be the process: call the function, tell what it returned, and end."""
    try:
        signal.alarm(PATIENCE)  # a process that hangs must end as well, and not by SIGKILL
        connection.ensure_connection()  # what that takes is no step
        steps.patch()
        answer = function()
        steps.step("answer")
        steps.tell(answer=answer)
        steps.step("end")
        os._exit(0)
    except BaseException:
        steps.tell(error=traceback.format_exc())
    finally:
        os._exit(1)


def play(function, last=None):
    """Call a function in a process of its own, which dies before the step ``last``.

    Returns its :class:`Fate`.

    The database has noticed the death when this returns: nothing is locked any more.
    """
    connections.close_all()
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        live(Steps(writer, last), function)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = [json.loads(line) for line in pipe]
    fate = Fate(told, os.waitpid(pid, 0)[1])
    assert not fate.error, fate.error
    assert fate.is_killed or fate.is_alive, "the process hung, after " + str(fate.steps)
    wait_until(is_alone, PATIENCE, 0.005)
    return fate


def is_alone():
    """Return whether there are no other connections to the database.

    Then it has rolled back what the dead left behind.
    """
    with connection.cursor() as cursor:
        cursor.execute(OTHERS.get(connection.vendor, "SELECT 0"))
        return cursor.fetchone() == (0,)
