"""Mollie's SDK signs, and verifies."""

from .judge import Judge, load_sdk, read

validator = load_sdk("mollie.utils.webhooks.signature_validator")


class TestMollie(Judge):
    several = ("sha256={bad},sha256={good}", "sha256={good}, sha256={bad}", "{bad},{good}")

    def verify(self, webhook, secret):
        # The SDK wants a list; a server joins headers of one name with commas.
        signatures = read(webhook, "X-Mollie-Signature").split(",")
        signatures = [signature.strip() for signature in signatures]
        return validator.SignatureValidator.validate(webhook.body.decode(), secret, signatures)

    def sign(self, body, secret, seconds):
        signature = validator.SignatureValidator.create_signature(body.decode(), secret)
        return {"X-Mollie-Signature": f"sha256={signature}"}
