"""Coinbase Commerce's SDK verifies."""

from .judge import Judge, load_sdk, read

coinbase_commerce = load_sdk("coinbase_commerce.webhook")


class TestCoinbaseCommerce(Judge):
    we_accept = {"a signature in upper case": "hex says the same in each case"}

    def verify(self, webhook, secret):
        signature = read(webhook, "X-CC-Webhook-Signature")
        return coinbase_commerce.WebhookSignature.verify_sig_header(
            webhook.body.decode(), signature, secret
        )
