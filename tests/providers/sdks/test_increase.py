"""Increase's SDK verifies; the library of Standard Webhooks signs."""

from .judge import load_sdk
from .test_standard_webhooks import StandardJudge

increase = load_sdk("increase")
client = increase.Increase(api_key="none")


class TestIncrease(StandardJudge):
    def verify(self, webhook, secret):
        return client.events.unwrap(webhook.body.decode(), headers=webhook.headers, key=secret)
