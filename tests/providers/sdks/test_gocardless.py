"""GoCardless' SDK verifies."""

from .judge import Judge, load_sdk, read

webhooks = load_sdk("gocardless_pro.webhooks")


class TestGoCardless(Judge):
    we_accept = {"a signature in upper case": "hex says the same in each case"}

    def verify(self, webhook, secret):
        try:
            webhooks.parse(webhook.body, secret, read(webhook, "Webhook-Signature"))
        except KeyError:
            # It is verified, and has no list of events.
            return True
