"""Throw-away projects: each is a folder with its own settings, run in processes of its own.

A test says what its host does otherwise, and plays a story in it::

    def test_a_host_without_time_zones(make_host):
        host = make_host(settings="USE_TZ = False")
        assert host.play(STORY)["status"] == "processed"

``make_host`` is a fixture. Whatever is not said is a small project without admin, users and
sessions, on SQLite, whose one handler marks an order as paid.
"""

import json
import os
import subprocess
import sys
import textwrap
from collections import namedtuple

PATIENCE = 60  # seconds: for a process that hangs
MARK = "told: "
BEGIN = f"""
import django
import json

django.setup()

def tell(values):
    print({MARK!r} + json.dumps(values))
"""

FILES = {
    "settings.py": """
        import os

        FOLDER = os.path.dirname(os.path.abspath(__file__))
        SECRET_KEY = "only-for-a-test"
        ALLOWED_HOSTS = ["testserver"]
        INSTALLED_APPS = ["django_payment_webhooks", "shop"]
        MIDDLEWARE = []
        ROOT_URLCONF = "urls"
        DATABASES = {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.path.join(FOLDER, "host.sqlite3"),
            }
        }
        DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
        USE_TZ = True
        CELERY_BROKER_URL = "memory://"
        PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"SECRETS": ["a-secret-of-the-default-partner!"]}}
        PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": "handlers.MarkOrderPaid"}
    """,
    "urls.py": """
        try:
            from django.urls import include, re_path
        except ImportError:  # Django 1.11
            from django.conf.urls import include, url as re_path

        urlpatterns = [re_path("^hooks/", include("django_payment_webhooks.urls"))]
    """,
    "handlers.py": """
        from shop.models import Order

        from django_payment_webhooks.payments import OrderPaidHandler


        class MarkOrderPaid(OrderPaidHandler):
            def get_order(self, event):
                return Order.objects.select_for_update().filter(number=event.order_id).first()

            def get_price(self, order):
                return "10.00", "EUR"

            def order_paid(self, event, order):
                order.payments += 1
                order.save()
    """,
    "celery_app.py": """
        from celery import Celery

        app = Celery("host")
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.autodiscover_tasks()
    """,
    "shop/__init__.py": "from celery_app import app\n",
    "shop/models.py": """
        from django.db import models


        class Order(models.Model):
            number = models.CharField(max_length=20, unique=True)
            payments = models.IntegerField(default=0)
    """,
    "manage.py": """
        import sys

        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    """,
}

Done = namedtuple("Done", "code printed errors")


class Project:
    """A project in a folder. Each name and text of ``files`` replaces one of ``FILES``, or is
    another; ``settings`` is added to the settings.
    """

    def __init__(self, folder, settings="", **files):
        self.folder = str(folder)
        for name, text in FILES.items():
            self.write(name, text)
        for name, text in files.items():
            self.write(name + ".py", text)
        self.add("settings.py", settings)

    def write(self, name, text, mode="w"):
        """Write a file, indented or not."""
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, mode, encoding="utf-8") as file:
            file.write(textwrap.dedent(text).lstrip("\n"))

    def add(self, name, text):
        """Write to the end of a file."""
        self.write(name, text, mode="a")

    def environment(self):
        """Return the environment of its processes: nothing of this run's settings."""
        ours = ("DJANGO_", "PAYMENT_WEBHOOKS_", "CELERY_", "DATABASE_URL", "COV_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        paths = [self.folder, os.getcwd(), kept.get("PYTHONPATH", "")]
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        return dict(kept, DJANGO_SETTINGS_MODULE="settings")

    def run(self, *arguments):
        """Run Python in the project, and return how it ended and what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def manage(self, *arguments):
        """Run ``manage.py``."""
        return self.run("manage.py", *arguments)

    def play(self, script):
        """Run a script with Django set up, and return the values that it hands to ``tell``."""
        done = self.run("-c", BEGIN + textwrap.dedent(script))
        assert done.code == 0, done.errors
        (told,) = [line for line in done.printed.splitlines() if line.startswith(MARK)]
        return json.loads(told[len(MARK) :])
