"""Svix' SDK signs, and verifies."""

from .judge import load_sdk
from .test_standard_webhooks import StandardJudge

svix = load_sdk("svix.webhooks")


class TestSvix(StandardJudge):
    prefix = "svix"

    def verify(self, webhook, secret):
        return svix.Webhook(secret).verify(webhook.body, webhook.headers)
