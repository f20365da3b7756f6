"""Modern Treasury's SDK signs, and verifies."""

from .judge import Judge, load_sdk

modern_treasury = load_sdk("modern_treasury")
client = modern_treasury.ModernTreasury(api_key="none", organization_id="none")


class TestModernTreasury(Judge):
    we_accept = {"a signature in upper case": "hex says the same in each case"}

    def verify(self, webhook, secret):
        return client.webhooks.validate_signature(
            webhook.body.decode(), webhook.headers, key=secret
        )

    def sign(self, body, secret, seconds):
        return {"X-Signature": client.webhooks.get_signature(body.decode(), key=secret)}
