"""Dodo Payments' SDK verifies; the library of Standard Webhooks signs."""

from .judge import load_sdk
from .test_standard_webhooks import StandardJudge

dodopayments = load_sdk("dodopayments")
client = dodopayments.DodoPayments(bearer_token="none")


class TestDodoPayments(StandardJudge):
    def verify(self, webhook, secret):
        return client.webhooks.unwrap(webhook.body.decode(), headers=webhook.headers, key=secret)
