"""Adyen's SDK signs the webhooks of platforms, and verifies them."""

from .judge import Judge, load_sdk, read

adyen = load_sdk("Adyen.util")


class TestAdyenPlatform(Judge):
    def verify(self, webhook, secret):
        return adyen.is_valid_hmac_payload(read(webhook, "hmacsignature"), secret, webhook.body)

    def sign(self, body, secret, seconds):
        return {"hmacsignature": adyen.generate_payload_sig(body, secret).decode()}
