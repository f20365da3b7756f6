"""The tests. ``test_journey`` tells the story; every other file tests one module.

Importing this package sets up the shop's environment, and Django: its parts can be imported from
then on. So pytest must not be told ``DJANGO_SETTINGS_MODULE``; it would load the settings before
their environment is there.
"""

import os
import sys
import tempfile

import django

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Last, so that an installed package is what is tested.
sys.path[:] = [path for path in sys.path if path != ROOT] + [
    os.path.join(ROOT, "testproject"),
    ROOT,
]

VAR_DIR = tempfile.TemporaryDirectory(prefix="payment-webhooks-tests-")

# Only the database may differ between two runs: whatever else is set where they run would change
# what they see.
for name in [name for name in os.environ if name.startswith("PAYMENT_WEBHOOKS_")] + [
    "DOWNSTREAM_URL",
    "DEBUG",
]:
    os.environ.pop(name, None)
os.environ.update(
    DJANGO_SETTINGS_MODULE="testproject.settings",
    ENV_FILE=os.path.join(VAR_DIR.name, "no-such-file"),
    VAR_DIR=VAR_DIR.name,
    SECRET_KEY="only-for-tests",
    ALLOWED_HOSTS="testserver,localhost,127.0.0.1",
    PAYMENT_WEBHOOKS_SECRETS="a-secret-of-the-default-partner!",
    PAYMENT_WEBHOOKS_SECRETS_TIMED="a-secret-of-the-timed-partner!!!",
    CELERY_BROKER_URL="memory://",
    CELERY_QUEUE="tests",
)
django.setup()
