"""The shop's settings as they are measured: without the history, and with the naive programs."""

from __future__ import annotations

from testproject import settings

globals().update((name, value) for name, value in vars(settings).items() if name.isupper())

INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if ".history" not in name]
INSTALLED_APPS.append("benchmarks.naive")
ROOT_URLCONF = "benchmarks.urls"

PAYMENT_WEBHOOKS_PROVIDERS = dict(settings.PAYMENT_WEBHOOKS_PROVIDERS)
PAYMENT_WEBHOOKS_PROVIDERS["many"] = dict(
    PAYMENT_WEBHOOKS_PROVIDERS["default"], EVENTS_PATH="events.*"
)
PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": "benchmarks.handlers.MarkOrderPaid"}
# The programs sweep when it is time to, and everything that is there at once.
PAYMENT_WEBHOOKS_SWEEP_INTERVAL = None
PAYMENT_WEBHOOKS_SWEEP_GRACE = 0
PAYMENT_WEBHOOKS_SWEEP_BATCH = 100000
