"""Lithic's SDK verifies; the library of Standard Webhooks signs."""

from .judge import load_sdk
from .test_standard_webhooks import StandardJudge

lithic = load_sdk("lithic")
client = lithic.Lithic(api_key="none")


class TestLithic(StandardJudge):
    def verify(self, webhook, secret):
        return client.webhooks.verify_signature(webhook.body, webhook.headers, secret=secret)
