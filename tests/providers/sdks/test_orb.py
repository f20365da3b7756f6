"""Orb's SDK verifies."""

from .judge import Judge, load_sdk

orb = load_sdk("orb")
client = orb.Orb(api_key="none")


class TestOrb(Judge):
    several = ("v1={bad} v1={good}", "v1={good} v1={bad}", "v2={bad} v1={good}")
    we_accept = {"a signature in upper case": "hex says the same in each case"}
    clocks = {"orb.resources.webhooks.webhooks": "datetime"}

    def verify(self, webhook, secret):
        return client.webhooks.verify_signature(webhook.body, webhook.headers, secret=secret)
