"""Razorpay's SDK verifies."""

from .judge import Judge, load_sdk, read

razorpay = load_sdk("razorpay")


class TestRazorpay(Judge):
    we_accept = {"a signature in upper case": "hex says the same in each case"}

    def verify(self, webhook, secret):
        signature = read(webhook, "X-Razorpay-Signature")
        verify = razorpay.Utility().verify_webhook_signature
        return verify(webhook.body.decode(), signature, secret)
